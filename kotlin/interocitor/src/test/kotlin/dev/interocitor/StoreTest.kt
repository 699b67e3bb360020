package dev.interocitor

import kotlinx.coroutines.flow.first
import kotlinx.serialization.json.JsonObject
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir
import java.io.File
import kotlin.time.Duration.Companion.milliseconds

class StoreTest {
    @kotlinx.serialization.Serializable
    private class Chain(val a: Chain? = null)

    @TempDir
    lateinit var folder: File

    @Test
    fun `after a shutdown every call answers so`() = test {
        val db = member(Mailbox.memory())
        val todos = db.table<Todo>("todos")
        db.shutdown()
        val calls = listOf<suspend () -> Unit>(
            { todos.add(Todo("x")) },
            { todos.put("a", Todo("x")) },
            { todos.patch("a") { set(Todo::done, true) } },
            { todos.replace("a", Todo("x")) },
            { todos.delete("a") },
            { todos.row("a") },
            { todos.query().rows() },
            { todos.query().results() },
            { todos.query().count() },
            { db.batch { table<Todo>("todos").delete("a") } },
            { db.tableNames() },
            { db.dump() },
            { db.status() },
            { db.configureMesh(MeshConfiguration("/Mesh")) },
            { db.setRemoteStorage(Mailbox.memory()) },
            { db.connect() },
            { db.join(MeshConfiguration("/Mesh")) },
            { db.rebuildRemote() },
            { db.disconnect() },
            { db.pull() },
            { db.flush() },
            { db.sync() },
            { db.compact() },
            { db.syncOnce(10.milliseconds) },
            { db.devices() },
            { db.retireDevice("x") },
            { db.quarantined() },
            { db.restoreQuarantined("x") },
            { db.discardQuarantined("x") },
            { db.suspend() },
            { db.resume() },
            { db.putFile("a", FileSource(ByteArray(1))) },
            { db.stageFile("a", FileSource(ByteArray(1))) },
            { db.getFile("a") },
            { db.getFileMetadata("a") },
            { db.deleteFile("a") },
            { db.listFiles() },
            { db.pinFile("a") },
            { db.unpinFile("a") },
            { db.evictFile("a") },
            { db.pauseFile("a") },
            { db.resumeFile("a") },
            { db.cancelFile("a") },
            { db.fileTransfers() },
            { db.fileQueue.first() },
            { db.syncFiles() },
            { db.setPassphrase(PASSPHRASE) },
            { db.secureWithBiometrics("please") },
            { db.restoreWithBiometrics("please") },
            { db.clearCredentials() },
            { db.connectedStores.list() },
            { db.connectedStores.get("x") },
            { db.connectedStores.put(json("""{"id":"x"}""")) },
            { db.connectedStores.remove("x") },
        )
        for ((number, call) in calls.withIndex()) {
            val outcome = runCatching { call() }.exceptionOrNull()
            assertEquals("SHUT_DOWN", (outcome as? InterocitorException.Closed)?.code, "call $number: $outcome")
        }
        db.shutdown()
    }

    @Test
    fun `a store that cannot be opened`() = test {
        failsWith<InterocitorException.Store>("STORE_OPEN") {
            Interocitor.open("tests") { path = File(folder, "missing/todo.db") }
        }
        failsWith<InterocitorException.Rejected>("INVALID_ARGUMENT") { Interocitor.open("tests") { path = File("") } }
    }

    @Test
    fun `a store that is none is set aside`() = test {
        val file = File(folder, "todo.db").apply { writeText("this is no database, however long it may be".repeat(100)) }
        failsWith<InterocitorException.Store>("STORE_CORRUPT") { Interocitor.open("tests") { path = file } }
        val moved = Interocitor.setAsideStore(file)
        assertTrue(moved.readText().startsWith("this is no database"))
        assertFalse(file.exists())
        Interocitor.open("tests") { path = file }.use { assertEquals(0, it.table<Todo>("todos").query().count()) }
        failsWith<InterocitorException.Store>("STORE_OPEN") { Interocitor.setAsideStore(File(folder, "nothing.db")) }
    }

    @Test
    fun `a configuration that is unusable`() = test {
        for (configure in listOf<Configuration.() -> Unit>(
            { schema = "{" },
            { schema = """{"tables":{"t":{"fields":{"f":{"kind":"dance"}}}}}""" },
            { batchWindow = (-1).milliseconds },
            { flushThreshold = -1 },
            { remotePath = "/\uD83D" },
        )) failsWith<InterocitorException.Rejected>("INVALID_ARGUMENT") { Interocitor.open("tests", configure) }
    }

    @Test
    fun `values that are too large or too deep`() = test {
        inMemory { db ->
            failsWith<InterocitorException.Rejected>("LIMIT") { db.table<Title>("t").add(Title("x".repeat(17 shl 20))) }
            failsWith<InterocitorException.Rejected>("LIMIT") { db.table<Title>("t").put("x".repeat(70_000), Title("x")) }
            fun deep(levels: Int) = "{\"a\":".repeat(levels) + "1" + "}".repeat(levels)
            failsWith<InterocitorException.Rejected>("LIMIT") { db.table<JsonObject>("t").putText("a", deep(600)) }
            db.table<JsonObject>("deep").putText("a", deep(510))
            val row = checkNotNull(db.table<JsonObject>("deep").row("a")).value
            val levels = generateSequence(row) { it["a"] as? JsonObject }.count()
            assertEquals(510, levels)
            assertEquals(1, db.table<JsonObject>("deep").query().rows().size)
            assertTrue("tables" in db.dump())
            // A class that nests in the same way is read on the stack, which has its end.
            db.table<JsonObject>("chain").putText("b", deep(510).replace("1", "{}"))
            db.table<Chain>("chain").query().results().single()
            failsWith<InterocitorException.Rejected>("LIMIT") { db.table<Chain>("chain").add(generateSequence(Chain()) { Chain(it) }.elementAt(100_000)) }
        }
    }

    @Test
    fun `a unique column is unique`() = test {
        inMemory({ schema = UNIQUE_TITLES }) { db ->
            val titles = db.table<Title>("todos")
            val id = titles.add(Title("Milk"))
            failsWith<InterocitorException.Rejected>("UNIQUE_VIOLATION") { titles.add(Title("Milk")) }
            titles.put(id, Title("Milk"))
        }
    }

    @Test
    fun `connected stores are kept beside the rows`() = test {
        val file = File(folder, "todo.db")
        Interocitor.open("tests") { path = file }.use { db ->
            db.connectedStores.put(json("""{"id":"drive","token":"ü \ud83d"}"""))
            failsWith<InterocitorException.Rejected>("INVALID_ARGUMENT") { db.connectedStores.put(json("""{"token":1}""")) }
            assertEquals(emptyList<String>(), db.tableNames())
        }
        Interocitor.open("tests") { path = file }.use { db ->
            val record = checkNotNull(db.connectedStores.get("drive"))
            assertEquals("ü \ud83d", record["token"].text)
            assertTrue("createdAt" in record && "updatedAt" in record)
            assertEquals(listOf(record), db.connectedStores.list())
            assertTrue(db.connectedStores.remove("drive"))
            assertFalse(db.connectedStores.remove("drive"))
            assertNull(db.connectedStores.get("drive"))
        }
    }

    @Test
    fun `what it is called`() = test {
        Interocitor.open("tests") { deviceId = "dev-1" }.use { db ->
            assertEquals("tests", db.appName)
            assertEquals("dev-1", db.deviceId)
            assertEquals("Interocitor(tests)", "$db")
        }
        assertTrue(Interocitor.version.matches(Regex("""\d+\.\d+\.\d+.*""")))
        val configuration = Configuration("tests").apply { passphrase = PASSPHRASE }
        assertFalse(PASSPHRASE in "$configuration ${MeshConfiguration("/Mesh", PASSPHRASE)}")
    }
}
