package dev.interocitor

import dev.interocitor.ffi.InternalException
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.Deferred
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitCancellation
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.filterIsInstance
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.withContext
import kotlinx.coroutines.withTimeout
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir
import java.io.File
import java.io.RandomAccessFile
import java.security.MessageDigest
import kotlin.time.Duration
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds

/** Codes that take some doing to provoke; the others are met in the tests of what they belong to. */
class ErrorCodeTest {
    @TempDir
    lateinit var folder: File

    /** The next event of a kind. It is listened for when this returns. */
    private inline fun <reified E : Event> CoroutineScope.next(db: Interocitor): Deferred<E> =
        async(start = CoroutineStart.UNDISPATCHED) { withTimeout(5.seconds) { db.events.filterIsInstance<E>().first() } }

    /** Writes a second manifest as a compaction would, and points at it. Its hash covers the compact text without it. */
    private fun File.putSecondManifest(vararg changed: Pair<String, JsonElement>) {
        val first = json(resolve("manifest-1.json").readText())
        val next = first - "contentHash" + ("generation" to JsonPrimitive(2)) + changed
        val digest = MessageDigest.getInstance("SHA-256").digest(JsonObject(next).toString().encodeToByteArray())
        val hash = JsonPrimitive("sha256:" + digest.joinToString("") { "%02x".format(it) })
        resolve("manifest-2.json").writeText(JsonObject(next + ("contentHash" to hash)).toString())
        resolve("manifest.json").writeText("""{"currentGeneration":2,"file":"manifest-2.json"}""")
    }

    private fun File.content() = walk().filter { it.isFile }.associate { it.path to it.readText() }

    @Test
    fun `manifests that cannot be used change nothing, here or there`() = test {
        val mailbox = folder.mailbox()
        member(Mailbox.folder(mailbox)).use { it.connect() }
        val mesh = File(mailbox, "Mesh")
        val sound = mesh.content()
        val faults = listOf<Pair<String, File.() -> Unit>>(
            "MANIFEST_HASH" to { resolve("manifest-1.json").run { writeText(readText().replace("\"epoch\": 0", "\"epoch\": 7")) } },
            "MANIFEST_INVALID" to { resolve("manifest-1.json").writeText("{}") },
            "MANIFEST_INVALID" to { resolve("manifest-1.json").delete() },
            "MANIFEST_INVALID" to { resolve("manifest.json").writeText("""{"currentGeneration":1,"file":"../manifest-1.json"}""") },
            "MANIFEST_INVALID" to { putSecondManifest("version" to JsonPrimitive(4)) },
        )
        member(Mailbox.folder(mailbox)).use { db ->
            db.table<Title>("todos").put("a", Title("Milk"))
            for ((number, fault) in faults.withIndex()) {
                val (code, damage) = fault
                mesh.damage()
                val damaged = mesh.content()
                assertTrue(damaged != sound, "fault $number is none")
                val failure = failsWith<InterocitorException.Mesh>(code) { db.connect() }
                assertFalse(failure.isRetryable, "fault $number")
                assertTrue("manifest" in failure.reason, failure.reason)
                assertEquals(damaged, mesh.content(), "fault $number")
                assertEquals(1L to null, db.status().run { pendingCount to meshId }, "fault $number")
                mesh.resolve("manifest-2.json").delete()
                for ((path, text) in sound) File(path).writeText(text)
            }
            assertEquals(Connection.Online, db.connect())
            assertEquals(0, db.status().pendingCount)
        }
    }

    @Test
    fun `a mailbox that was rolled back is told, and nothing is lost`() = test {
        val mailbox = folder.mailbox()
        member(Mailbox.folder(mailbox)).use { db ->
            val todos = db.table<Title>("todos")
            todos.put("a", Title("Milk"))
            db.connect()
            val (mesh, older) = File(mailbox, "Mesh") to File(folder, "older")
            mesh.copyRecursively(older)
            todos.put("b", Title("Bread"))
            db.compact(Duration.ZERO)
            mesh.deleteRecursively()
            older.copyRecursively(mesh)
            val rollback = next<Event.RemoteRollback>(db)
            db.sync()
            assertEquals(Event.RemoteRollback(knownGeneration = 2, generation = 1, knownEpoch = 1, epoch = 0), rollback.await())
            assertEquals(2, todos.query().count())
        }
        member(Mailbox.folder(mailbox)).use { other ->
            other.connect()
            assertEquals(2, other.table<Title>("todos").query().count())
        }
    }

    @Test
    fun `a manifest that was only covered up is put back`() = test {
        val mailbox = folder.mailbox()
        member(Mailbox.folder(mailbox)).use { db ->
            db.connect()
            val mesh = File(mailbox, "Mesh")
            val older = mesh.resolve("manifest.json").readText()
            mesh.putSecondManifest()
            db.sync()
            assertEquals(2, db.status().generation)
            mesh.resolve("manifest.json").writeText(older)
            val repaired = next<Event.RemoteRepaired>(db)
            db.table<Title>("todos").put("a", Title("Milk"))
            db.sync()
            assertEquals(Event.RemoteRepaired(generation = 2, foundGeneration = 1), repaired.await())
            assertEquals(2, db.status().generation)
            assertTrue("manifest-2.json" in mesh.resolve("manifest.json").readText())
        }
    }

    @Test
    fun `a credential of another mesh is not used`() = test {
        val mailbox = Mailbox.memory()
        val file = File(folder, "todo.db")
        val meshId = member(mailbox) { path = file }.use { it.connect(); checkNotNull(it.status().meshId) }
        val keychain = object : MemoryCredentials() {
            override suspend fun load(name: String) =
                if (name.endsWith(" keys")) null else StoredCredentials(PASSPHRASE, "dev-1", "mesh_of_others", null)
        }
        // A store that knows its mesh is not even opened with it.
        val known = failsWith<InterocitorException.Credential>("MESH_CREDENTIAL_MISMATCH") {
            member(mailbox) { path = file; credentials = keychain }
        }
        assertTrue("mesh_of_others" in known.reason && meshId in known.reason, known.reason)
        member(mailbox) { credentials = keychain }.use { db ->
            val told = next<Event.CredentialsMeshMismatch>(db)
            val failure = failsWith<InterocitorException.Credential>("MESH_CREDENTIAL_MISMATCH") { db.connect() }
            assertFalse(failure.isRetryable || PASSPHRASE in failure.reason, failure.reason)
            assertEquals(Event.CredentialsMeshMismatch("mesh_of_others", meshId), told.await())
            assertEquals(null, db.status().meshId)
            // The passphrase, given by the user, is bound to no mesh.
            db.setPassphrase(PASSPHRASE)
            assertEquals(Connection.Online, db.connect())
        }
    }

    @Test
    fun `what a mailbox refuses as too large waits, and the rest goes past it`() = test {
        val adapter = object : MemoryAdapter() {
            override suspend fun writeFile(path: String, body: ByteArray) {
                if (body.size > 8192) throw MailboxException(MailboxFault.TOO_LARGE, "8 KiB at most")
                super.writeFile(path, body)
            }
        }
        member(Mailbox.custom(adapter)).use { db ->
            db.connect()
            db.table<Title>("todos").put("large", Title("x".repeat(20_000)))
            assertEquals(0, db.flush())
            db.table<Title>("todos").put("small", Title("Milk"))
            assertEquals(1, db.flush())
            val status = db.status()
            assertEquals(1, status.pendingCount)
            assertTrue("ENTRY_TOO_LARGE" in status.pendingProblems.single(), "$status")
        }
        member(Mailbox.custom(adapter)).use { other ->
            other.connect()
            assertEquals(listOf("small"), other.table<Title>("todos").query().rows().map { it.id })
        }
    }

    /** Overwrites a number in the head of an SQLite file; gives the former one. */
    private fun File.patchHead(offset: Long, value: Int): Int = RandomAccessFile(this, "rw").use { file ->
        file.seek(offset)
        val former = file.readInt()
        file.seek(offset)
        file.writeInt(value)
        former
    }

    @Test
    fun `a store of a newer version or of another program is left as it is`() = test {
        val file = File(folder, "todo.db")
        Interocitor.open("tests") { path = file }.use { it.table<Title>("todos").put("a", Title("Milk")) }
        val (userVersion, applicationId) = 60L to 68L
        for ((offset, code) in listOf(userVersion to "STORE_NEWER", applicationId to "STORE_CORRUPT")) {
            val former = file.patchHead(offset, 99)
            val changed = file.readBytes()
            val failure = failsWith<InterocitorException.Store>(code) { Interocitor.open("tests") { path = file } }
            assertFalse(failure.isRetryable)
            assertTrue(file.name in failure.reason, failure.reason)
            assertTrue(changed.contentEquals(file.readBytes()), code)
            file.patchHead(offset, former)
        }
        Interocitor.open("tests") { path = file }.use { assertEquals(1, it.table<Title>("todos").query().count()) }
    }

    /** A file with holes, as large as SQLite lets one become, stands for a disk that is full: no page can be added. */
    @Test
    fun `a full disk is told and nothing is half stored`() = test {
        val file = File(folder, "todo.db")
        Interocitor.open("tests") { path = file }.use { it.table<Title>("todos").put("a", Title("Milk")) }
        val (pages, pageSize, pageCount) = Triple(0xffff_fffeL, 4096L, 28L)
        assertEquals(file.length(), file.patchHead(pageCount, pages.toInt()) * pageSize)
        RandomAccessFile(file, "rw").use { it.setLength(pages * pageSize) }

        Interocitor.open("tests") { path = file }.use { db ->
            val (todos, large) = db.table<Title>("todos") to Title("x".repeat(100_000))
            val failure = failsWith<InterocitorException.Store>("DISK_FULL") { todos.put("b", large) }
            assertTrue(failure.isRetryable)
            failsWith<InterocitorException.Store>("DISK_FULL") {
                db.batch {
                    table<Title>("todos").put("c", Title("Bread"))
                    table<Title>("todos").put("b", large)
                }
            }
            assertEquals(listOf("a"), todos.query().rows().map { it.id })
            assertEquals(1, db.status().pendingCount)
        }
    }

    /** Another process that writes to a store until the block ends. */
    private suspend fun <T> heldByAnother(file: File, block: suspend () -> T): T {
        val program = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None); " +
            "c.execute('BEGIN EXCLUSIVE'); print('held', flush=True); sys.stdin.read()"
        val process = withContext(Dispatchers.IO) {
            ProcessBuilder("python3", "-c", program, file.path).redirectError(ProcessBuilder.Redirect.INHERIT).start()
        }
        try {
            assertEquals("held", withContext(Dispatchers.IO) { process.inputStream.bufferedReader().readLine() })
            return block()
        } finally {
            process.destroyForcibly().waitFor()
        }
    }

    // It takes the ten seconds that a write waits for the other process.
    @Test
    fun `a store that another process holds is busy until that lets go`() = test {
        val file = File(folder, "todo.db")
        Interocitor.open("tests") { path = file }.use { db ->
            val todos = db.table<Title>("todos")
            todos.put("a", Title("Milk"))
            heldByAnother(file) {
                val writing = async { failsWith<InterocitorException.Store>("STORE_BUSY") { todos.put("b", Title("Bread")) } }
                // Reads go on all the time.
                var reads = 0
                while (writing.isActive) {
                    withTimeout(2.seconds) {
                        assertEquals(Title("Milk"), todos.row("a")?.value)
                        assertEquals(listOf("a"), todos.query().rows().map { it.id })
                    }
                    reads++
                    delay(50.milliseconds)
                }
                assertTrue(reads > 100, "$reads reads")
                assertTrue(writing.await().isRetryable)
            }
            assertEquals(1, todos.query().count())
            todos.put("b", Title("Bread"))
            assertEquals(2, todos.query().count())
        }
    }

    @Test
    fun `an exchange that a disconnect breaks off is cancelled`() = test {
        val asked = CompletableDeferred<Unit>()
        val adapter = object : MemoryAdapter() {
            @Volatile
            var isStuck = false

            override suspend fun listFiles(folder: String): List<MailboxFile> {
                if (!isStuck) return super.listFiles(folder)
                asked.complete(Unit)
                awaitCancellation()
            }
        }
        member(Mailbox.custom(adapter)).use { db ->
            db.connect()
            adapter.isStuck = true
            val pulling = async { failsWith<InterocitorException.Cancelled>("CANCELLED") { db.pull() } }
            asked.await()
            withTimeout(5.seconds) { db.disconnect() }
            assertFalse(pulling.await().isRetryable)
            assertEquals(ConnectionState.OFFLINE, db.status().connection)
        }
    }

    // No call of an app is known to provoke it: this is what the generated code throws where the engine panics.
    @Test
    fun `a fault of the engine itself is INTERNAL and asks to be reported`() {
        val failure = failsWith<InterocitorException.Internal>("INTERNAL") { engineNow { throw InternalException("index out of bounds") } }
        assertFalse(failure.isRetryable)
        assertTrue("report" in failure.reason && "index out of bounds" in failure.reason, failure.reason)
    }
}
