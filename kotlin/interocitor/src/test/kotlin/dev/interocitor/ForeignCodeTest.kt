package dev.interocitor

import kotlinx.coroutines.awaitCancellation
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir
import java.io.File
import java.lang.ref.WeakReference
import java.util.concurrent.ConcurrentHashMap
import java.util.concurrent.ConcurrentLinkedQueue
import java.util.concurrent.atomic.AtomicInteger
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds

/** A keychain in memory. */
open class MemoryCredentials : CredentialStore {
    val saved = ConcurrentHashMap<String, StoredCredentials>()
    override suspend fun load(name: String) = saved[name]
    override suspend fun save(name: String, credentials: StoredCredentials) {
        saved[name] = credentials
    }

    override suspend fun clear(name: String) {
        saved.remove(name)
    }
}

/** Biometrics that turn bytes around. */
open class MirrorPrompt : BiometricPrompt {
    val reasons = ConcurrentLinkedQueue<String>()
    override suspend fun seal(secret: ByteArray, reason: String): ByteArray {
        reasons += reason
        return secret.reversedArray()
    }

    override suspend fun unseal(sealed: ByteArray, reason: String): ByteArray = sealed.reversedArray().also { reasons += reason }
}

/** What the app's code does wrong, and what comes of it. */
class ForeignCodeTest {
    @TempDir
    lateinit var folder: File

    private val faults: List<() -> Nothing> = listOf(
        { throw IllegalStateException("hunter2") },
        { throw StackOverflowError("hunter2") },
        { throw NotImplementedError("hunter2") },
        { throw kotlin.coroutines.cancellation.CancellationException("hunter2") },
        { throw InterocitorException.Credential("CREDENTIALS_UNAVAILABLE", "the keychain is locked") },
    )

    @Test
    fun `credentials outlive the database and are forgotten on demand`() = test {
        val (keychain, mailbox) = MemoryCredentials() to Mailbox.memory()
        val file = File(folder, "todo.db")
        member(mailbox) { path = file; credentials = keychain }.use { it.connect() }
        assertEquals(PASSPHRASE, keychain.saved.values.single().passphrase)
        assertFalse(PASSPHRASE in "${keychain.saved.values.single()}")
        member(mailbox) { path = file; credentials = keychain; passphrase = null }.use { db ->
            assertEquals(Connection.Online, db.connect())
            assertEquals(PASSPHRASE, db.getPassphrase())
            failsWith<InterocitorException.Rejected>("INVALID_ARGUMENT") { db.clearCredentials() }
            db.disconnect()
            db.clearCredentials()
            assertNull(db.getPassphrase())
        }
        assertTrue(keychain.saved.values.none { it.passphrase != null })
    }

    @Test
    fun `biometrics guard a second copy of the passphrase`() = test {
        val (keychain, prompt) = MemoryCredentials() to MirrorPrompt()
        val configure: Configuration.() -> Unit = {
            path = File(folder, "todo.db")
            credentials = keychain
            biometrics = prompt
        }
        member(Mailbox.memory(), configure).use { db ->
            db.connect()
            db.secureWithBiometrics("to keep it")
            db.disconnect()
            db.clearCredentials()
            db.restoreWithBiometrics("to open it")
            assertEquals(PASSPHRASE, db.getPassphrase())
        }
        assertEquals(listOf("to keep it", "to open it"), prompt.reasons.toList())
    }

    @Test
    fun `biometrics that are missing, dismissed or invalidated`() = test {
        member(Mailbox.memory()).use { db ->
            failsWith<InterocitorException.Credential>("BIOMETRICS_UNAVAILABLE") { db.secureWithBiometrics("please") }
        }
        for (wanted in listOf(
            InterocitorException.Cancelled("USER_CANCELLED", "dismissed"),
            InterocitorException.Credential("BIOMETRICS_UNAVAILABLE", "no sensor"),
            InterocitorException.Credential("CREDENTIAL_INVALIDATED", "enrolled anew"),
        )) {
            val prompt = object : MirrorPrompt() {
                override suspend fun unseal(sealed: ByteArray, reason: String): ByteArray = throw wanted
            }
            member(Mailbox.memory()) { credentials = MemoryCredentials(); biometrics = prompt }.use { db ->
                db.connect()
                db.secureWithBiometrics("please")
                val failure = failsWith<InterocitorException>(wanted.code) { db.restoreWithBiometrics("please") }
                assertEquals(wanted.javaClass, failure.javaClass)
            }
        }
    }

    @Test
    fun `a keychain that fails is an answer, whatever it throws`() = test {
        for (fault in faults) {
            val keychain = object : MemoryCredentials() {
                override suspend fun load(name: String) = fault()
                override suspend fun save(name: String, credentials: StoredCredentials) = fault()
            }
            val failure = failsWith<InterocitorException.Credential>("CREDENTIALS_UNAVAILABLE") {
                withTimeout(5.seconds) { member(Mailbox.memory()) { passphrase = null; credentials = keychain }.use { it.connect() } }
            }
            if (fault !== faults[3]) assertFalse("hunter2" in failure.stackTraceToString(), failure.stackTraceToString())
        }
    }

    @Test
    fun `an adapter that fails is an answer, whatever it throws`() = test {
        for (fault in faults) {
            val adapter = object : MemoryAdapter() {
                override suspend fun readFile(path: String) = fault()
                override suspend fun listFiles(folder: String) = fault()
            }
            withTimeout(5.seconds) {
                member(Mailbox.custom(adapter)).use { db ->
                    val outcome = runCatching { db.connect() }
                    val code = outcome.fold({ (it as Connection.Offline).code }, { (it as InterocitorException).code })
                    assertEquals("REMOTE_ACCESS", code)
                }
            }
        }
    }

    @Test
    fun `every fault of an adapter has its code`() = test {
        for ((fault, code) in listOf(
            MailboxFault.UNAUTHORIZED to "REMOTE_ACCESS",
            MailboxFault.FORBIDDEN to "REMOTE_ACCESS",
            MailboxFault.RATE_LIMITED to "REMOTE_ACCESS",
            MailboxFault.UNAVAILABLE to "REMOTE_ACCESS",
            MailboxFault.PROTOCOL to "REMOTE_ACCESS",
            MailboxFault.TIMEOUT to "REMOTE_TIMEOUT",
            MailboxFault.OFFLINE to "OFFLINE",
            MailboxFault.QUOTA_FULL to "QUOTA_FULL",
        )) {
            val adapter = object : MemoryAdapter() {
                override suspend fun authenticate(): MailboxCapabilities = throw MailboxException(fault, "the remote said so", 5.seconds)
            }
            member(Mailbox.custom(adapter)).use { db ->
                val outcome = runCatching { db.connect() }
                val (told, reason) = outcome.fold({ (it as Connection.Offline).run { this.code to reason } }, { (it as InterocitorException).run { this.code to reason } })
                assertEquals(code, told, "$fault: $reason")
                assertTrue(reason.isNotEmpty() && "authenticate" in reason || "the remote said so" in reason, reason)
            }
        }
    }

    @Test
    fun `a mailbox that takes no large bodies shows what is stuck`() = test {
        val adapter = object : MemoryAdapter() {
            override suspend fun authenticate() = MailboxCapabilities(exclusiveCreate = true, maxBody = 4096)
        }
        member(Mailbox.custom(adapter)).use { db ->
            db.connect()
            db.table<Title>("todos").put("a", Title("x".repeat(20_000)))
            runCatching { db.flush() }
            val status = db.status()
            assertEquals(1, status.pendingCount)
            assertTrue(status.pendingProblems.any { "ENTRY_TOO_LARGE" in it || "large" in it }, "$status")
        }
    }

    @Test
    fun `a cancelled call cancels the adapter that it waits for`() = test {
        val waiting = Channel<Boolean>(Channel.UNLIMITED)
        val adapter = object : MemoryAdapter() {
            override suspend fun authenticate(): MailboxCapabilities = try {
                waiting.send(true)
                awaitCancellation()
            } finally {
                waiting.trySend(false)
            }
        }
        member(Mailbox.custom(adapter)).use { db ->
            val connecting = launch { db.connect() }
            assertTrue(waiting.receive())
            connecting.cancelAndJoin()
            assertFalse(withTimeout(5.seconds) { waiting.receive() })
            withTimeout(5.seconds) { db.connectionState.first { it == ConnectionState.OFFLINE } }
            db.table<Title>("todos").put("a", Title("works on"))
        }
    }

    @Test
    fun `an adapter that uses the database does not deadlock`() = test {
        lateinit var db: Interocitor
        val adapter = object : MemoryAdapter() {
            override suspend fun authenticate(): MailboxCapabilities {
                db.table<Title>("log").add(Title("authenticate"))
                db.status()
                return super.authenticate()
            }
        }
        db = member(Mailbox.custom(adapter))
        db.use {
            assertEquals(Connection.Online, withTimeout(5.seconds) { db.connect() })
            assertEquals(1, db.table<Title>("log").query().count())
        }
    }

    @Test
    fun `a collector that uses the database does not deadlock`() = test {
        inMemory { db ->
            val done = Channel<Unit>()
            val listening = launch {
                db.events.collect {
                    if (it is Event.Change && it.table == "todos") {
                        db.table<Title>("log").add(Title("heard"))
                        done.send(Unit)
                    }
                }
            }
            delay(50.milliseconds)
            db.table<Title>("todos").put("a", Title("Milk"))
            done.receive()
            assertEquals(1, db.table<Title>("log").query().count())
            listening.cancelAndJoin()
        }
    }

    @Test
    fun `a collector that never returns holds up nobody, not even the end`() = test {
        val db = Interocitor.open("tests")
        val stuck = launch { db.events.collect { awaitCancellation() } }
        delay(50.milliseconds)
        repeat(500) { db.table<Title>("todos").put("$it", Title("$it")) }
        withTimeout(5.seconds) { db.shutdown() }
        stuck.cancelAndJoin()
    }

    @Test
    fun `a collector that throws ends itself only`() = test {
        inMemory { db ->
            val outcome = runCatching {
                launch { delay(50.milliseconds); db.table<Title>("todos").put("a", Title("Milk")) }
                db.events.collect { error("no") }
            }
            assertEquals("no", outcome.exceptionOrNull()?.message)
            db.table<Title>("todos").put("b", Title("Bread"))
        }
    }

    @Test
    fun `a merge function that fails leaves the last writer`() = test {
        val asked = AtomicInteger()
        val functions = listOf<MergeFunction>(
            MergeFunction { asked.incrementAndGet(); error("hunter2") },
            MergeFunction { asked.incrementAndGet(); throw StackOverflowError() },
            MergeFunction { asked.incrementAndGet(); emptyList() },
        )
        for (function in functions) {
            val mailbox = Mailbox.memory()
            member(mailbox) { merge("t", "v", function) }.use { a ->
                member(mailbox) { merge("t", "v", function) }.use { b ->
                    a.connect()
                    b.connect()
                    a.table<JsonObject>("t").put("x", json("""{"v":1}"""))
                    delay(5.milliseconds)
                    b.table<JsonObject>("t").put("x", json("""{"v":2}"""))
                    repeat(2) { a.sync(); b.sync() }
                    for (db in listOf(a, b)) assertEquals(JsonPrimitive(2), db.table<JsonObject>("t").row("x")?.value?.get("v"))
                }
            }
        }
        assertTrue(asked.get() >= 3)
    }

    @Test
    fun `log lines reach the sink, and a sink that throws or calls back is no harm`() = test {
        val lines = ConcurrentLinkedQueue<LogRecord>()
        try {
            Interocitor.setLogSink({ record ->
                lines += record
                runBlocking { inMemory { it.table<Title>("t").tableName() } }
                throw StackOverflowError("the sink")
            }, LogLevel.TRACE)
            member(Mailbox.memory()) { merge("t") { error("hunter2") } }.use { db ->
                db.connect()
                db.table<Title>("todos").put("a", Title("a value of the user"))
                db.sync()
                provokeALine(db)
            }
            eventually("there are lines") { lines.isNotEmpty() }
            val text = lines.joinToString("\n")
            assertFalse(PASSPHRASE in text || "a value of the user" in text || "hunter2" in text, text)
            assertTrue(lines.all { it.target.startsWith("interocitor") && it.message.isNotEmpty() }, text)
        } finally {
            Interocitor.setLogSink(null)
        }
    }

    private fun Table<*>.tableName() = name

    /** A merge function that fails is told in the log. */
    private suspend fun provokeALine(db: Interocitor) {
        val mailbox = Mailbox.memory()
        db.setRemoteStorage(mailbox)
        member(mailbox) { merge("t") { error("hunter2") } }.use { a ->
            member(mailbox) { merge("t") { error("hunter2") } }.use { b ->
                a.connect()
                b.connect()
                a.table<Title>("t").put("x", Title("1"))
                b.table<Title>("t").put("x", Title("2"))
                repeat(2) { a.sync(); b.sync() }
            }
        }
    }

    @Test
    fun `a token provider is asked, and one that fails is an answer`() = test {
        val server = com.sun.net.httpserver.HttpServer.create(java.net.InetSocketAddress("127.0.0.1", 0), 0)
        val tokens = ConcurrentLinkedQueue<String>()
        server.createContext("/") { exchange ->
            tokens += exchange.requestHeaders.getFirst("Authorization").orEmpty()
            exchange.sendResponseHeaders(401, -1)
            exchange.close()
        }
        server.start()
        try {
            val rejected = ConcurrentLinkedQueue<String>()
            val url = "http://127.0.0.1:${server.address.port}/"
            val provider = TokenProvider { old -> if (old != null) rejected += old; if (old == null) "first" else "second" }
            member(Mailbox.webdav(url, WebDavAuth.Tokens(provider))).use { db ->
                val outcome = runCatching { db.connect() }
                assertEquals("REMOTE_ACCESS", outcome.fold({ (it as Connection.Offline).code }, { (it as InterocitorException).code }))
            }
            assertTrue("Bearer first" in tokens && "Bearer second" in tokens, "$tokens")
            assertTrue("first" in rejected, "$rejected")
            for (fault in faults) {
                member(Mailbox.webdav(url, WebDavAuth.Tokens { fault() })).use { db ->
                    val outcome = withTimeout(5.seconds) { runCatching { db.connect() } }
                    val code = outcome.fold({ (it as Connection.Offline).code }, { (it as InterocitorException).code })
                    assertEquals("REMOTE_ACCESS", code)
                }
            }
        } finally {
            server.stop(0)
        }
    }

    @Test
    fun `an adapter is let go with the database`() = test {
        val reference = openAndShutDown()
        eventually("the adapter is collected") {
            System.gc()
            reference.get() == null
        }
    }

    private suspend fun openAndShutDown(): WeakReference<MemoryAdapter> {
        val adapter = MemoryAdapter()
        member(Mailbox.custom(adapter)).use { it.connect() }
        return WeakReference(adapter)
    }
}
