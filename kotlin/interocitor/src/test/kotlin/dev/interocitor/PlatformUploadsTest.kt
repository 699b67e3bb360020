package dev.interocitor

import com.sun.net.httpserver.HttpExchange
import com.sun.net.httpserver.HttpServer
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitCancellation
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.launch
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows
import org.junit.jupiter.api.io.TempDir
import java.io.File
import java.io.IOException
import java.net.InetAddress
import java.net.InetSocketAddress
import java.net.URI
import java.util.concurrent.CopyOnWriteArrayList
import java.util.concurrent.CountDownLatch
import kotlin.time.Duration.Companion.milliseconds

/** Large uploads in the hands of the app, over a real server: `WEBDAV_URL`, which `bash tests/run.sh kotlin` starts. */
class PlatformUploadsTest {
    @TempDir
    lateinit var folder: File

    private val large = ByteArray(3_000_000) { (it % 251).toByte() }
    private val spool get() = File(folder, "spool")

    private fun mailbox(http: PlatformHttp): Mailbox {
        val url = URI(checkNotNull(System.getenv("WEBDAV_URL")) { "run `bash tests/run.sh kotlin`" })
        val (user, password) = url.userInfo.split(':')
        val address = URI(url.scheme, null, url.host, url.port, url.path, null, null).toString()
        return Mailbox.webdav(address, WebDavAuth.Basic(user, password), uploads = PlatformUploads(http, spool))
    }

    private suspend fun device(mailbox: Mailbox) =
        member(mailbox) { remotePath = "/" + folder.name }.also { assertEquals(Connection.Online, it.connect()) }

    @Test
    fun `a large file is carried and a small one is not`() = test {
        val (seen, http) = CopyOnWriteArrayList<String>() to HttpUploads()
        val mailbox = mailbox { request ->
            assertEquals(request.size, request.body.length())
            assertFalse("127.0.0.1" in "$request" || "Basic" in "$request")
            http.upload(request).also { seen += "${request.method} ${it.status}" }
        }
        val (a, b) = device(mailbox) to device(mailbox)
        a.putFile("small", FileSource("small".encodeToByteArray()))
        a.putFile("large", FileSource(large))
        a.sync()
        assertArrayEquals(large, b.getFile("large").bytes())
        assertEquals("small", b.getFile("small").bytes().decodeToString())
        assertTrue(seen.size == 1 && seen[0].startsWith("PUT 20"), "$seen")
        assertEquals(emptyList<String>(), spool.list().orEmpty().toList())
        listOf(a, b).forEach { it.shutdown() }
    }

    @Test
    fun `what hinders is told and tried again`() = test {
        var fails = true
        val db = device(mailbox { if (fails) throw MailboxException(MailboxFault.OFFLINE, "no way there") else HttpUploads().upload(it) })
        db.putFile("large", FileSource(large))
        assertEquals(0L to 1L, db.syncFiles().run { done to failed })
        assertEquals(ErrorCode.OFFLINE, db.fileTransfers().single().transfer?.problem?.code)
        fails = false
        assertEquals(1L, db.syncFiles().done)
        assertEquals(emptyList<String>(), spool.list().orEmpty().toList())
        db.shutdown()
    }

    @Test
    fun `a cancelled upload is cancelled there too`() = test {
        val (begun, cancelled) = CompletableDeferred<Unit>() to CompletableDeferred<Unit>()
        val db = device(mailbox {
            begun.complete(Unit)
            try {
                awaitCancellation()
            } finally {
                cancelled.complete(Unit)
            }
        })
        db.putFile("large", FileSource(large))
        val syncing = async { db.syncFiles() }
        begun.await()
        db.cancelFile("large")
        cancelled.await()
        assertEquals(0L, syncing.await().done)
        db.shutdown()
    }

    /** A server on this machine that answers as it is told. */
    private fun server(answer: (HttpExchange) -> Unit): HttpServer =
        HttpServer.create(InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0).apply {
            createContext("/") { exchange -> exchange.use(answer) }
            executor = java.util.concurrent.Executors.newCachedThreadPool { Thread(it).apply { isDaemon = true } }
            start()
        }

    private fun HttpExchange.use(answer: (HttpExchange) -> Unit) = try {
        answer(this)
    } finally {
        close()
    }

    private fun request(server: HttpServer, headers: List<Pair<String, String>> = emptyList()): UploadRequest {
        val body = File(folder, "body").apply { writeBytes(large) }
        return UploadRequest("1", "PUT", "http://127.0.0.1:${server.address.port}/x", headers, body, body.length())
    }

    @Test
    fun `answers are answers, redirects among them`() = test {
        val seen = CopyOnWriteArrayList<String>()
        val server = server { exchange ->
            assertArrayEquals(large, exchange.requestBody.readBytes())
            seen += exchange.requestHeaders.getFirst("X-Mark")
            exchange.responseHeaders.add("Location", "http://127.0.0.1:1/elsewhere")
            exchange.responseHeaders.add("ETag", "\"7\"")
            val text = "refused".encodeToByteArray()
            val status = if (seen.size == 1) 307 else 507
            exchange.sendResponseHeaders(status, text.size.toLong())
            exchange.responseBody.write(text)
        }
        val redirected = HttpUploads().upload(request(server, listOf("X-Mark" to "mine")))
        assertEquals(307, redirected.status)
        assertTrue(redirected.headers.any { (name, value) -> name.equals("etag", ignoreCase = true) && value == "\"7\"" })
        val refused = HttpUploads().upload(request(server, listOf("X-Mark" to "again")))
        assertEquals(507 to "refused", refused.status to refused.body.decodeToString())
        assertEquals(listOf("mine", "again"), seen)
        server.stop(0)
    }

    @Test
    fun `who gives up ends the connection`() = test {
        val (begun, given) = CompletableDeferred<Unit>() to CountDownLatch(1)
        val taken = CompletableDeferred<Long>()
        val server = server { exchange ->
            begun.complete(Unit)
            given.await()
            // What was on its way comes, and then the end or a fault, but never all.
            var count = 0L
            try {
                val piece = ByteArray(65_536)
                while (true) count += exchange.requestBody.read(piece).takeIf { it > 0 } ?: break
            } catch (_: IOException) {
            }
            taken.complete(count)
        }
        val body = File(folder, "body").apply { writeBytes(ByteArray(50_000_000)) }
        val request = UploadRequest("1", "PUT", "http://127.0.0.1:${server.address.port}/x", emptyList(), body, body.length())
        val upload = launch { HttpUploads().upload(request) }
        begun.await()
        upload.cancelAndJoin()
        given.countDown()
        val count = taken.await()
        assertTrue(count < body.length(), "all $count bytes came")
        server.stop(0)
    }

    @Test
    fun `an answer that does not come is waited for as long as was said`() = test {
        val over = CountDownLatch(1)
        val server = server { exchange ->
            exchange.requestBody.readBytes()
            over.await()
        }
        val failure = assertThrows<MailboxException> { HttpUploads(timeout = 100.milliseconds).upload(request(server)) }
        assertEquals(MailboxFault.TIMEOUT, failure.fault)
        over.countDown()
        server.stop(0)
    }

    @Test
    fun `nobody there is offline, and a folder that cannot be is refused`() = test {
        val server = server { }.apply { stop(0) }
        val failure = assertThrows<MailboxException> { kotlinx.coroutines.runBlocking { HttpUploads().upload(request(server)) } }
        assertEquals(MailboxFault.OFFLINE, failure.fault)
        assertFalse("127.0.0.1" in failure.reason)
        val file = File(folder, "file").apply { writeText("") }
        failsWith<InterocitorException.Rejected>("INVALID_ARGUMENT") { PlatformUploads(HttpUploads(), file) }
    }
}
