package dev.interocitor.android

import dev.interocitor.Configuration
import dev.interocitor.FileSource
import dev.interocitor.Interocitor
import dev.interocitor.InterocitorException
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.runBlocking
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows
import org.junit.jupiter.api.io.TempDir
import java.io.ByteArrayInputStream
import java.io.Closeable
import java.io.File
import java.io.FileNotFoundException

/** What can be tried without a device: everything behind the calls of the framework. */
class GlueTest {
    @Test
    fun `the first activity shows the app and the last one hides it`() {
        val told = ArrayList<Boolean>()
        val shown = Shown { told += it }
        shown.stopped()
        shown.started()
        shown.started()
        shown.stopped()
        assertEquals(listOf(true), told)
        shown.stopped()
        shown.started()
        assertEquals(listOf(true, false, true), told)
    }

    @Test
    fun `only the loss of the network in use is one`() {
        val told = ArrayList<Boolean>()
        val reach = Reach<String> { told += it }
        reach.lost("none")
        reach.available("mobile")
        reach.available("wifi")
        reach.lost("mobile")
        assertEquals(listOf(true, true), told)
        reach.lost("wifi")
        reach.lost("wifi")
        reach.available("mobile")
        assertEquals(listOf(true, true, false, true), told)
    }

    @Test
    fun `a job is tried again only where that may help`() {
        runBlocking {
            assertEquals(Outcome.DONE, outcomeOf { })
            assertEquals(Outcome.TRY_AGAIN, outcomeOf { throw InterocitorException.Remote("OFFLINE", "x", isRetryable = true) })
            assertEquals(Outcome.DONE, outcomeOf { throw InterocitorException.Credential("PASSPHRASE_WRONG", "x") })
            assertThrows<CancellationException> { runBlocking { outcomeOf { throw CancellationException("stopped") } } }
        }
    }

    @Test
    fun `what a resolver opens is read or written, closed, and its failures are told`(@TempDir folder: File) = test {
        val target = File(folder, "target")
        val closed = ArrayList<String>()
        fun source(name: String) = object : ByteArrayInputStream("content".encodeToByteArray()) {
            override fun close() {
                closed += name
            }
        }
        Interocitor.open("app").use { db ->
            val put = opened("read", { source("a") }) { db.putFile("a", FileSource(it), "text/plain") }
            assertEquals(7L to "text/plain", put.size to put.contentType)
            opened("written", { target.outputStream() }) { db.getFile("a").copyTo(it) }
            assertEquals("content", target.readText())
            failsWith<InterocitorException.Rejected>("INVALID_ARGUMENT") { opened("read", { source("b") }) { db.putFile("../a", FileSource(it)) } }
            assertEquals(listOf("a", "b"), closed)
        }
        for (fault in listOf<() -> Closeable?>({ null }, { throw FileNotFoundException("x") }, { throw SecurityException("x") })) {
            failsWith<InterocitorException.Rejected>("INVALID_ARGUMENT") { opened("read", fault) { } }
        }
    }

    @Test
    fun `the configuration of an Android app opens a database`(@TempDir folder: File) = runBlocking {
        val configuration = Configuration("app").forAndroid(File(folder, "app.db"), "Pixel")
        assertEquals(listOf("android", "Pixel"), listOf(configuration.deviceType, configuration.deviceName))
        Interocitor.open(configuration).use { assertEquals("app", it.appName) }
    }
}
