package dev.interocitor.android

import android.content.ContentResolver
import android.graphics.Bitmap
import android.graphics.BitmapFactory
import android.graphics.Matrix
import android.media.ExifInterface
import android.net.Uri
import dev.interocitor.ErrorCode
import dev.interocitor.FileInfo
import dev.interocitor.FileSource
import dev.interocitor.ImageContent
import dev.interocitor.ImageSource
import dev.interocitor.Interocitor
import dev.interocitor.InterocitorException
import dev.interocitor.StagedFile
import dev.interocitor.Thumbnail
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.withContext
import java.io.ByteArrayOutputStream
import java.io.IOException

/**
 * An image as a bitmap that fits into a square of [edge] pixels and stands upright, decoded off the main thread: only as much
 * of it as that takes.
 *
 * ```
 * view.setImageBitmap(db.getBitmap("photos/1.jpg"))
 * ```
 *
 * @throws InterocitorException.Rejected with `DECODE` where this device decodes no such image, as with SVG: a WebView shows
 * those, by [Interocitor.getImageUrl].
 */
public suspend fun Interocitor.getBitmap(path: String, edge: Int = 2048): Bitmap = getImage(path).toBitmap(edge)

/**
 * A small picture of an image as a bitmap, for lists: that of [Interocitor.getThumbnail], which is kept on this device. Of
 * images that only the device decodes, such as HEIC, it is made each time.
 */
public suspend fun Interocitor.getThumbnailBitmap(path: String, edge: Int): Bitmap = orDecoded(
    small = { getThumbnail(path, edge).toBitmap(path) },
    whole = { getBitmap(path, edge) },
)

/** An image as a bitmap that fits into a square of [edge] pixels; see [getBitmap]. */
public suspend fun ImageContent.toBitmap(edge: Int = 2048): Bitmap {
    if (edge < 1) throw InterocitorException.Rejected(ErrorCode.INVALID_ARGUMENT, "edge of a bitmap: $edge pixels; give 1 or more")
    return withContext(Dispatchers.Default) { decoded(bytes, info.path, edge) }
}

private suspend fun Thumbnail.toBitmap(path: String): Bitmap =
    withContext(Dispatchers.Default) { BitmapFactory.decodeByteArray(bytes, 0, bytes.size) ?: throw undecodable(path) }

/**
 * As [Interocitor.putImage], with a bitmap, encoded off the main thread.
 *
 * ```
 * db.putImage("photos/1.jpg", photo)
 * ```
 *
 * @param quality 0 to 100, for formats that have it.
 */
public suspend fun Interocitor.putImage(
    path: String,
    bitmap: Bitmap,
    format: Bitmap.CompressFormat = Bitmap.CompressFormat.JPEG,
    quality: Int = 85,
): FileInfo = putImage(path, bitmap.encoded(format, quality), contentType(format.name))

/** As [Interocitor.stageImage], with a bitmap, encoded off the main thread. */
public suspend fun Interocitor.stageImage(
    path: String,
    bitmap: Bitmap,
    format: Bitmap.CompressFormat = Bitmap.CompressFormat.JPEG,
    quality: Int = 85,
): StagedFile = stageImage(path, bitmap.encoded(format, quality), contentType(format.name))

/**
 * As [Interocitor.putImage], with what a [Uri] stands for, such as a photo that was picked.
 *
 * @param contentType a media type; what the resolver says where it is left out.
 * @throws InterocitorException.Rejected with `INVALID_ARGUMENT` where it cannot be read, or is no image.
 */
public suspend fun Interocitor.putImage(
    path: String,
    resolver: ContentResolver,
    uri: Uri,
    contentType: String? = null,
): FileInfo = opened("read", { resolver.openInputStream(uri) }) { stream ->
    putImage(path, ImageSource(FileSource(stream)), contentType ?: resolver.getType(uri))
}

/** As [Interocitor.stageImage], with what a [Uri] stands for. */
public suspend fun Interocitor.stageImage(
    path: String,
    resolver: ContentResolver,
    uri: Uri,
    contentType: String? = null,
): StagedFile = opened("read", { resolver.openInputStream(uri) }) { stream ->
    stageImage(path, ImageSource(FileSource(stream)), contentType ?: resolver.getType(uri))
}

private suspend fun Bitmap.encoded(format: Bitmap.CompressFormat, quality: Int): ImageSource = withContext(Dispatchers.Default) {
    val bytes = ByteArrayOutputStream()
    if (!compress(format, quality, bytes)) {
        throw InterocitorException.Rejected(ErrorCode.INVALID_ARGUMENT, "bitmap: it cannot be encoded as $format; take another format")
    }
    ImageSource(bytes.toByteArray())
}

private fun decoded(bytes: ByteArray, path: String, edge: Int): Bitmap {
    val head = BitmapFactory.Options().apply { inJustDecodeBounds = true }
    BitmapFactory.decodeByteArray(bytes, 0, bytes.size, head)
    if (head.outWidth < 1 || head.outHeight < 1) throw undecodable(path)
    val options = BitmapFactory.Options().apply { inSampleSize = sampleSize(head.outWidth, head.outHeight, edge) }
    val bitmap = BitmapFactory.decodeByteArray(bytes, 0, bytes.size, options) ?: throw undecodable(path)
    val placing = placing(bitmap.width, bitmap.height, edge, orientation(bytes))
    if (placing.isNone) return bitmap
    val matrix = Matrix().apply {
        setScale(placing.scale * if (placing.isMirrored) -1 else 1, placing.scale)
        postRotate(placing.degrees)
    }
    return Bitmap.createBitmap(bitmap, 0, 0, bitmap.width, bitmap.height, matrix, true).also { if (it !== bitmap) bitmap.recycle() }
}

/** How the camera was held, where that is known. Decoders of other formats than JPEG turn what they decode by themselves. */
private fun orientation(bytes: ByteArray): Int = try {
    if (isJpeg(bytes)) ExifInterface(bytes.inputStream()).getAttributeInt(ExifInterface.TAG_ORIENTATION, UPRIGHT) else UPRIGHT
} catch (_: IOException) {
    UPRIGHT
}

private const val UPRIGHT = ExifInterface.ORIENTATION_NORMAL

private fun undecodable(path: String) = InterocitorException.Rejected(
    ErrorCode.DECODE,
    "$path: it is no image that this device decodes; a WebView shows SVG, by getImageUrl",
)
