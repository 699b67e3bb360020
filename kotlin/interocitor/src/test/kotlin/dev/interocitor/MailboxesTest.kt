package dev.interocitor

import com.sun.net.httpserver.HttpServer
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import java.io.File
import java.net.InetSocketAddress
import java.util.concurrent.ConcurrentLinkedQueue
import kotlin.time.Duration.Companion.seconds

/** The mailboxes behind HTTP. */
class MailboxesTest {
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

    @Test
    fun `requests are as the options say`() = test {
        val server = HttpServer.create(InetSocketAddress("127.0.0.1", 0), 0)
        val asked = ConcurrentLinkedQueue<String>()
        server.createContext("/") { exchange ->
            val headers = listOf("Authorization", "X-Amz-Security-Token").map { exchange.requestHeaders.getFirst(it) }
            asked += "${exchange.requestURI} $headers"
            exchange.responseHeaders.add("WWW-Authenticate", "Digest realm=\"r\", nonce=\"n\", qop=\"auth\"")
            exchange.sendResponseHeaders(401, -1)
            exchange.close()
        }
        server.start()
        try {
            val host = "http://127.0.0.1:${server.address.port}"
            val mailboxes = mapOf(
                Mailbox.webdav(host, WebDavAuth.Digest("ada", "s3cret")) to "/ \\[Digest username=\"ada\".*",
                Mailbox.s3("notes", keys, "at/x", host, "eu-x", S3Addressing.PATH) to
                    "/notes.*at(/|%2F)x.* \\[AWS4-HMAC-SHA256 Credential=s3cret-id/[0-9]*/eu-x/.*, s3cret]",
                Mailbox.googleDrive(GoogleDriveAuth.Bearer("of-drive"), endpoint = host) to "/drive/.* \\[Bearer of-drive, null]",
                Mailbox.cloudflare("$host/at/io/a", CloudflareAuth.Bearer("of-a")) to "/at/io/a/.* \\[Bearer of-a, null]",
                Mailbox.cloudflare("$host/io/a", CloudflareAuth.Secret("s3cret")) to "/io/a/.* \\[Bearer [0-9a-f]{64}, null]",
            )
            for ((mailbox, wanted) in mailboxes) {
                asked.clear()
                member(mailbox).use { db -> failsWith<InterocitorException.Remote>("REMOTE_ACCESS") { db.syncOnce(10.seconds) } }
                assertTrue(asked.any { Regex(wanted).containsMatchIn(it) }, "${mailbox.kind}: $asked")
            }
        } finally {
            server.stop(0)
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
            val mailbox = Mailbox.googleDrive(auth, endpoint = server.inputStream.bufferedReader().readLine())
            member(mailbox).use { a ->
                a.table<Title>("todos").put("x", Title("Milk"))
                assertEquals(Connection.Online, a.connect())
                a.sync()
                member(mailbox).use { b ->
                    b.connect()
                    assertEquals("Milk", b.table<Title>("todos").row("x")?.value?.title)
                }
            }
            assertEquals(setOf("expired"), rejected.toSet())
        } finally {
            server.destroy()
        }
    }
}
