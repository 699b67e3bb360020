package dev.interocitor

import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitAll
import kotlinx.coroutines.delay
import kotlinx.coroutines.withContext
import kotlinx.coroutines.withTimeout
import kotlinx.coroutines.yield
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import java.util.concurrent.CountDownLatch
import java.util.concurrent.TimeUnit
import java.util.concurrent.atomic.AtomicInteger
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds

/** Code of the app that keeps the engine waiting: other calls go on. */
class BlockingAppCodeTest {
    /** Blocks the thread of whoever comes until it is opened. */
    private class Gate {
        private val reached = CountDownLatch(1)
        private val opened = CountDownLatch(1)

        val isReached get() = reached.count == 0L

        fun pass() {
            reached.countDown()
            check(opened.await(20, TimeUnit.SECONDS)) { "the gate was never opened" }
        }

        suspend fun awaitReached() = withContext(Dispatchers.IO) { assertTrue(reached.await(5, TimeUnit.SECONDS), "nobody came") }

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
            gate.awaitReached()
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
    fun `a shutdown waits for no code of the app`() = test(60.seconds) {
        val (saving, asking, merging) = Triple(Gate(), Gate(), Gate())
        val keychain = object : MemoryCredentials() {
            override suspend fun save(name: String, credentials: StoredCredentials) {
                saving.pass()
                super.save(name, credentials)
            }
        }
        val mailbox = Mailbox.memory()
        val merger = member(mailbox) { merge("t") { conflicts -> merging.pass().let { conflicts.map { it.local } } } }
        member(mailbox).use { peer ->
            peer.table<Title>("t").put("x", Title("theirs"))
            peer.connect()
        }
        merger.table<Title>("t").put("x", Title("ours"))
        val devices = listOf(
            saving to member(Mailbox.memory()) { credentials = keychain },
            asking to member(adapter(asking)),
            merging to merger,
        )
        for ((gate, db) in devices) {
            val connecting = async { runCatching { db.connect() } }
            try {
                gate.awaitReached()
                withTimeout(5.seconds) { db.shutdown() }
                failsWith<InterocitorException.Closed>("SHUT_DOWN") { db.status() }
            } finally {
                gate.open()
            }
            connecting.await()
        }
    }

    /** More calls than any pool of coroutines has threads, that of calls on rows included. */
    @Test
    fun `code of the app that blocks takes no thread that coroutines share`() = test(60.seconds) {
        val gates = List(64 + Runtime.getRuntime().availableProcessors()) { Gate() }
        val databases = gates.mapIndexed { number, gate ->
            member(if (number % 2 == 0) adapter(gate) else tokens(gate))
        }
        inMemory { db ->
            val connecting = databases.map { async { it.connect() } }
            try {
                // Sixty-four stand there at once.
                eventually("they are asked") { gates.count { it.isReached } >= 64 }
                use(db)
                withTimeout(5.seconds) { withContext(Dispatchers.Default) { repeat(100) { yield() } } }
                assertTrue(connecting.all { it.isActive }, "the calls did not wait")
            } finally {
                for (gate in gates) gate.open()
            }
            withTimeout(20.seconds) { connecting.awaitAll() }
        }
        for (database in databases) database.shutdown()
    }

    private fun adapter(gate: Gate) = Mailbox.custom(object : MemoryAdapter() {
        override suspend fun authenticate(): MailboxCapabilities {
            gate.pass()
            return super.authenticate()
        }
    })

    private fun tokens(gate: Gate) = Mailbox.webdav("http://127.0.0.1:1/", WebDavAuth.Tokens {
        gate.pass()
        throw MailboxException(MailboxFault.UNAUTHORIZED, "sign in again")
    })

    @Test
    fun `a log sink that blocks holds up nobody`() = test {
        val gate = Gate()
        val taken = AtomicInteger()
        try {
            Interocitor.setLogSink({ gate.pass(); taken.incrementAndGet() }, LogLevel.TRACE)
            member(Mailbox.memory()).use { db ->
                db.connect()
                gate.awaitReached()
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
