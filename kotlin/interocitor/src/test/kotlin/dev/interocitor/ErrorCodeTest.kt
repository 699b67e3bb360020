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
import java.util.concurrent.CountDownLatch
import java.util.concurrent.TimeUnit
import java.util.concurrent.atomic.AtomicInteger
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
    fun `a mailbox that was rolled back is told, and nothing older is adopted`() = test {
        val mailbox = folder.mailbox()
        member(Mailbox.folder(mailbox)).use { db ->
            db.connect()
            val mesh = File(mailbox, "Mesh")
            val older = mesh.resolve("manifest.json").readText()
            mesh.putSecondManifest()
            db.sync()
            assertEquals(2, db.status().generation)
            mesh.resolve("manifest.json").writeText(older)
            val rollback = next<Event.RemoteRollback>(db)
            db.table<Title>("todos").put("a", Title("Milk"))
            db.sync()
            assertEquals(Event.RemoteRollback(knownGeneration = 2, generation = 1, knownEpoch = 0, epoch = 0), rollback.await())
            assertEquals(2, db.status().generation)
            assertEquals(Title("Milk"), db.table<Title>("todos").row("a")?.value)
        }
    }

    @Test
    fun `a credential of another mesh is not used`() = test {
        val mailbox = Mailbox.memory()
        val file = File(folder, "todo.db")
        val meshId = member(mailbox) { path = file }.use { it.connect(); checkNotNull(it.status().meshId) }
        val keychain = object : MemoryCredentials() {
            override suspend fun load(name: String) = StoredCredentials(PASSPHRASE, "dev-1", "mesh_of_others", null)
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
                val failure = failsWith<InterocitorException.Store>("STORE_BUSY") { todos.put("b", Title("Bread")) }
                assertTrue(failure.isRetryable)
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

/** Code of the app that keeps the engine waiting: other calls go on. */
class BlockingAppCodeTest {
    /** Blocks the thread of whoever comes until it is opened. */
    private class Gate {
        private val reached = CountDownLatch(1)
        private val opened = CountDownLatch(1)

        fun pass() {
            reached.countDown()
            check(opened.await(20, TimeUnit.SECONDS)) { "the gate was never opened" }
        }

        suspend fun isReached() = withContext(Dispatchers.IO) { assertTrue(reached.await(5, TimeUnit.SECONDS), "nobody came") }

        fun open() = opened.countDown()
    }

    /** What an app does meanwhile, with this database and others. */
    private suspend fun use(db: Interocitor) = withTimeout(5.seconds) {
        val notes = db.table<Title>("notes")
        val id = notes.add(Title("Milk"))
        assertEquals(Title("Milk"), notes.row(id)?.value)
        db.batch { table<Title>("notes").delete(id) }
        assertEquals(0, notes.query().count())
        db.status()
        inMemory { it.table<Title>("notes").add(Title("Bread")) }
    }

    /** Begins a call whose foreign code blocks; the block runs while it does. */
    private suspend fun CoroutineScope.whileBlocked(gate: Gate, call: suspend () -> Unit, block: suspend () -> Unit) {
        val calling = async { call() }
        try {
            gate.isReached()
            block()
            assertTrue(calling.isActive, "the call did not wait")
        } finally {
            gate.open()
        }
        withTimeout(5.seconds) { calling.await() }
    }

    @Test
    fun `a keychain that blocks holds up its own call only`() = test {
        val gate = Gate()
        val keychain = object : MemoryCredentials() {
            override suspend fun save(name: String, credentials: StoredCredentials) {
                gate.pass()
                super.save(name, credentials)
            }
        }
        member(Mailbox.memory()) { credentials = keychain }.use { db ->
            whileBlocked(gate, { assertEquals(Connection.Online, db.connect()) }) { use(db) }
            assertEquals(PASSPHRASE, keychain.saved.values.single().passphrase)
        }
    }

    @Test
    fun `a biometric prompt that blocks holds up its own call only`() = test {
        val gate = Gate()
        val prompt = object : MirrorPrompt() {
            override suspend fun unseal(sealed: ByteArray, reason: String): ByteArray {
                gate.pass()
                return super.unseal(sealed, reason)
            }
        }
        member(Mailbox.memory()) { credentials = MemoryCredentials(); biometrics = prompt }.use { db ->
            db.connect()
            db.secureWithBiometrics("to keep it")
            db.disconnect()
            db.clearCredentials()
            whileBlocked(gate, { db.restoreWithBiometrics("to open it") }) { use(db) }
            assertEquals(PASSPHRASE, db.getPassphrase())
        }
    }

    @Test
    fun `a merge function that blocks holds up its own pull only`() = test {
        val gate = Gate()
        val mailbox = Mailbox.memory()
        val highest = { conflicts: List<MergeConflict> -> conflicts.map { maxOf(it.local, it.remote, compareBy { value -> value.text }) } }
        member(mailbox) { merge("t", "v") { highest(it) } }.use { a ->
            member(mailbox) { merge("t", "v") { gate.pass(); highest(it) } }.use { b ->
                a.connect()
                b.connect()
                a.table<JsonObject>("t").put("x", json("""{"v":2}"""))
                delay(5.milliseconds)
                b.table<JsonObject>("t").put("x", json("""{"v":1}"""))
                a.sync()
                whileBlocked(gate, { b.sync() }) {
                    use(b)
                    use(a)
                    withTimeout(5.seconds) { a.sync() }
                }
                repeat(2) { a.sync(); b.sync() }
                for (db in listOf(a, b)) assertEquals(JsonPrimitive(2), db.table<JsonObject>("t").row("x")?.value?.get("v"))
            }
        }
    }

    @Test
    fun `a log sink that blocks holds up nobody`() = test {
        val gate = Gate()
        val taken = AtomicInteger()
        try {
            Interocitor.setLogSink({ gate.pass(); taken.incrementAndGet() }, LogLevel.TRACE)
            member(Mailbox.memory()).use { db ->
                db.connect()
                gate.isReached()
                use(db)
                withTimeout(5.seconds) {
                    db.sync()
                    db.disconnect()
                    db.shutdown()
                    Interocitor.setLogSink(null)
                }
            }
            assertEquals(0, taken.get(), "the sink did not block")
        } finally {
            gate.open()
            Interocitor.setLogSink(null)
        }
    }
}
