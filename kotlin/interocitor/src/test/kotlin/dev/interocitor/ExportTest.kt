package dev.interocitor

import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.async
import kotlinx.coroutines.flow.filterIsInstance
import kotlinx.coroutines.flow.first
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNotNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows
import org.junit.jupiter.api.io.TempDir
import java.io.File

/** A mesh as files, and back. */
class ExportTest {
    @TempDir
    lateinit var folder: File

    private suspend fun filled(): Interocitor {
        val db = member(Mailbox.memory())
        db.connect()
        db.table<Title>("todos").put("x", Title("Milk"))
        db.putFile("a/b", FileSource("content".encodeToByteArray()))
        return db
    }

    private val keyless: Configuration.() -> Unit = { remotePath = "/Mesh" }

    @Test
    fun `every form goes out and comes back`() = test {
        val forms = mapOf(
            ExportFormat.Folder to null,
            ExportFormat.Archive("correct horse") to "correct horse",
            ExportFormat.MeshArchive to PASSPHRASE,
        )
        filled().use { db ->
            for ((format, passphrase) in forms) {
                val target = File(folder, "$format")
                val going = async(start = CoroutineStart.UNDISPATCHED) { db.events.filterIsInstance<Event.ExportProgress>().first() }
                val exported = db.exportTo(target, format)
                assertEquals(listOf(1L, 1L, 1L, 0L), exported.run { listOf(tables, rows, files, unnamed) }, "$format")
                assertTrue(exported.bytes > 7 && going.await().run { rows <= 1 && files <= 1 }, "$format")
                assertEquals(format == ExportFormat.Folder, File(target, "export.json").isFile, "$format")
                assertTrue(target.isDirectory || "Milk" !in target.readText(), "$format")
                inMemory(keyless) { new ->
                    val coming = async(start = CoroutineStart.UNDISPATCHED) { new.events.filterIsInstance<Event.ImportProgress>().first() }
                    assertEquals(Imported(1, 1, 1), new.importFrom(target, passphrase), "$format")
                    assertTrue(coming.await().run { rows <= 1 && files <= 1 }, "$format")
                    assertEquals("Milk", new.table<Title>("todos").row("x")?.value?.title)
                    assertEquals("content", new.getFile("a/b").bytes().decodeToString())
                    assertEquals(0, new.importFrom(target.toPath(), passphrase).changed)
                }
            }
        }
    }

    @Test
    fun `what is no whole export changes nothing`() = test {
        val target = File(folder, "archive")
        filled().use { db ->
            db.exportTo(target.toPath(), ExportFormat.Archive("correct horse"))
            failsWith<InterocitorException.Rejected>("INVALID_ARGUMENT") { db.exportTo(target) }
        }
        inMemory(keyless) { new ->
            failsWith<InterocitorException.Credential>("PASSPHRASE_WRONG") { new.importFrom(target, "wrong") }
            failsWith<InterocitorException.Rejected>("INVALID_ARGUMENT") { new.importFrom(File(folder, "missing")) }
            val whole = target.readText()
            target.writeText(whole.dropLast(1))
            failsWith<InterocitorException.Rejected>(ErrorCode.EXPORT_INVALID) { new.importFrom(target, "correct horse") }
            target.writeText(whole.replaceFirst("\"version\":1", "\"version\":2"))
            failsWith<InterocitorException.Rejected>(ErrorCode.EXPORT_NEWER) { new.importFrom(target, "correct horse") }
            assertEquals(emptyList<String>(), new.tableNames())
        }
    }

    @Test
    fun `what cannot go out is told`() = test {
        val target = File(folder, "export")
        inMemory(keyless) { db ->
            failsWith<InterocitorException.Credential>("PASSPHRASE_REQUIRED") { db.exportTo(target, ExportFormat.MeshArchive) }
        }
        val db = filled()
        db.sync()
        db.evictFile("a/b")
        db.disconnect()
        failsWith<InterocitorException.Remote>("OFFLINE") { db.exportTo(target) }
        assertEquals(emptyList<String>(), folder.list().orEmpty().toList())
        db.shutdown()
        failsWith<InterocitorException.Closed>("SHUT_DOWN") { db.exportTo(target) }
        failsWith<InterocitorException.Closed>("SHUT_DOWN") { db.importFrom(target) }
    }

    @Test
    fun `one that is given up leaves nothing`() = test {
        filled().use { db ->
            db.putFile("large", FileSource(ByteArray(32 shl 20)))
            val going = async(start = CoroutineStart.UNDISPATCHED) { db.events.filterIsInstance<Event.ExportProgress>().first() }
            val exporting = async { db.exportTo(File(folder, "export")) }
            going.await()
            exporting.cancel()
            assertThrows<CancellationException> { exporting.await() }
            eventually("nothing is left") { folder.list().orEmpty().isEmpty() }
            assertNotNull(db.table<Title>("todos").row("x"))
        }
    }
}
