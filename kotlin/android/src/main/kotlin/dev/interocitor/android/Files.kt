package dev.interocitor.android

import android.content.ContentResolver
import android.net.Uri
import dev.interocitor.ErrorCode
import dev.interocitor.FileContent
import dev.interocitor.FileInfo
import dev.interocitor.FileSource
import dev.interocitor.Interocitor
import dev.interocitor.InterocitorException
import dev.interocitor.StagedFile
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.withContext
import java.io.Closeable
import java.io.IOException

/**
 * As [Interocitor.putFile], with what a [Uri] stands for: a photo that was picked, a document, a file of another app. It is
 * read while this waits, as long as the app may.
 *
 * ```
 * val picture = db.putFile("pictures/1.jpg", contentResolver, uri)
 * ```
 *
 * @param contentType a media type; what the resolver says where it is left out.
 * @throws InterocitorException.Rejected with `INVALID_ARGUMENT` where it cannot be read.
 */
public suspend fun Interocitor.putFile(
    path: String,
    resolver: ContentResolver,
    uri: Uri,
    contentType: String? = null,
): FileInfo = opened("read", { resolver.openInputStream(uri) }) { stream ->
    putFile(path, FileSource(stream), contentType ?: resolver.getType(uri))
}

/** As [Interocitor.stageFile], with what a [Uri] stands for; see [putFile]. */
public suspend fun Interocitor.stageFile(
    path: String,
    resolver: ContentResolver,
    uri: Uri,
    contentType: String? = null,
): StagedFile = opened("read", { resolver.openInputStream(uri) }) { stream ->
    stageFile(path, FileSource(stream), contentType ?: resolver.getType(uri))
}

/**
 * Writes the content to what a [Uri] stands for, such as a document that the user has just made. What was there is
 * overwritten, and half so where this fails.
 *
 * @throws InterocitorException.Rejected with `INVALID_ARGUMENT` where it cannot be written.
 */
public suspend fun FileContent.saveTo(resolver: ContentResolver, uri: Uri) {
    opened("written", { resolver.openOutputStream(uri, "wt") }) { copyTo(it) }
}

/** Runs the block with what was opened, which is closed after it. */
internal suspend fun <S : Closeable, T> opened(verb: String, open: () -> S?, block: suspend (S) -> T): T = try {
    val stream = withContext(Dispatchers.IO) { open() } ?: throw IOException("it is gone")
    try {
        block(stream)
    } finally {
        stream.close()
    }
} catch (failure: IOException) {
    throw refused(verb, failure)
} catch (failure: SecurityException) {
    throw refused(verb, failure)
}

private fun refused(verb: String, failure: Exception) =
    InterocitorException.Rejected(ErrorCode.INVALID_ARGUMENT, "uri: it cannot be $verb: ${failure.message}", cause = failure)
