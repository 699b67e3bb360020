package dev.interocitor

import kotlinx.coroutines.async
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.launch
import kotlinx.serialization.Serializable
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir
import java.io.File
import java.util.concurrent.ConcurrentHashMap

/** The README's snippets about keys, files, images and mailboxes, word for word: each line of them stands in this file, too. */
class ReadmeTest {
    private val root = File(System.getProperty("scenarios"), "../..")

    /** The code of a chapter, without remarks. */
    private fun snippets(title: String): List<String> {
        val chapter = File(root, "kotlin/README.md").readText().substringAfter("\n## $title\n").substringBefore("\n## ")
        val code = chapter.split("```kotlin\n").drop(1).joinToString("\n") { it.substringBefore("```") }
        return code.lines().map { it.substringBefore("  //").trim() }.filter { it.isNotEmpty() }
    }

    @Test
    fun `keys and other devices`() = test {
        val folder = Mailbox.memory()
        val shown = mutableListOf<Any>()
        fun show(what: Any) = shown.add(what)
        val db = member(folder)
        db.connect()
        db.table<Todo>("todos").put("milk", Todo("Buy milk"))
        db.sync()
        val phone = member(folder) { remotePath = null; passphrase = null }
        val found = member(folder) { passphrase = null }
        lateinit var sharingPayload: PairingPayload
        val scanned: String by lazy { sharingPayload.encode() }
        val sharing = db.pairShare()
        sharingPayload = sharing.payload
        show(QrCode(sharing.payload.encode()).toPng())
        val joining = phone.pairScan(PairingPayload.parse(scanned))
        coroutineScope {
            val there = async { joining.code() }
            check(sharing.code() == there.await())
            launch { sharing.complete() }
            joining.complete()
        }
        phone.connect()
        assertEquals("Buy milk", phone.table<Todo>("todos").row("milk")?.value?.title)

        lateinit var words: List<String>
        fun ask(question: String) = words[question.filter { it.isDigit() }.toInt() - 1]
        words = db.recoveryKit().words
        val kit = db.recoveryKit()
        show(kit.words)
        for (number in kit.quiz(3)) check(kit.isWord(number, ask("Word $number?")))
        found.recover(kit.words.joinToString(" "))
        found.connect()
        assertEquals("Buy milk", found.table<Todo>("todos").row("milk")?.value?.title)
        assertEquals(2, shown.size)
        listOf(db, phone, found).forEach { it.shutdown() }

        assertTold("Keys and other devices", 14)
    }

    @Serializable
    data class Receipt(val file: String, val digest: String)

    @Test
    fun files(@TempDir folder: File) = test {
        val mailbox = Mailbox.memory()
        File(folder, "scan.pdf").writeText("a scan")
        val db = member(mailbox)
        db.connect()
        val bars = ConcurrentHashMap<String, Any>()
        val watching = launch {
            val bars = object {
                operator fun set(path: String, fraction: Float?) {
                    bars[path] = fraction ?: 0f
                }
            }
            db.fileQueue.collect { files ->
                for (file in files) bars[file.path] = file.transfer?.fraction
            }
        }
        db.putFile("notes/hello.txt", FileSource("Hello".encodeToByteArray()), "text/plain")
        val scan = db.stageFile("receipts/may.pdf", FileSource(File(folder, "scan.pdf")), "application/pdf")
        db.batch {
            putFile(scan)
            table<Receipt>("receipts").put("may", Receipt(scan.path, scan.digest))
        }
        eventually("the queue is told") { bars.keys == setOf("notes/hello.txt", "receipts/may.pdf") }
        db.sync()
        val phone = member(mailbox)
        phone.connect()
        assertEquals(scan.digest, phone.table<Receipt>("receipts").row("may")?.value?.digest)
        val receipt = phone.getFile(scan.path, digest = scan.digest)
        receipt.saveTo(File(folder, "copy.pdf"))
        assertEquals("a scan", File(folder, "copy.pdf").readText())
        listOf(db, phone).forEach { it.shutdown() }
        watching.join()
        assertTold("Files", 11)
    }

    @Test
    fun images(@TempDir folder: File) = test {
        val mailbox = Mailbox.memory()
        val photo = File(folder, "photo.jpg").apply { writeBytes(picture("jpg", 600, 300)) }
        val shown = mutableListOf<Any>()
        fun show(what: Any) = shown.add(if (what is File) what.readText() else what)
        val db = member(mailbox)
        db.connect()
        db.putImage("photos/1.jpg", ImageSource(photo))
        db.putImage("icons/dot.svg", ImageSource.text("<svg/>"))
        db.sync()
        val phone = member(mailbox)
        phone.connect()
        val small = phone.getThumbnail("photos/1.jpg", 256)
        show(small.bytes)
        val image = phone.getImage("photos/1.jpg")
        show(image.bytes)
        phone.getImageUrl("icons/dot.svg").use { icon ->
            show(icon.file)
        }
        assertEquals(listOf(256, 128), listOf(small.width, small.height))
        assertEquals(listOf(small.bytes, image.bytes, "<svg/>"), shown)
        listOf(db, phone).forEach { it.shutdown() }
        assertTold("Images", 8)
    }

    @Test
    fun `mailboxes, replicas and exports`(@TempDir folder: File) = test {
        fun freshToken(rejected: String?) = "not $rejected"
        val webdav = Mailbox.webdav("https://cloud.example/dav", WebDavAuth.Digest("ada", "secret"))
        val s3 = Mailbox.s3("notes", S3Credentials("key", "secret"), endpoint = "https://s3.example")
        val drive = Mailbox.googleDrive(GoogleDriveAuth.Tokens { rejected -> freshToken(rejected) })
        val worker = Mailbox.cloudflare("https://worker.example/io/ADDRESS", CloudflareAuth.Bearer("of the address"))
        assertEquals(listOf("webdav", "s3", "gdrive", "cloudflare"), listOf(webdav, s3, drive, worker).map { it.kind })

        val spool = File(folder, "spool")
        val uploads = PlatformUploads(HttpUploads(), spool)
        val carried = Mailbox.webdav("https://cloud.example/dav", WebDavAuth.Bearer("token"), uploads = uploads)
        assertTrue(carried.kind == "webdav" && spool.isDirectory)

        val (backup, archive, passphrase) = Triple(folder.mailbox(), File(folder, "archive"), "a long one")
        val db = Interocitor.open("todo") {
            remotePath = "/Todo"
            replicas = listOf(Replica("backup", Mailbox.folder(backup), mirror = true))
        }
        db.setRemoteStorage(Mailbox.memory())
        db.connect()
        db.table<Todo>("todos").put("milk", Todo("Buy milk"))
        db.sync()
        val given = db.replicate("backup", verifies = true)
        assertTrue(given.damaged == 0L && File(backup, "Todo/manifest.json").isFile)
        db.exportTo(archive, ExportFormat.Archive(passphrase))
        val restored = Interocitor.open("todo")
        restored.importFrom(archive, passphrase)
        assertEquals("Buy milk", restored.table<Todo>("todos").row("milk")?.value?.title)
        listOf(db, restored).forEach { it.shutdown() }
        assertTold("Mailboxes, replicas and exports", 13)
    }

    /** Each line of a chapter's snippets stands here. */
    private fun assertTold(title: String, count: Int) {
        val here = File(root, "kotlin/interocitor/src/test/kotlin/dev/interocitor/ReadmeTest.kt").readLines().map { it.trim() }
        val lines = snippets(title)
        assertTrue(lines.size >= count, "$lines")
        assertEquals(emptyList<String>(), lines.filter { it !in here })
    }
}
