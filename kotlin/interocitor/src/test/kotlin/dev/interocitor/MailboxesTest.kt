package dev.interocitor

import com.sun.net.httpserver.HttpExchange
import com.sun.net.httpserver.HttpServer
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows
import org.junit.jupiter.api.io.TempDir
import java.io.File
import java.net.InetAddress
import java.net.InetSocketAddress
import java.net.ServerSocket
import java.util.concurrent.ConcurrentHashMap
import java.util.concurrent.ConcurrentLinkedQueue
import java.util.concurrent.Executors
import kotlin.time.Duration.Companion.hours
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds

/** The mailboxes behind HTTP. */
class MailboxesTest {
    @TempDir
    lateinit var folder: File

    /** Nobody listens there. */
    private val nowhere = "http://127.0.0.1:1"
    private val keys = S3Credentials("s3cret-id", "s3cret", "s3cret")
    private val tokens = TokenProvider { "s3cret" }

    /** Refused as unusable, naming what it is about and showing no secret. */
    private fun refused(about: String, mailbox: () -> Mailbox) {
        val failure = failsWith<InterocitorException.Rejected>("INVALID_ARGUMENT") { mailbox() }
        assertTrue(about in failure.reason, failure.reason)
        assertTrue("s3cret" !in failure.stackTraceToString(), failure.reason)
    }

    @Test
    fun `a remote that is not there is offline and retryable`() = test {
        val mailboxes = mapOf(
            "s3" to Mailbox.s3("notes", keys, prefix = "a b", endpoint = nowhere, timeout = 1.seconds),
            "gdrive" to Mailbox.googleDrive(GoogleDriveAuth.Bearer("t"), "1aB_-x", endpoint = nowhere, timeout = 1.seconds, retries = 0),
            "cloudflare" to Mailbox.cloudflare("$nowhere/io/uuid.tag", CloudflareAuth.Bearer("t"), push = false, timeout = 1.seconds),
            "webdav" to Mailbox.webdav(nowhere, WebDavAuth.Digest("u", "s3cret"), timeout = 1.seconds),
        )
        for ((kind, mailbox) in mailboxes) {
            assertEquals(kind, mailbox.kind)
            member(mailbox).use { db ->
                val failure = failsWith<InterocitorException.Remote>("OFFLINE") { db.syncOnce(10.seconds) }
                assertTrue(failure.isRetryable, kind)
            }
        }
    }

    @Test
    fun `options of S3 are checked`() {
        for (addressing in listOf(null, S3Addressing.PATH, S3Addressing.VIRTUAL_HOST)) {
            assertEquals("s3", Mailbox.s3("notes", keys, region = "eu-west-1", addressing = addressing).kind)
        }
        refused("bucket") { Mailbox.s3("s3cret:s3cret@notes", keys) }
        refused("prefix") { Mailbox.s3("notes", keys, prefix = "../s3cret") }
        refused("endpoint") { Mailbox.s3("notes", keys, endpoint = "ftp://u:s3cret@host") }
        refused("region") { Mailbox.s3("notes", keys, region = "s3cret/") }
        refused("credentials") { Mailbox.s3("notes", S3Credentials("", "s3cret")) }
        refused("authorities") { Mailbox.s3("notes", keys, authorities = "s3cret") }
        refused("timeout") { Mailbox.s3("notes", keys, timeout = (-1).seconds) }
    }

    @Test
    fun `options of Google Drive are checked`() {
        assertEquals("gdrive", Mailbox.googleDrive(GoogleDriveAuth.Tokens(tokens), clientId = "client").kind)
        val auth = GoogleDriveAuth.Bearer("s3cret")
        refused("credentials") { Mailbox.googleDrive(GoogleDriveAuth.Bearer("s3cret\n")) }
        refused("folder") { Mailbox.googleDrive(auth, folder = "../s3cret") }
        refused("endpoint") { Mailbox.googleDrive(auth, endpoint = "http://host/s3cret") }
        refused("timeout") { Mailbox.googleDrive(auth, timeout = (-1).seconds) }
        refused("retries") { Mailbox.googleDrive(auth, retries = -1) }
    }

    @Test
    fun `options of Cloudflare are checked`() {
        val url = "https://host/at/io/uuid.tag"
        val all = listOf(CloudflareAuth.None, CloudflareAuth.Bearer("t"), CloudflareAuth.Tokens(tokens), CloudflareAuth.Secret("s"))
        for (auth in all) assertEquals("cloudflare", Mailbox.cloudflare(url, auth, maxFileBytes = 1).kind)
        refused("url") { Mailbox.cloudflare("https://host/s3cret") }
        refused("credentials") { Mailbox.cloudflare(url, CloudflareAuth.Bearer("s3cret\n")) }
        refused("max_file_bytes") { Mailbox.cloudflare(url, maxFileBytes = -1) }
        refused("authorities") { Mailbox.cloudflare(url, authorities = "s3cret") }
        refused("timeout") { Mailbox.cloudflare(url, timeout = (-1).seconds) }
    }

    /** A server on this machine, for the time of a block. */
    private inline fun serving(noinline answer: (HttpExchange) -> Unit, block: (String) -> Unit) {
        val server = HttpServer.create(InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0)
        val threads = Executors.newCachedThreadPool()
        server.executor = threads
        server.createContext("/") { exchange ->
            try {
                answer(exchange)
            } finally {
                exchange.close()
            }
        }
        server.start()
        try {
            block("http://127.0.0.1:${server.address.port}")
        } finally {
            server.stop(0)
            threads.shutdown()
        }
    }

    private fun HttpExchange.reply(status: Int, body: ByteArray = ByteArray(0)) {
        sendResponseHeaders(status, if (body.isEmpty()) -1 else body.size.toLong())
        if (body.isNotEmpty()) responseBody.write(body)
    }

    @Test
    fun `requests are as the options say`() = test {
        val asked = ConcurrentLinkedQueue<String>()
        val refuse = { exchange: HttpExchange ->
            val headers = listOf("Authorization", "X-Amz-Security-Token").map { exchange.requestHeaders.getFirst(it) }
            asked += "${exchange.requestURI} $headers"
            exchange.responseHeaders.add("WWW-Authenticate", "Digest realm=\"r\", nonce=\"n\", qop=\"auth\"")
            exchange.reply(401)
        }
        serving(refuse) { host ->
            val mailboxes = mapOf(
                Mailbox.webdav(host, WebDavAuth.Digest("ada", "s3cret")) to "/ \\[Digest username=\"ada\".*",
                Mailbox.s3("notes", keys, "at/x", host, "eu-x", S3Addressing.PATH) to
                    "/notes.*at(/|%2F)x.* \\[AWS4-HMAC-SHA256 Credential=s3cret-id/[0-9]*/eu-x/.*, s3cret]",
                Mailbox.googleDrive(GoogleDriveAuth.Bearer("of-drive"), endpoint = host) to "/drive/.* \\[Bearer of-drive, null]",
                Mailbox.cloudflare("$host/at/io/a", CloudflareAuth.Bearer("of-a")) to "/at/io/a/.* \\[Bearer of-a, null]",
                Mailbox.cloudflare("$host/io/a", CloudflareAuth.Tokens(tokens)) to "/io/a/.* \\[Bearer s3cret, null]",
                Mailbox.cloudflare("$host/io/a", CloudflareAuth.Secret("s3cret")) to "/io/a/.* \\[Bearer [0-9a-f]{64}, null]",
            )
            for ((mailbox, wanted) in mailboxes) {
                asked.clear()
                member(mailbox).use { db -> failsWith<InterocitorException.Remote>("REMOTE_ACCESS") { db.syncOnce(10.seconds) } }
                assertTrue(asked.any { Regex(wanted).containsMatchIn(it) }, "${mailbox.kind}: $asked")
            }
        }
    }

    @Test
    fun `nobody waits longer than the options say`() = test {
        // Takes connections, and never says a word.
        ServerSocket(0, 50, InetAddress.getLoopbackAddress()).use { silent ->
            val host = "http://127.0.0.1:${silent.localPort}"
            val brief = 100.milliseconds
            val mailboxes = listOf(
                Mailbox.webdav(host, timeout = brief),
                Mailbox.s3("notes", keys, endpoint = host, timeout = brief),
                Mailbox.googleDrive(GoogleDriveAuth.Bearer("t"), endpoint = host, timeout = brief),
                Mailbox.cloudflare("$host/io/a", timeout = brief),
            )
            for (mailbox in mailboxes) {
                member(mailbox) { connectStageTimeout = 1.hours }.use { db ->
                    assertEquals("REMOTE_TIMEOUT", (db.connect() as Connection.Offline).code, mailbox.kind)
                }
            }
        }
    }

    @Test
    fun `a busy Drive is asked again as often as the options say`() = test {
        for (retries in listOf(0, 2)) {
            val asked = ConcurrentLinkedQueue<String>()
            val busy = { exchange: HttpExchange ->
                asked += "${exchange.requestURI}"
                exchange.responseHeaders.add("Retry-After", "0")
                exchange.reply(503)
            }
            serving(busy) { host ->
                val mailbox = Mailbox.googleDrive(GoogleDriveAuth.Bearer("t"), endpoint = host, retries = retries)
                member(mailbox).use { db -> failsWith<InterocitorException.Remote>("REMOTE_ACCESS") { db.syncOnce(10.seconds) } }
            }
            assertEquals(1 + retries, asked.size, "$asked")
        }
    }

    @Test
    fun `a folder of Drive is the one of the options`() = test {
        val asked = ConcurrentLinkedQueue<String>()
        val answer = { exchange: HttpExchange ->
            asked += exchange.requestURI.path
            if (exchange.requestURI.path.endsWith("/about")) exchange.reply(200, "{}".encodeToByteArray()) else exchange.reply(404)
        }
        serving(answer) { host ->
            val mailbox = Mailbox.googleDrive(GoogleDriveAuth.Bearer("t"), "1aB_-x", endpoint = host)
            member(mailbox).use { db -> assertThrows<InterocitorException> { db.syncOnce(10.seconds) } }
            assertTrue(asked.any { it.endsWith("/files/1aB_-x") }, "$asked")
        }
    }

    /** A Worker that keeps files in memory and has no relay. */
    private class Worker {
        val asked = ConcurrentLinkedQueue<String>()
        val files = ConcurrentHashMap<String, ByteArray>()

        /** Status and body of the answer. */
        fun answer(method: String, route: String, path: String, body: ByteArray): Pair<Int, ByteArray> {
            asked += "$method $route $path"
            val below = "${path.trimEnd('/')}/"
            return when (route) {
                "/notify/a" -> 501 to NOTHING
                "/io/a/file", "/io/a/stored-file" -> when (method) {
                    "PUT" -> (if (files.put(path, body) == null) 201 else 200) to NOTHING
                    "DELETE" -> files.remove(path).let { 200 to NOTHING }
                    else -> files[path]?.let { 200 to it } ?: (404 to NOTHING)
                }
                "/io/a/list-files" -> {
                    val names = files.keys.filter { it.startsWith(below) && '/' !in it.removePrefix(below) }
                    200 to names.joinToString(",", """{"files":[""", "]}") { """{"name":"${it.removePrefix(below)}"}""" }.encodeToByteArray()
                }
                "/io/a/metadata", "/io/a/stored-file-metadata" ->
                    files[path]?.let { 200 to """{"file":{"size":${it.size}}}""".encodeToByteArray() }
                        ?: (404 to """{"file":null}""".encodeToByteArray())
                else -> 200 to """{"folders":[]}""".encodeToByteArray()
            }
        }

        private companion object {
            val NOTHING = ByteArray(0)
        }
    }

    private fun HttpExchange.answer(worker: Worker) {
        val body = requestBody.readBytes()
        val path = requestURI.query?.removePrefix("path=") ?: if (requestMethod == "POST") json(body.decodeToString())["path"].text else null
        val (status, answer) = worker.answer(requestMethod, requestURI.path, path.orEmpty(), body)
        reply(status, answer)
    }

    @Test
    fun `a Worker is listened to where push is wanted`() = test {
        for (push in listOf(true, false)) {
            val worker = Worker()
            serving({ it.answer(worker) }) { host ->
                member(Mailbox.cloudflare("$host/io/a", push = push)) {
                    autoSync = true
                    flushDebounce = 1.milliseconds
                }.use { db ->
                    assertEquals(Connection.Online, db.connect())
                    db.table<Title>("todos").put("x", Title("Milk"))
                    // It is asked to tell of news before anything is published.
                    eventually("a change is published") { worker.files.keys.any { "/changes/" in it } }
                    if (push) eventually("it is listened to") { worker.asked.any { "/notify/a" in it } }
                    assertEquals(push, worker.asked.any { "/notify/a" in it }, "${worker.asked}")
                }
            }
        }
    }

    @Test
    fun `a Worker gets large files through the carrier, up to its limit`() = test {
        val (worker, carried) = Worker() to ConcurrentLinkedQueue<String>()
        val carrier = PlatformHttp { request -> HttpUploads().upload(request).also { carried += request.method } }
        serving({ it.answer(worker) }) { host ->
            val uploads = PlatformUploads(carrier, folder)
            member(Mailbox.cloudflare("$host/io/a", maxFileBytes = 2_000_000, uploads = uploads)).use { db ->
                db.connect()
                db.putFile("fits", FileSource(ByteArray(1_200_000)))
                assertEquals(1, db.syncFiles().done)
                db.putFile("large", FileSource(ByteArray(2_100_000)))
                assertEquals(1, db.syncFiles().failed)
                assertEquals("LIMIT", db.fileTransfers().single().transfer?.problem?.code)
                assertEquals(listOf("PUT"), carried.toList())
            }
        }
    }

    @Test
    fun `secrets are never shown`() {
        val shown = listOf(
            keys, GoogleDriveAuth.Bearer("s3cret"), GoogleDriveAuth.Tokens(tokens), CloudflareAuth.Bearer("s3cret"),
            CloudflareAuth.Secret("s3cret"), CloudflareAuth.Tokens(tokens), WebDavAuth.Digest("u", "s3cret"),
            ExportFormat.Archive("s3cret"), Replica("r", Mailbox.webdav(nowhere, WebDavAuth.Digest("u", "s3cret"))),
        )
        for (one in shown) assertTrue("s3cret" !in "$one", "$one")
    }

    @Test
    fun `two devices converge over Drive, with a token that is refreshed`() = test {
        val script = File(System.getProperty("scenarios"), "../drive_server.py")
        val server = ProcessBuilder("python3", script.path).redirectError(ProcessBuilder.Redirect.INHERIT).start()
        try {
            val rejected = ConcurrentLinkedQueue<String>()
            val auth = GoogleDriveAuth.Tokens { old ->
                if (old == null) "expired" else "token-1".also { rejected += old }
            }
            val carried = ConcurrentLinkedQueue<UploadRequest>()
            val uploads = PlatformUploads({ request -> HttpUploads().upload(request).also { carried += request } }, folder)
            val endpoint = server.inputStream.bufferedReader().readLine()
            val mailbox = Mailbox.googleDrive(auth, clientId = "app.example", endpoint = endpoint, uploads = uploads)
            val large = ByteArray(6_000_000) { (it % 251).toByte() }
            member(mailbox).use { a ->
                a.table<Title>("todos").put("x", Title("Milk"))
                assertEquals(Connection.Online, a.connect())
                a.putFile("large", FileSource(large))
                a.sync()
                member(mailbox).use { b ->
                    b.connect()
                    assertEquals("Milk", b.table<Title>("todos").row("x")?.value?.title)
                    assertArrayEquals(large, b.getFile("large").bytes())
                }
                assertEquals(1, carried.size, "$carried")
                // Who scans the code learns which app it is of.
                val pairing = a.pairShare()
                assertEquals("""{"clientId":"app.example"}""", pairing.payload.adapterConfig)
                pairing.cancel()
            }
            assertEquals(setOf("expired"), rejected.toSet())
        } finally {
            server.destroy()
        }
    }
}
