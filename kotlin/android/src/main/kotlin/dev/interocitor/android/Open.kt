package dev.interocitor.android

import android.content.Context
import android.os.Build
import dev.interocitor.Configuration
import dev.interocitor.Interocitor
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.withContext
import java.io.File

/**
 * Opens the database of an app, in the app's own folder for databases. Call it once in the life of the process and
 * keep what it returns, for example in the `Application`.
 *
 * ```
 * val db = Interocitor.open(this, "todo") { remotePath = "/Todo" }
 * db.follow(this)
 * ```
 *
 * @param context any context of the app.
 * @param appName name of the app, for logs and peers.
 * @param name name of the database file.
 */
public suspend fun Interocitor.Companion.open(
    context: Context,
    appName: String,
    name: String = "$appName.db",
    configure: Configuration.() -> Unit = {},
): Interocitor {
    val configuration = Configuration(appName).forAndroid(
        file = withContext(Dispatchers.IO) { context.getDatabasePath(name).apply { parentFile?.mkdirs() } },
        model = Build.MODEL,
    )
    return open(configuration.apply(configure))
}

internal fun Configuration.forAndroid(file: File, model: String?): Configuration = apply {
    path = file
    deviceType = "android"
    deviceName = model
}
