package dev.interocitor.android

import dev.interocitor.Configuration
import dev.interocitor.Interocitor
import dev.interocitor.InterocitorException
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.delay
import kotlinx.coroutines.runBlocking
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows
import org.junit.jupiter.api.io.TempDir
import java.io.File
import java.util.concurrent.atomic.AtomicInteger

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
    fun `requests while an exchange is under way become one, and failures do not end it`() = runBlocking {
        val (count, go) = AtomicInteger() to CompletableDeferred<Unit>()
        val scope = kotlinx.coroutines.CoroutineScope(kotlinx.coroutines.Dispatchers.Default)
        val resync = Resync(scope) {
            count.incrementAndGet()
            go.await()
            throw InterocitorException.Remote("OFFLINE", "no network")
        }
        resync.request()
        while (count.get() == 0) delay(5)
        repeat(10) { resync.request() }
        go.complete(Unit)
        while (count.get() < 2) delay(5)
        delay(100)
        assertEquals(2, count.get())
        scope.coroutineContext[kotlinx.coroutines.Job]?.cancel()
        Unit
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
    fun `the configuration of an Android app opens a database`(@TempDir folder: File) = runBlocking {
        val configuration = Configuration("app").forAndroid(File(folder, "app.db"), "Pixel")
        assertEquals(listOf("android", "Pixel"), listOf(configuration.deviceType, configuration.deviceName))
        Interocitor.open(configuration).use { assertEquals("app", it.appName) }
    }
}
