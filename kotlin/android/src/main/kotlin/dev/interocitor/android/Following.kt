package dev.interocitor.android

import android.app.Activity
import android.app.Application
import android.content.Context
import android.net.ConnectivityManager
import android.net.Network
import android.os.Bundle
import dev.interocitor.Interocitor
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.cancel
import java.io.Closeable

/**
 * Keeps a database in step with the app: it polls quickly while an activity is shown and seldom otherwise, and
 * exchanges changes as soon as the network is back. Needs the permission `ACCESS_NETWORK_STATE`, which this library
 * asks for.
 *
 * @return what ends it; apps that live as long as their process need not.
 */
public fun Interocitor.follow(application: Application): Closeable {
    val scope = CoroutineScope(SupervisorJob() + Dispatchers.Default)
    val shown = ShownActivities(Shown(::setForeground))
    val network = ReturnOfTheNetwork(Resync(scope) { sync() })
    val connectivity = application.getSystemService(Context.CONNECTIVITY_SERVICE) as ConnectivityManager
    application.registerActivityLifecycleCallbacks(shown)
    connectivity.registerDefaultNetworkCallback(network)
    return Closeable {
        application.unregisterActivityLifecycleCallbacks(shown)
        connectivity.unregisterNetworkCallback(network)
        scope.cancel()
    }
}

private class ShownActivities(private val shown: Shown) : Application.ActivityLifecycleCallbacks {
    override fun onActivityStarted(activity: Activity) = shown.started()
    override fun onActivityStopped(activity: Activity) = shown.stopped()
    override fun onActivityCreated(activity: Activity, savedInstanceState: Bundle?) = Unit
    override fun onActivityResumed(activity: Activity) = Unit
    override fun onActivityPaused(activity: Activity) = Unit
    override fun onActivitySaveInstanceState(activity: Activity, outState: Bundle) = Unit
    override fun onActivityDestroyed(activity: Activity) = Unit
}

private class ReturnOfTheNetwork(private val resync: Resync) : ConnectivityManager.NetworkCallback() {
    override fun onAvailable(network: Network) = resync.request()
}
