package dev.interocitor.examples.todo

import android.app.Application
import dev.interocitor.ErrorCode
import dev.interocitor.Interocitor
import dev.interocitor.InterocitorException
import dev.interocitor.Mailbox
import dev.interocitor.WebDavAuth
import dev.interocitor.android.AndroidBiometrics
import dev.interocitor.android.AndroidKeystoreCredentials
import dev.interocitor.android.SyncJobService
import dev.interocitor.android.follow
import dev.interocitor.android.open
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Deferred
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.async
import kotlinx.serialization.Serializable

@Serializable
data class Todo(val title: String, val done: Boolean = false)

/** Holds the one database of the process. */
class TodoApplication : Application() {
    private val scope = CoroutineScope(SupervisorJob() + Dispatchers.Default)
    private lateinit var opening: Deferred<Interocitor>

    override fun onCreate() {
        super.onCreate()
        opening = scope.async { openDatabase() }
        SyncJobService.schedule(this, TodoSync::class.java, jobId = 1)
    }

    suspend fun database(): Interocitor = opening.await()

    private suspend fun openDatabase(): Interocitor {
        val db = openWithKeys()
        db.follow(this)
        // Where the user's storage is comes from the app's own settings.
        val settings = getSharedPreferences("mailbox", MODE_PRIVATE)
        val url = settings.getString("url", null) ?: return db
        val auth = WebDavAuth.Basic(settings.getString("user", "").orEmpty(), settings.getString("password", "").orEmpty())
        db.setRemoteStorage(Mailbox.webdav(url, auth))
        db.connect()
        return db
    }

    /** The passphrase is kept in the keystore; where that lost it, the app has to ask for it. */
    private suspend fun openWithKeys(): Interocitor {
        // TodoSync runs while the screen is locked, too.
        val keystore = AndroidKeystoreCredentials(this, isReadableWhileLocked = true)
        suspend fun open() = Interocitor.open(this, "todo") {
            remotePath = "/Todo"
            credentials = keystore
            biometrics = AndroidBiometrics(this@TodoApplication)
        }
        return try {
            open()
        } catch (failure: InterocitorException.Credential) {
            if (failure.code != ErrorCode.CREDENTIAL_INVALIDATED) throw failure
            keystore.discardLost()
            open()
        }
    }
}

/** Exchanges changes while the app is not shown. */
class TodoSync : SyncJobService() {
    override suspend fun database(): Interocitor = (application as TodoApplication).database()
}
