package dev.interocitor

import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.async
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.filterIsInstance
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.launch
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertNotNull
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows
import org.junit.jupiter.api.io.TempDir
import java.io.ByteArrayInputStream
import java.io.ByteArrayOutputStream
import java.io.File
import java.io.IOException
import java.io.InputStream
import java.util.concurrent.CountDownLatch
import java.util.concurrent.atomic.AtomicInteger
import kotlin.time.Duration.Companion.milliseconds

class FilesTest {
    @TempDir
    lateinit var folder: File

    private val large = ByteArray(600_000) { (it % 251).toByte() }

    private fun text(content: String) = FileSource(content.encodeToByteArray())

    private suspend fun Interocitor.text(path: String) = getFile(path).bytes().decodeToString()

    @Test
    fun `content goes in and out in every way`() = test {
        val mailbox = Mailbox.memory()
        val source = File(folder, "source").apply { writeBytes(large) }
        member(mailbox).use { a ->
            a.connect()
            val put = a.putFile("in//bytes/", FileSource(large), "application/x-test")
            assertEquals(listOf("in/bytes", 600_000L, "application/x-test"), listOf(put.path, put.size, put.contentType))
            assertTrue(put.isHere && !put.isPinned && put.modified != null)
            assertEquals(TransferKind.UPLOAD to TransferState.WAITING, put.transfer?.run { kind to state })
            val others = listOf(
                a.putFile("in/file", FileSource(source)),
                a.putFile("in/path", FileSource(source.toPath())),
                // One that gives less than it is asked for, and sometimes nothing.
                a.putFile("in/stream", FileSource(Dripping(large))),
            )
            assertEquals(setOf(put.digest), others.map { it.digest }.toSet())
            assertEquals(FilesSynced(4, 0, null), a.syncFiles())
            member(mailbox).use { b ->
                b.connect()
                val content = b.getFile("in/bytes", digest = put.digest)
                assertEquals("application/x-test" to 600_000L, content.info.run { contentType to size })
                assertArrayEquals(large, content.bytes())
                failsWith<InterocitorException.Rejected>("INVALID_ARGUMENT") { content.bytes() }
                val (one, other) = File(folder, "one") to File(folder, "other")
                b.getFile("in/file", prefersCache = true).saveTo(one)
                b.getFile("in/path").saveTo(other.toPath())
                assertArrayEquals(large, one.readBytes())
                assertArrayEquals(large, other.readBytes())
                val copied = ByteArrayOutputStream()
                b.getFile("in/stream").copyTo(copied)
                assertArrayEquals(large, copied.toByteArray())
                val stream = b.getFile("in/stream").inputStream()
                stream.use {
                    assertEquals(large[0].toInt(), it.read())
                    assertArrayEquals(large.drop(1).toByteArray(), it.readBytes())
                    assertEquals(-1, it.read())
                }
                assertThrows<IOException> { stream.read() }
                val listing = b.listFiles("in/")
                assertEquals(listOf("in/bytes", "in/file", "in/path", "in/stream") to 0L, listing.files.map { it.path } to listing.unnamed)
                assertEquals(put.digest, b.getFileMetadata("in/file")?.digest)
                a.deleteFile("in/file")
                a.sync()
                failsWith<InterocitorException.Rejected>("FILE_NOT_FOUND") { b.getFile("in/file") }
                assertNull(b.getFileMetadata("in/file"))
            }
        }
    }

    /** Gives a few bytes at a time, and between them none. */
    private class Dripping(content: ByteArray) : InputStream() {
        private val inner = ByteArrayInputStream(content)
        private var calls = 0

        override fun read(): Int = inner.read()

        override fun read(buffer: ByteArray, offset: Int, length: Int): Int =
            if (calls++ % 2 == 0) 0 else inner.read(buffer, offset, minOf(length, 99_991))
    }

    @Test
    fun `a row and its file are published together`() = test {
        val mailbox = Mailbox.memory()
        member(mailbox).use { a ->
            a.connect()
            val scan = a.stageFile("receipts/may.pdf", text("a bill"))
            assertEquals(listOf("receipts/may.pdf", 6L, 64), listOf(scan.path, scan.size, scan.digest.length))
            assertEquals(emptyList<FileInfo>(), a.fileTransfers())
            a.batch {
                putFile(scan)
                table<Title>("receipts").put("may", Title("May"))
            }
            failsWith<InterocitorException.Rejected>("INVALID_ARGUMENT") { a.batch { putFile(scan) } }
            a.pauseFile("receipts/may.pdf")
            failsWith<InterocitorException.Rejected>("INVALID_ARGUMENT") { a.cancelFile("receipts/may.pdf") }
            a.flush()
            member(mailbox).use { b ->
                b.connect()
                assertNull(b.table<Title>("receipts").row("may"))
                a.resumeFile("receipts/may.pdf")
                a.sync()
                b.pull()
                assertNotNull(b.table<Title>("receipts").row("may"))
                assertEquals("a bill", b.text("receipts/may.pdf"))
            }
            // A batch that throws puts nothing.
            val lost = a.stageFile("lost", text("x"))
            assertThrows<IllegalStateException> { a.batch { putFile(lost); error("no") } }
            assertEquals(0, a.listFiles("lost").files.size)
        }
    }

    @Test
    fun `what waits is told, and does as it is told`() = test {
        val mailbox = Mailbox.memory()
        member(mailbox).use { a ->
            a.connect()
            val queue = Channel<List<FileInfo>>(Channel.UNLIMITED)
            val watching = async { a.fileQueue.collect(queue::send) }
            suspend fun until(isSo: (List<FileInfo>) -> Boolean): List<FileInfo> {
                while (true) queue.receive().let { if (isSo(it)) return it }
            }
            until { it.isEmpty() }
            val progress = async(start = CoroutineStart.UNDISPATCHED) { a.events.filterIsInstance<Event.FileProgress>().first() }
            val uploading = Event.FileState("b", true, TransferKind.UPLOAD, TransferState.RUNNING)
            val running = async(start = CoroutineStart.UNDISPATCHED) { a.events.first { it == uploading } }
            a.putFile("a", text("one"))
            a.pauseFile("a")
            a.putFile("b", text("two"))
            val waiting = until { it.size == 2 }.map { it.transfer!! }
            assertEquals(listOf(TransferState.PAUSED, TransferState.WAITING), waiting.map { it.state })
            assertEquals(listOf(0L, null, null, null), waiting[1].run { listOf(attempts, retryAt, problem, fraction) })
            assertEquals(2L to 0L, a.status().run { pendingFiles to failedFiles })
            assertEquals(1, a.syncFiles().done)
            assertEquals("b", progress.await().path)
            running.await()
            a.cancelFile("a")
            until { it.isEmpty() }
            failsWith<InterocitorException.Rejected>("FILE_NOT_FOUND") { a.getFile("a") }
            member(mailbox).use { b ->
                b.connect()
                b.pinFile("b")
                assertEquals(TransferKind.DOWNLOAD, b.fileTransfers().single().transfer?.kind)
                b.syncFiles()
                suspend fun known() = b.listFiles("b").files.single()
                assertTrue(known().run { isHere && isPinned })
                b.unpinFile("b")
                assertTrue(known().run { isHere && !isPinned })
                b.evictFile("b")
                assertFalse(known().isHere)
                val error = async(start = CoroutineStart.UNDISPATCHED) { b.events.filterIsInstance<Event.FileError>().first() }
                b.pinFile("missing")
                assertEquals(1, b.syncFiles().failed)
                assertEquals(listOf("missing", "FILE_NOT_FOUND", null), error.await().run { listOf(path, code, retryIn) })
                val failed = b.fileTransfers().single().transfer!!
                assertEquals(listOf(TransferState.FAILED, 1L, "FILE_NOT_FOUND"), listOf(failed.state, failed.attempts, failed.problem?.code))
                assertEquals(1, b.status().failedFiles)
            }
            a.shutdown()
            watching.await()
        }
    }

    @Test
    fun `a transfer tells how far it is`() {
        fun transfer(bytes: Long, total: Long?) = FileTransfer(TransferKind.UPLOAD, TransferState.RUNNING, bytes, total, 0, null, null)
        assertEquals(listOf(0.5f, 1f, null, null), listOf(transfer(5, 10), transfer(11, 10), transfer(5, null), transfer(0, 0)).map { it.fraction })
    }

    @Test
    fun `a stream that fails or is given up stores nothing`() = test {
        inMemory { db ->
            db.putFile("a", text("what was there"))
            val broken = object : InputStream() {
                override fun read(): Int = throw IOException("a secret")
            }
            val failure = failsWith<InterocitorException.Rejected>("INVALID_ARGUMENT") { db.putFile("a", FileSource(broken)) }
            assertTrue("java.io.IOException" in failure.reason && "a secret" !in failure.reason, failure.reason)
            val (reads, goOn, begun) = Triple(AtomicInteger(), CountDownLatch(1), CompletableDeferred<Unit>())
            val endless = object : InputStream() {
                override fun read(): Int = 0

                override fun read(buffer: ByteArray, offset: Int, length: Int): Int {
                    if (reads.incrementAndGet() == 2) {
                        begun.complete(Unit)
                        goOn.await()
                    }
                    return length
                }
            }
            val putting = launch { db.putFile("a", FileSource(endless)) }
            begun.await()
            putting.cancelAndJoin()
            goOn.countDown()
            delay(200.milliseconds)
            assertEquals(2, reads.get(), "it is read on although nobody waits")
            assertEquals("what was there", db.text("a"))
        }
    }

    @Test
    fun `what is wrong with a file is told`() = test {
        val mailbox = folder.mailbox()
        val configure: Configuration.() -> Unit = {
            fileForm = FileForm.PLAIN
            maxFileBytes = 10
            fileCacheBytes = 0
        }
        member(Mailbox.folder(mailbox), configure).use { db ->
            db.connect()
            for (path in listOf("", "../a", "a\u0000b")) {
                failsWith<InterocitorException.Rejected>("INVALID_ARGUMENT") { db.putFile(path, text("x")) }
                failsWith<InterocitorException.Rejected>("INVALID_ARGUMENT") { db.getFile(path) }
            }
            failsWith<InterocitorException.Rejected>("LIMIT") { db.putFile("a", text("eleven bytes")) }
            failsWith<InterocitorException.Rejected>("INVALID_ARGUMENT") { db.putFile("a", FileSource(File(folder, "missing"))) }
            db.putFile("a/b", text("content"))
            failsWith<InterocitorException.Rejected>("INVALID_ARGUMENT") { db.evictFile("a/b") }
            db.sync()
            val stored = File(mailbox, "Mesh/files/a/b")
            assertTrue(stored.isFile && !db.listFiles().files.single().isHere)
            failsWith<InterocitorException.Rejected>("FILE_INTEGRITY") { db.getFile("a/b", digest = "0".repeat(64)) }
            failsWith<InterocitorException.Rejected>("INVALID_ARGUMENT") { db.getFile("a/b").saveTo(File(folder, "no/such")) }
            stored.writeText("something else")
            failsWith<InterocitorException.Rejected>("FILE_INTEGRITY") { db.getFile("a/b") }
        }
        for (bad in listOf<Configuration.() -> Unit>({ maxFileBytes = -1 }, { fileCacheBytes = -1 })) {
            failsWith<InterocitorException.Rejected>("INVALID_ARGUMENT") { Interocitor.open("tests", bad) }
        }
    }

    @Test
    fun `the form is as the configuration says`() = test {
        val mailbox = folder.mailbox()
        member(Mailbox.folder(mailbox)) { fileForm = FileForm.HASHED }.use { db ->
            db.connect()
            db.putFile("a/b", text("content"))
            db.sync()
            assertTrue(File(mailbox, "Mesh/files").list()!!.single().length == 64)
            // Who has not met it knows that there is something.
            member(Mailbox.folder(mailbox)).use { other ->
                other.connect()
                assertEquals(FileListing(emptyList(), 1), other.listFiles())
                assertEquals("content", other.text("a/b"))
            }
        }
    }
}
