package dev.interocitor

import kotlinx.coroutines.delay
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive
import kotlinx.serialization.json.int
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNotNull
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir
import java.io.File
import kotlin.time.Clock
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.minutes
import kotlin.time.Duration.Companion.seconds

class MeshTest {
    @TempDir
    lateinit var folder: File

    @Test
    fun `two devices share rows through a folder`() = test {
        val mailbox = folder.mailbox()
        member(Mailbox.folder(mailbox)) { deviceName = "A"; deviceType = "desktop" }.use { a ->
            member(Mailbox.folder(mailbox)) { deviceName = "B" }.use { b ->
                val id = a.table<Todo>("todos").add(Todo("Milk"))
                assertEquals(Connection.Online, a.connect())
                assertEquals(Connection.Online, b.connect())
                b.table<Todo>("todos").patch(id) { set(Todo::done, true) }
                a.table<Todo>("todos").patch(id) { set(Todo::rank, 4) }
                assertEquals(1, b.flush())
                assertEquals(1, a.pull())
                a.sync()
                b.sync()
                assertEquals(Todo("Milk", done = true, rank = 4), b.table<Todo>("todos").row(id)?.value)
                assertEquals(a.dump()["tables"], b.dump()["tables"])
                val devices = a.devices()
                assertEquals(setOf("A", "B"), devices.map { it.name }.toSet())
                val self = devices.single { it.isThisDevice }
                assertEquals(listOf(a.deviceId, "A", "desktop", false), self.run { listOf(id(), name, type, isRetired) })
                assertTrue(Clock.System.now() - checkNotNull(self.lastSeen) < 1.minutes)
            }
        }
    }

    private fun Device.id() = id

    @Test
    fun `status is a true picture`() = test {
        val mailbox = Mailbox.memory()
        member(mailbox).use { db ->
            db.table<Title>("todos").put("a", Title("Milk"))
            val before = db.status()
            assertEquals(ConnectionState.OFFLINE, before.connection)
            assertNull(before.meshId)
            assertNull(before.lastSync)
            assertEquals(1, before.pendingCount)
            db.connect()
            val after = db.status()
            assertEquals(ConnectionState.IDLE, after.connection)
            assertNotNull(after.meshId)
            assertEquals(db.deviceId, after.deviceId)
            assertEquals("/Mesh", after.remotePath)
            assertTrue(after.isEncrypted)
            assertEquals(0, after.pendingCount)
            assertEquals(0, after.quarantined)
            assertNull(after.problem)
            assertTrue(Clock.System.now() - checkNotNull(after.lastSync) < 1.minutes)
            db.table<Title>("todos").put("b", Title("Bread"))
            assertNotNull(db.status().pendingSince)
        }
    }

    @Test
    fun `a folder that is not there leaves the device offline`() = test {
        member(Mailbox.folder(File(folder, "unplugged"))).use { db ->
            val connection = db.connect() as Connection.Offline
            assertEquals("REMOTE_ACCESS", connection.code)
            assertTrue(connection.reason.isNotEmpty() && connection.stage.isNotEmpty())
            assertEquals("REMOTE_ACCESS", db.status().problem?.code)
            failsWith<InterocitorException.Rejected>("INVALID_ARGUMENT") { db.sync() }
            failsWith<InterocitorException.Remote>("REMOTE_ACCESS") { db.syncOnce(5.seconds) }
        }
        member(Mailbox.webdav("http://127.0.0.1:1/")).use { db ->
            assertEquals("OFFLINE", (db.connect() as Connection.Offline).code)
            val failure = failsWith<InterocitorException.Remote>("OFFLINE") { db.syncOnce(5.seconds) }
            assertTrue(failure.isRetryable)
        }
    }

    @Test
    fun `a mesh can be configured after opening`() = test {
        val mailbox = Mailbox.memory()
        Interocitor.open("tests") { autoSync = false }.use { db ->
            db.setRemoteStorage(mailbox)
            db.configureMesh(MeshConfiguration("/Mesh", PASSPHRASE))
            db.connect()
            assertEquals("/Mesh", db.status().remotePath)
            assertEquals(PASSPHRASE, db.getPassphrase())
        }
        Interocitor.open("tests") { autoSync = false }.use { db ->
            db.setRemoteStorage(mailbox)
            assertEquals(Connection.Online, db.join(MeshConfiguration("/Mesh", PASSPHRASE)))
        }
        Interocitor.open("tests") { autoSync = false }.use { db ->
            db.setRemoteStorage(mailbox)
            failsWith<InterocitorException.Mesh>("REMOTE_MISSING") { db.join(MeshConfiguration("/Nothing", PASSPHRASE)) }
        }
    }

    @Test
    fun `a mesh without encryption has no passphrase`() = test {
        val mailbox = Mailbox.memory()
        Interocitor.open("tests") { remotePath = "/Mesh"; encrypted = false; autoSync = false }.use { db ->
            db.setRemoteStorage(mailbox)
            db.connect()
            assertNull(db.getPassphrase())
            member(mailbox).use { other ->
                failsWith<InterocitorException.Mesh>("MESH_ENCRYPTION_MISMATCH") { other.connect() }
            }
        }
    }

    @Test
    fun `passphrases that are missing or wrong`() = test {
        val mailbox = Mailbox.memory()
        member(mailbox).use { it.connect() }
        member(mailbox) { passphrase = null }.use { db ->
            failsWith<InterocitorException.Credential>("PASSPHRASE_REQUIRED") { db.connect() }
            db.setPassphrase("2thX6LZfHDZZKUs92febYZhYRcXddmzfzF2NvTkPNE")
            failsWith<InterocitorException.Credential>("PASSPHRASE_WRONG") { db.connect() }
            failsWith<InterocitorException.Credential>("PASSPHRASE_WRONG") { db.setPassphrase("no passphrase") }
            db.setPassphrase(PASSPHRASE)
            assertEquals(Connection.Online, db.connect())
        }
    }

    @Test
    fun `a mesh that is gone is founded anew only when told to`() = test {
        val mailbox = folder.mailbox()
        member(Mailbox.folder(mailbox)).use { db ->
            db.table<Title>("todos").put("a", Title("Milk"))
            db.connect()
            db.disconnect()
            File(mailbox, "Mesh").deleteRecursively()
            failsWith<InterocitorException.Mesh>("REMOTE_MISSING") { db.connect() }
            assertEquals(Connection.Online, db.rebuildRemote())
        }
        member(Mailbox.folder(mailbox)).use { db ->
            db.connect()
            assertEquals(1, db.table<Title>("todos").query().count())
        }
    }

    @Test
    fun `schema versions that differ`() = test {
        val mailbox = Mailbox.memory()
        member(mailbox) { schema = UNIQUE_TITLES }.use { it.connect() }
        val newer = UNIQUE_TITLES.replace("\"version\":1", "\"version\":2")
        member(mailbox) { schema = newer }.use { db ->
            failsWith<InterocitorException.Mesh>("SCHEMA_MISMATCH") { db.connect() }
        }
        member(mailbox) { schema = newer; schemaPolicy = SchemaPolicy.MIGRATE }.use { db ->
            assertEquals(Connection.Online, db.connect())
        }
    }

    @Test
    fun `a manifest that is damaged`() = test {
        val mailbox = folder.mailbox()
        member(Mailbox.folder(mailbox)).use { it.connect() }
        val pointer = File(mailbox, "Mesh").listFiles().orEmpty().single { it.name == "manifest.json" }
        pointer.writeText("{")
        member(Mailbox.folder(mailbox)).use { db ->
            failsWith<InterocitorException.Mesh>("MANIFEST_INVALID") { db.connect() }
        }
    }

    @Test
    fun `a managed mesh belongs to its server`() = test {
        val mailbox = Mailbox.memory()
        member(mailbox) { serverManaged = true; serverId = "one" }.use { it.connect() }
        member(mailbox) { serverManaged = true; serverId = "two" }.use { db ->
            failsWith<InterocitorException.Mesh>("WRITER_MISMATCH") { db.connect() }
        }
    }

    @Test
    fun `a damaged file is in quarantine and the rest syncs`() = test {
        val mailbox = folder.mailbox()
        member(Mailbox.folder(mailbox)).use { a ->
            a.connect()
            member(Mailbox.folder(mailbox)).use { b ->
                b.connect()
                a.table<Title>("todos").put("lost", Title("lost"))
                a.sync()
                val changes = File(mailbox, "Mesh/changes").listFiles().orEmpty().filter { "-chg_" in it.name }
                changes.forEach { it.writeBytes(it.readBytes().copyOf(20)) }
                a.table<Title>("todos").put("good", Title("good"))
                a.sync()
                b.sync()
                assertEquals(listOf("good"), b.table<Title>("todos").query().rows().map { it.id })
                val bad = b.quarantined().single()
                assertTrue(bad.name.isNotEmpty() && bad.reason.isNotEmpty() && bad.tries >= 1, "$bad")
                assertEquals("DECODE", bad.code)
                assertTrue(Clock.System.now() - bad.first < 1.minutes && bad.last >= bad.first)
            }
        }
    }

    @Test
    fun `syncOnce connects, exchanges, and keeps to its deadline`() = test {
        val mailbox = Mailbox.memory()
        member(mailbox).use { a ->
            a.table<Title>("todos").put("a", Title("Milk"))
            a.syncOnce(10.seconds)
            assertEquals(0, a.status().pendingCount)
            failsWith<InterocitorException.Rejected>("INVALID_ARGUMENT") { a.syncOnce((-1).seconds) }
        }
        member(Mailbox.custom(SlowAdapter(5.seconds))).use { b ->
            val failure = runCatching { b.syncOnce(100.milliseconds) }.exceptionOrNull() as InterocitorException
            assertEquals("REMOTE_TIMEOUT", failure.code)
        }
    }

    @Test
    fun `a connected database syncs by itself`() = test {
        val mailbox = Mailbox.memory()
        val quick: Configuration.() -> Unit = {
            autoSync = true
            pollInterval = 50.milliseconds
            flushDebounce = 10.milliseconds
            batchWindow = 0.milliseconds
            flushThreshold = 1
        }
        member(mailbox, quick).use { a ->
            member(mailbox, quick).use { b ->
                a.connect()
                b.connect()
                a.setForeground(true)
                b.setForeground(true)
                a.table<Title>("todos").put("a", Title("Milk"))
                eventually("the row arrives") { b.table<Title>("todos").row("a") != null }
            }
        }
    }

    @Test
    fun `a suspended database answers so until it resumes`() = test {
        val file = File(folder, "todo.db")
        Interocitor.open("tests") { path = file }.use { db ->
            val todos = db.table<Title>("todos")
            db.suspend()
            failsWith<InterocitorException.Closed>("SUSPENDED") { todos.put("a", Title("Milk")) }
            db.resume()
            todos.put("a", Title("Milk"))
            assertEquals(1, todos.query().count())
        }
    }

    @Test
    fun `a merge function decides conflicts alike on both sides`() = test {
        val mailbox = Mailbox.memory()
        val highest: Configuration.() -> Unit = {
            merge("scores", "points") { conflicts ->
                conflicts.map { JsonPrimitive(maxOf(it.local.jsonPrimitive.int, it.remote.jsonPrimitive.int)) }
            }
        }
        member(mailbox, highest).use { a ->
            member(mailbox, highest).use { b ->
                a.connect()
                b.connect()
                a.table<kotlinx.serialization.json.JsonObject>("scores").put("x", json("""{"points":9}"""))
                delay(5.milliseconds)
                b.table<kotlinx.serialization.json.JsonObject>("scores").put("x", json("""{"points":4}"""))
                repeat(2) {
                    a.sync()
                    b.sync()
                }
                for (db in listOf(a, b)) {
                    val scores = db.dump().getValue("tables").jsonObject.getValue("scores").jsonObject
                    assertEquals(json("""{"x":{"points":9}}"""), scores)
                }
            }
        }
    }

    @Test
    fun `another mesh makes local rows give way or come along`() = test {
        for ((policy, rows) in listOf(JoinPolicy.RESET_TO_REMOTE to 1L, JoinPolicy.MERGE_WITH_REMOTE to 2L)) {
            val theirs = Mailbox.memory()
            member(theirs).use { db ->
                db.table<Title>("todos").put("theirs", Title("theirs"))
                db.connect()
            }
            member(Mailbox.memory()) { joinPolicy = policy }.use { db ->
                db.table<Title>("todos").put("ours", Title("ours"))
                db.connect()
                db.setRemoteStorage(theirs)
                db.configureMesh(MeshConfiguration("/Mesh", PASSPHRASE))
                db.connect()
                assertEquals(rows, db.table<Title>("todos").query().count(), "$policy")
            }
        }
    }

    @Test
    fun `the mailboxes say what they are`() = test {
        assertEquals("memory", Mailbox.memory().kind)
        assertEquals("folder", Mailbox.folder(folder).kind)
        assertEquals("webdav", Mailbox.webdav("http://127.0.0.1:1/").kind)
        assertEquals("custom", Mailbox.custom(MemoryAdapter()).kind)
        for (auth in listOf(WebDavAuth.Basic("u", "secret"), WebDavAuth.Bearer("secret"), WebDavAuth.Tokens { "secret" })) {
            assertEquals("webdav", Mailbox.webdav("https://example.org/dav/", auth).kind)
            assertTrue("secret" !in "$auth")
        }
        failsWith<InterocitorException.Rejected>("INVALID_ARGUMENT") { Mailbox.webdav("ftp://example.org/") }
        failsWith<InterocitorException.Rejected>("INVALID_ARGUMENT") { Mailbox.webdav("https://example.org/", authorities = "none") }
        failsWith<InterocitorException.Rejected>("INVALID_ARGUMENT") { Mailbox.webdav("https://example.org/", timeout = (-1).seconds) }
    }

    @Test
    fun `a mailbox of the app carries a mesh`() = test {
        val adapter = MemoryAdapter()
        member(Mailbox.custom(adapter)).use { a ->
            a.table<Title>("todos").put("a", Title("Milk"))
            assertEquals(Connection.Online, a.connect())
        }
        assertTrue(adapter.files.keys.all { it.startsWith("/Mesh/") }, "${adapter.files.keys}")
        assertTrue(adapter.files.values.none { "Milk" in it.decodeToString() }, "a title lies in the mailbox")
        member(Mailbox.custom(adapter)).use { b ->
            b.connect()
            assertEquals(Title("Milk"), b.table<Title>("todos").row("a")?.value)
        }
    }
}
