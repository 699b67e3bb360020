package dev.interocitor

import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.awaitCancellation
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.launch
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir
import java.io.File
import kotlin.time.Duration
import kotlin.time.Duration.Companion.seconds

class CompactionTest {
    @TempDir
    lateinit var folder: File

    private fun File.changes() = resolve("Mesh/changes").list().orEmpty().count { "-chg_" in it }

    @Test
    fun `a snapshot stands for the changes that it covers`() = test {
        val mailbox = folder.mailbox()
        member(Mailbox.folder(mailbox)).use { a ->
            member(Mailbox.folder(mailbox)).use { b ->
                a.connect()
                b.connect()
                a.table<Title>("t").put("a", Title("Milk"))
                b.table<Title>("t").put("b", Title("Bread"))
                b.sync()
                // What `a` did not publish yet goes out first. Within the grace, a day, nothing is deleted.
                assertEquals(Compaction.Written(epoch = 1, rows = 2, covered = 2, deleted = 0), a.compact())
                assertEquals(2, mailbox.changes())
                // The changes, and what else nobody needs any more.
                val swept = b.compact(Duration.ZERO) as Compaction.Written
                assertEquals(Triple(2L, 2L, 2L), swept.run { Triple(epoch, rows, covered) })
                assertTrue(swept.deleted >= 2, "$swept")
                assertEquals(0, mailbox.changes())
                member(Mailbox.folder(mailbox)).use { fresh ->
                    fresh.connect()
                    assertEquals(2, fresh.status().epoch)
                    assertEquals(b.dump(), fresh.dump())
                    fresh.table<Title>("t").put("a", Title("More milk"))
                    fresh.sync()
                }
                a.sync()
                assertEquals(Title("More milk"), a.table<Title>("t").row("a")?.value)
            }
        }
    }

    @Test
    fun `another compactor is given way`() = test {
        val mailbox = folder.mailbox()
        member(Mailbox.folder(mailbox)).use { db ->
            db.table<Title>("t").put("a", Title("Milk"))
            db.connect()
            // Another device is at the next manifest.
            File(mailbox, "Mesh/manifest-2.json").writeText("{}")
            assertEquals(Compaction.Overtaken, db.compact(Duration.ZERO))
            assertEquals(0, db.status().epoch)
            assertEquals(1, mailbox.changes())
        }
    }

    @Test
    fun `where it cannot be it is told why`() = test {
        val mailbox = Mailbox.memory()
        val managed: Configuration.() -> Unit = { serverManaged = true; serverId = "server" }
        member(mailbox) { managed(); deviceId = "server" }.use { server ->
            server.connect()
            member(mailbox) { managed(); deviceId = "phone" }.use { phone ->
                phone.connect()
                val failure = failsWith<InterocitorException.Mesh>("WRITER_MISMATCH") { phone.compact() }
                assertFalse(failure.isRetryable)
                assertTrue("server" in failure.reason, failure.reason)
            }
            failsWith<InterocitorException.Rejected>("INVALID_ARGUMENT") { server.compact((-1).seconds) }
            assertTrue(server.compact() is Compaction.Written)
            server.disconnect()
            failsWith<InterocitorException.Rejected>("INVALID_ARGUMENT") { server.compact() }
        }
    }

    @Test
    fun `a compaction that is given up leaves the mesh as it was`() = test {
        val asked = CompletableDeferred<Unit>()
        val adapter = object : MemoryAdapter() {
            @Volatile
            var isStuck = false

            override suspend fun writeFile(path: String, body: ByteArray) {
                if (isStuck) {
                    asked.complete(Unit)
                    awaitCancellation()
                }
                super.writeFile(path, body)
            }
        }
        member(Mailbox.custom(adapter)).use { db ->
            db.table<Title>("t").put("a", Title("Milk"))
            db.connect()
            adapter.isStuck = true
            val compacting = launch { db.compact(Duration.ZERO) }
            asked.await()
            compacting.cancelAndJoin()
            adapter.isStuck = false
            assertEquals(0, db.status().epoch)
            member(Mailbox.custom(adapter)).use { other ->
                other.connect()
                assertEquals(1, other.table<Title>("t").query().count())
            }
            assertEquals(1, (db.compact(Duration.ZERO) as Compaction.Written).epoch)
        }
    }
}
