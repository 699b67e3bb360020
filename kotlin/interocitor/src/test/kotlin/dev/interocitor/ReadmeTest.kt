package dev.interocitor

import kotlinx.coroutines.async
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.launch
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import java.io.File

/** The README's snippets about keys, word for word: each line of them stands in this file, too. */
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

        val here = File(root, "kotlin/interocitor/src/test/kotlin/dev/interocitor/ReadmeTest.kt").readLines().map { it.trim() }
        val lines = snippets("Keys and other devices")
        assertTrue(lines.size >= 14, "$lines")
        assertEquals(emptyList<String>(), lines.filter { it !in here })
    }
}
