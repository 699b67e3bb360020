package dev.interocitor

import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir
import java.awt.image.BufferedImage
import java.io.ByteArrayInputStream
import java.io.ByteArrayOutputStream
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import javax.imageio.ImageIO

/** A black picture in this format. */
fun picture(format: String, width: Int, height: Int): ByteArray {
    val image = BufferedImage(width, height, BufferedImage.TYPE_INT_RGB)
    return ByteArrayOutputStream().apply { check(ImageIO.write(image, format, this)) }.toByteArray()
}

class ImagesTest {
    @TempDir
    lateinit var folder: File

    private fun bytes(content: String) = ImageSource(content.encodeToByteArray())

    private val svg = ImageSource.text("<svg/>")

    @Test
    fun `images go in and out`() = test {
        val mailbox = Mailbox.memory()
        val source = File(folder, "source").apply { writeText("of a file") }
        member(mailbox).use { a ->
            a.connect()
            a.putImage("a.jpg", bytes("of memory"))
            a.putImage("b.webp", ImageSource(source))
            a.putImage("c.gif", ImageSource(source.toPath()))
            a.putImage("d.png", ImageSource(ByteArrayInputStream("streamed".encodeToByteArray())))
            a.putImage("e.jpg", ImageSource.text("data:image/gif;base64,aGk="))
            a.putImage("f.jpg", svg)
            val put = a.putImage("g.jpg", svg, "image/x-own")
            assertEquals(listOf("image/x-own", 6L), listOf(put.contentType, put.size))
            val staged = a.stageImage("h.png", bytes("staged"))
            a.batch { putFile(staged) }
            a.sync()
            member(mailbox).use { b ->
                b.connect()
                val wanted = listOf(
                    Triple("a.jpg", "image/jpeg", "of memory"),
                    Triple("b.webp", "image/webp", "of a file"),
                    Triple("c.gif", "image/gif", "of a file"),
                    Triple("d.png", "image/png", "streamed"),
                    Triple("e.jpg", "image/gif", "hi"),
                    Triple("f.jpg", "image/svg+xml", "<svg/>"),
                    Triple("g.jpg", "image/x-own", "<svg/>"),
                    Triple("h.png", "image/png", "staged"),
                )
                val got = wanted.map { (path) -> b.getImage(path) }
                assertEquals(wanted, got.map { Triple(it.info.path, it.contentType, it.bytes.decodeToString()) })
                assertEquals("ImageContent(path=a.jpg, contentType=image/jpeg, size=9)", got[0].toString())
                failsWith<InterocitorException.Rejected>("FILE_NOT_FOUND") { b.getImage("none") }
            }
            failsWith<InterocitorException.Rejected>("INVALID_ARGUMENT") { a.putImage("a.jpg", bytes("x"), "text/plain") }
            for (text in listOf("data:text/plain,x", "data:image/png;base64,*")) {
                failsWith<InterocitorException.Rejected>("INVALID_ARGUMENT") { a.putImage("a.jpg", ImageSource.text(text)) }
                failsWith<InterocitorException.Rejected>("INVALID_ARGUMENT") { a.stageImage("a.jpg", ImageSource.text(text)) }
            }
            failsWith<InterocitorException.Rejected>("INVALID_ARGUMENT") { a.putImage("a.jpg", ImageSource(File(folder, "missing"))) }
            assertEquals("of memory", a.getImage("a.jpg").bytes.decodeToString())
        }
    }

    @Test
    fun `an image is shown until it is revoked, closed or forgotten`() = test {
        val db = Interocitor.open("tests") { path = File(folder, "a b.db") }
        db.putImage("x.svg", svg)
        val revoked = db.getImageUrl("x.svg")
        assertEquals(listOf("image/svg+xml", "svg"), listOf(revoked.contentType, revoked.file.extension))
        assertEquals("<svg/>", revoked.file.readText())
        revoked.revoke()
        assertFalse(revoked.file.exists())
        revoked.revoke()
        val closed = db.getImageUrl("x.svg")
        assertTrue(closed.use { it.file.exists() })
        assertFalse(closed.file.exists())
        val forgotten = db.getImageUrl("x.svg").file
        eventually("what nobody holds goes") { System.gc(); !forgotten.exists() }
        val left = db.getImageUrl("x.svg")
        assertTrue(left.file.exists())
        db.shutdown()
        assertFalse(left.file.exists())
        left.close()
    }

    @Test
    fun `small pictures are made of what is a picture`() = test {
        member(Mailbox.memory()).use { db ->
            db.connect()
            db.putImage("a.png", ImageSource(picture("png", 300, 150)))
            val small = db.getThumbnail("a.png", 100)
            assertEquals(listOf("image/jpeg", 100, 50), listOf(small.contentType, small.width, small.height))
            val decoded = ImageIO.read(ByteArrayInputStream(small.bytes))
            assertEquals(100 to 50, decoded.width to decoded.height)
            assertEquals("Thumbnail(image/jpeg, 100 x 50)", small.toString())
            assertArrayEquals(small.bytes, db.getThumbnail("a.png", 100).bytes)
            // Its head tells of more than there is.
            val bomb = picture("bmp", 2, 2)
            ByteBuffer.wrap(bomb).order(ByteOrder.LITTLE_ENDIAN).putInt(18, 30_000).putInt(22, 30_000)
            db.putImage("bomb.bmp", ImageSource(bomb))
            assertFalse(failsWith<InterocitorException.Rejected>("LIMIT") { db.getThumbnail("bomb.bmp", 100) }.isRetryable)
            db.putImage("text.png", bytes("this is no image"))
            failsWith<InterocitorException.Rejected>("DECODE") { db.getThumbnail("text.png", 100) }
            for (edge in listOf(-1, 0, 2049, Int.MAX_VALUE)) {
                failsWith<InterocitorException.Rejected>("INVALID_ARGUMENT") { db.getThumbnail("a.png", edge) }
            }
            failsWith<InterocitorException.Rejected>("FILE_NOT_FOUND") { db.getThumbnail("none", 100) }
        }
    }
}
