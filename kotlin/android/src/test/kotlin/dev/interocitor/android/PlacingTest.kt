package dev.interocitor.android

import dev.interocitor.InterocitorException
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

/** What becomes of pixels, without those who decode and draw them. */
class PlacingTest {
    @Test
    fun `as little is decoded as the square takes`() {
        val wanted = mapOf(
            Triple(300, 200, 256) to 1,
            Triple(511, 200, 256) to 1,
            Triple(512, 200, 256) to 2,
            Triple(100, 4000, 1000) to 4,
            Triple(30_000, 30_000, 2048) to 8,
            Triple(1, 1, 1) to 1,
        )
        assertEquals(wanted, wanted.mapValues { (size) -> sampleSize(size.first, size.second, size.third) })
        // However large a head claims that it is, and however small the square.
        assertTrue(Int.MAX_VALUE / sampleSize(Int.MAX_VALUE, 1, 1) <= 2)
        for (length in 1..5000) {
            val decoded = length / sampleSize(length, 1, 100)
            assertTrue(decoded < 200 && (decoded >= 100 || decoded == length), "$length becomes $decoded")
        }
    }

    /** Where the pixels of a 2 by 1 picture come to stand: its left one in this corner, by columns and lines. */
    private fun left(placing: Placing): Pair<Int, Int> {
        var (x, y) = (if (placing.isMirrored) 1 else -1) to 0
        repeat((placing.degrees / 90).toInt()) { val (a, b) = x to y; x = -b; y = a }
        return x to y
    }

    /** The same of its upper side. */
    private fun upper(placing: Placing): Pair<Int, Int> {
        var (x, y) = 0 to -1
        repeat((placing.degrees / 90).toInt()) { val (a, b) = x to y; x = -b; y = a }
        return x to y
    }

    @Test
    fun `a picture stands upright however the camera was held`() {
        val (toLeft, toRight, up, down) = listOf(-1 to 0, 1 to 0, 0 to -1, 0 to 1)
        // By the standard: on which side of what is shown the first column and the first line of the file are.
        val wanted = mapOf(
            1 to (toLeft to up), 2 to (toRight to up), 3 to (toRight to down), 4 to (toLeft to down),
            5 to (up to toLeft), 6 to (up to toRight), 7 to (down to toRight), 8 to (down to toLeft),
            0 to (toLeft to up), 9 to (toLeft to up),
        )
        val placed = wanted.mapValues { (orientation) -> placing(10, 10, 10, orientation).let { left(it) to upper(it) } }
        assertEquals(wanted, placed)
    }

    @Test
    fun `a picture is never made larger, and left alone where it fits`() {
        assertEquals(0.5f, placing(100, 200, 100, 1).scale)
        assertEquals(1f, placing(10, 20, 100, 6).scale)
        assertTrue(placing(10, 20, 100, 1).isNone)
        for (other in listOf(placing(10, 20, 10, 1), placing(10, 20, 100, 2), placing(10, 20, 100, 6))) assertFalse(other.isNone)
    }

    @Test
    fun `formats have their media types, also those that came later`() {
        val names = listOf("JPEG", "PNG", "WEBP", "WEBP_LOSSY", "WEBP_LOSSLESS")
        assertEquals(listOf("image/jpeg", "image/png", "image/webp", "image/webp", "image/webp"), names.map(::contentType))
        assertTrue(isJpeg(byteArrayOf(-1, -40, -1)))
        for (other in listOf("", "\u00ff", "BM..")) assertFalse(isJpeg(other.toByteArray(Charsets.ISO_8859_1)))
    }

    @Test
    fun `what only the device decodes is decoded by it`() = test {
        val refused = { code: String -> InterocitorException.Rejected(code, "x") }
        assertEquals("small", orDecoded({ "small" }, { "whole" }))
        assertEquals("whole", orDecoded({ throw refused("DECODE") }, { "whole" }))
        failsWith<InterocitorException.Rejected>("LIMIT") { orDecoded({ throw refused("LIMIT") }, { "whole" }) }
    }
}
