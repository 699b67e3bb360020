package dev.interocitor.android

import android.app.Activity
import android.app.Application
import android.content.Context
import android.net.ConnectivityManager
import android.net.Network
import android.os.Bundle
import dev.interocitor.Interocitor
import java.io.Closeable

/**
 * Keeps a database in step with the app: it polls quickly while an activity is shown and seldom otherwise, tries nothing
 * while there is no network, and exchanges changes as soon as it is back. Needs the permission `ACCESS_NETWORK_STATE`, which this library
 * asks for.
 *
 * @return what ends it; apps that live as long as their process need not.
 */
public fun Interocitor.follow(application: Application): Closeable {
    val shown = ShownActivities(Shown(::setForeground))
    val network = DefaultNetwork(Reach(::setNetwork))
    val connectivity = application.getSystemService(Context.CONNECTIVITY_SERVICE) as ConnectivityManager
    application.registerActivityLifecycleCallbacks(shown)
    // Of a network that is not there nothing is said.
    setNetwork(connectivity.activeNetwork != null)
    connectivity.registerDefaultNetworkCallback(network)
    return Closeable {
        application.unregisterActivityLifecycleCallbacks(shown)
        connectivity.unregisterNetworkCallback(network)
        // Nobody tells any more.
        setNetwork(true)
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

private class DefaultNetwork(private val reach: Reach<Network>) : ConnectivityManager.NetworkCallback() {
    override fun onAvailable(network: Network) = reach.available(network)
    override fun onLost(network: Network) = reach.lost(network)
}
