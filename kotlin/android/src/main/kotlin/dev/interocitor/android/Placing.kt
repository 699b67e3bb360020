package dev.interocitor.android

import dev.interocitor.ErrorCode
import dev.interocitor.InterocitorException

/** What is done to decoded pixels: scaled, then mirrored from left to right, then turned clockwise. */
internal data class Placing(val scale: Float, val isMirrored: Boolean, val degrees: Float) {
    val isNone: Boolean get() = scale == 1f && !isMirrored && degrees == 0f
}

/** How a picture fits into a square, by the orientation of Exif. */
internal fun placing(width: Int, height: Int, edge: Int, orientation: Int): Placing {
    val scale = minOf(1f, edge.toFloat() / maxOf(width, height))
    return when (orientation) {
        2 -> Placing(scale, true, 0f)
        3 -> Placing(scale, false, 180f)
        4 -> Placing(scale, true, 180f)
        5 -> Placing(scale, true, 270f)
        6 -> Placing(scale, false, 90f)
        7 -> Placing(scale, true, 90f)
        8 -> Placing(scale, false, 270f)
        else -> Placing(scale, false, 0f)
    }
}

/**
 * Of how many lines and columns one is decoded: as few as the square takes, a power of two, which is what decoders can do.
 * What is decoded has less than four times the pixels of the square, whatever the head of an image claims.
 */
internal fun sampleSize(width: Int, height: Int, edge: Int): Int {
    var size = 1
    while (maxOf(width, height) / 2 / size >= edge && size < 1 shl 30) size *= 2
    return size
}

internal fun isJpeg(bytes: ByteArray): Boolean =
    bytes.size > 2 && bytes[0] == 0xff.toByte() && bytes[1] == 0xd8.toByte()

/** Of a format of the framework, by its name: some have come since Android 7. */
internal fun contentType(format: String): String = when {
    format.startsWith("WEBP") -> "image/webp"
    else -> "image/${format.lowercase()}"
}

/** The small picture of the engine, or, where it cannot decode the image, one of the device. */
internal suspend fun <T> orDecoded(small: suspend () -> T, whole: suspend () -> T): T = try {
    small()
} catch (failure: InterocitorException.Rejected) {
    if (failure.code != ErrorCode.DECODE) throw failure
    whole()
}
