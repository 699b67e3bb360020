package dev.interocitor.examples.todo

import dev.interocitor.InterocitorException
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.async
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows
import org.junit.jupiter.api.io.TempDir
import java.io.File

class TodoTest {
    @TempDir
    lateinit var folder: File

    private suspend fun run(device: String, vararg command: String): List<String> {
        val lines = ArrayList<String>()
        todo(device(device) + command) { lines += it }
        return lines
    }

    private fun device(name: String): List<String> {
        val shared = File(folder, "shared").apply { mkdirs() }
        return listOf("--store", "$folder/$name.db", "--folder", "$shared", "--passphrase-file", "$folder/passphrase")
    }

    @Test
    fun `two devices share a list through a folder`(): Unit = runBlocking {
        val id = run("phone", "add", "Buy milk").single()
        assertEquals(listOf("[ ] $id  Buy milk"), run("phone", "list"))
        assertEquals(listOf("synced: 1 to-dos"), run("phone", "sync"))
        assertEquals(listOf("synced: 1 to-dos"), run("laptop", "sync"))
        run("laptop", "complete", id)
        run("laptop", "sync")
        run("phone", "sync")
        assertEquals(listOf("[x] $id  Buy milk"), run("phone", "list"))
    }

    @Test
    fun `watch shows what another device changes`(): Unit = runBlocking {
        withTimeout(20_000) {
            run("phone", "add", "Buy milk")
            run("phone", "sync")
            run("laptop", "sync")
            val (seen, shown) = CompletableDeferred<Unit>() to ArrayList<String>()
            val watching = async {
                todo(device("phone") + "watch") {
                    shown += it
                    if (it.endsWith("Buy bread")) seen.complete(Unit)
                    if (it == "-- 1 to do") async {
                        run("laptop", "add", "Buy bread")
                        run("laptop", "sync")
                    }
                }
            }
            seen.await()
            watching.cancelAndJoin()
            assertEquals(listOf("-- 1 to do", "-- 2 to do"), shown.filter { it.startsWith("--") })
        }
    }

    @Test
    fun `what cannot be done is said`(): Unit = runBlocking {
        for ((command, wanted) in listOf(
            listOf<String>() to "a command is missing",
            listOf("dance") to "no command \"dance\"",
            listOf("add") to "takes a title",
            listOf("complete", "nothing") to "no to-do \"nothing\"",
        )) {
            val failure = assertThrows<UsageException> { runBlocking { run("phone", *command.toTypedArray()) } }
            assertTrue(wanted in failure.message.orEmpty(), failure.message)
        }
        assertThrows<UsageException> { runBlocking { todo(listOf("list")) {} } }
        File(folder, "passphrase").writeText("wrong")
        val failure = assertThrows<InterocitorException> { runBlocking { run("phone", "sync") } }
        assertEquals("PASSPHRASE_WRONG", failure.code)
    }
}
