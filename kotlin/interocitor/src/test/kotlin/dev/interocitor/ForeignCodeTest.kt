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
import kotlin.time.Duration
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
        assertEquals(1, keychain.saved.values.count { it.passphrase == PASSPHRASE })
        assertFalse(PASSPHRASE in "${keychain.saved.values}")
        member(mailbox) { path = file; credentials = keychain; passphrase = null }.use { db ->
            assertEquals(Connection.Online, db.connect())
            assertEquals(PASSPHRASE, db.getPassphrase())
            failsWith<InterocitorException.Rejected>("INVALID_ARGUMENT") { db.clearCredentials() }
            db.disconnect()
            db.clearCredentials()
            assertNull(db.getPassphrase())
        }
        assertTrue(keychain.saved.values.none { PASSPHRASE in it.passphrase.orEmpty() })
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
            InterocitorException.Credential("BIOMETRICS_NOT_ENROLLED", "no finger"),
            InterocitorException.Credential("BIOMETRICS_LOCKED_OUT", "too many tries", isRetryable = true),
            InterocitorException.Credential("CREDENTIAL_INVALIDATED", "enrolled anew"),
        )) {
            val prompt = object : MirrorPrompt() {
                override suspend fun unseal(sealed: ByteArray, reason: String): ByteArray = throw wanted
            }
            member(Mailbox.memory()) { credentials = MemoryCredentials(); biometrics = prompt }.use { db ->
                db.connect()
                db.secureWithBiometrics("please")
                val failure = failsWith<InterocitorException>(wanted.code) { db.restoreWithBiometrics("please") }
                assertEquals(wanted.javaClass to wanted.isRetryable, failure.javaClass to failure.isRetryable)
            }
        }
    }

    @Test
    fun `a keychain that is locked or lost its content says so`() = test {
        for ((code, isRetryable) in listOf("CREDENTIALS_LOCKED" to true, "CREDENTIAL_INVALIDATED" to false)) {
            val keychain = object : MemoryCredentials() {
                override suspend fun load(name: String) = throw InterocitorException.Credential(code, "it is so")
            }
            val failure = failsWith<InterocitorException.Credential>(code) { member(Mailbox.memory()) { credentials = keychain } }
            assertEquals(isRetryable, failure.isRetryable, code)
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
    fun `a mailbox that knows versions is asked to replace them`() = test {
        val adapter = object : MemoryAdapter() {
            val versions = ConcurrentHashMap<String, Int>()
            val replaced = ConcurrentLinkedQueue<String>()

            @Volatile
            var isTaken = false

            override suspend fun authenticate() = MailboxCapabilities(exclusiveCreate = true, conditionalReplace = true)
            override suspend fun metadata(path: String) = super.metadata(path)?.copy(etag = "v${versions[path]}")
            override suspend fun writeFile(path: String, body: ByteArray) {
                versions.merge(path, 1, Int::plus)
                super.writeFile(path, body)
            }

            override suspend fun replaceFile(path: String, body: ByteArray, etag: String) {
                if (isTaken || etag != "v${versions[path]}") throw MailboxException(MailboxFault.CONFLICT, path)
                replaced += path
                writeFile(path, body)
            }
        }
        member(Mailbox.custom(adapter)).use { db ->
            db.table<Title>("t").put("a", Title("Milk"))
            db.connect()
            val compaction = db.compact(Duration.ZERO) as Compaction.Written
            assertTrue(compaction.epoch == 1L && compaction.deleted >= 1, "$compaction")
            assertEquals(listOf("/Mesh/manifest.json"), adapter.replaced.toList())
            adapter.isTaken = true
            assertEquals(Compaction.Overtaken, db.compact(Duration.ZERO))
        }
        member(Mailbox.custom(adapter)).use { other ->
            other.connect()
            assertEquals(1, other.table<Title>("t").query().count())
        }
    }

    @Test
    fun `keychains, prompts, token providers and merge functions that use the database do not deadlock`() = test {
        lateinit var db: Interocitor
        suspend fun called(by: String) {
            db.table<Title>("log").put(by, Title(by))
            db.status()
        }
        val keychain = object : MemoryCredentials() {
            override suspend fun save(name: String, credentials: StoredCredentials) {
                called("keychain")
                super.save(name, credentials)
            }
        }
        val prompt = object : MirrorPrompt() {
            override suspend fun seal(secret: ByteArray, reason: String) = super.seal(secret, reason).also { called("seal") }
            override suspend fun unseal(sealed: ByteArray, reason: String) =
                super.unseal(sealed, reason).also { called("unseal") }
        }
        val mailbox = Mailbox.memory()
        db = member(mailbox) {
            credentials = keychain
            biometrics = prompt
            merge("t") { conflicts -> runBlocking { called("merge") }.let { conflicts.map { it.remote } } }
        }
        member(mailbox).use { peer ->
            peer.table<Title>("t").put("x", Title("theirs"))
            peer.connect()
        }
        db.use {
            withTimeout(10.seconds) {
                db.table<Title>("t").put("x", Title("ours"))
                db.connect()
                db.secureWithBiometrics("please")
                db.disconnect()
                db.restoreWithBiometrics("please")
                db.setRemoteStorage(
                    Mailbox.webdav("http://127.0.0.1:1/", WebDavAuth.Tokens { called("tokens"); error("no token") }),
                )
                db.connect()
            }
            val callers = db.table<Title>("log").query().rows().map { it.id }
            assertEquals(listOf("keychain", "merge", "seal", "tokens", "unseal"), callers)
        }
    }

    @Test
    fun `a prompt that fails is an answer, whatever it throws`() = test {
        for (fault in faults) {
            val prompt = object : MirrorPrompt() {
                override suspend fun seal(secret: ByteArray, reason: String) = fault()
            }
            member(Mailbox.memory()) { credentials = MemoryCredentials(); biometrics = prompt }.use { db ->
                val failure = failsWith<InterocitorException.Credential>("CREDENTIALS_UNAVAILABLE") {
                    withTimeout(5.seconds) { db.secureWithBiometrics("please") }
                }
                if (fault !== faults[3]) assertFalse("hunter2" in failure.stackTraceToString(), failure.stackTraceToString())
            }
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
    fun `what the app gave is let go with the database`() = test {
        val references = openAndShutDown()
        eventually("all of it is collected") {
            System.gc()
            references.all { it.get() == null }
        }
    }

    private suspend fun openAndShutDown(): List<WeakReference<Any>> {
        val (adapter, keychain, prompt) = Triple(MemoryAdapter(), MemoryCredentials(), MirrorPrompt())
        // Lambdas that hold nothing are there only once, and for good.
        val (asked, lines) = AtomicInteger() to ConcurrentLinkedQueue<LogRecord>()
        val function = MergeFunction { conflicts -> asked.incrementAndGet().let { conflicts.map { it.local } } }
        val tokens = TokenProvider { asked.incrementAndGet().toString() }
        val sink = LogSink { lines += it }
        Interocitor.setLogSink(sink, LogLevel.TRACE)
        member(Mailbox.custom(adapter)) {
            credentials = keychain
            biometrics = prompt
            merge("t", function = function)
        }.use { db ->
            db.connect()
            db.secureWithBiometrics("please")
            db.setRemoteStorage(Mailbox.webdav("http://127.0.0.1:1/", WebDavAuth.Tokens(tokens)))
            db.connect()
        }
        Interocitor.setLogSink(null)
        return listOf(adapter, keychain, prompt, function, tokens, sink).map { WeakReference(it) }
    }
}
