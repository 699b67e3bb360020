package dev.interocitor

import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.async
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.flow.filterIsInstance
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.launch
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir
import java.io.File

/** Further mailboxes that are written to. */
class ReplicasTest {
    @TempDir
    lateinit var folder: File

    @Test
    fun `a device is restored from a mirror`() = test {
        val place = folder.mailbox()
        val copy = Mailbox.folder(place)
        member(Mailbox.memory()) { replicas = listOf(Replica("copy", copy, mirror = true)) }.use { db ->
            db.connect()
            val complete = async(start = CoroutineStart.UNDISPATCHED) { db.events.filterIsInstance<Event.ReplicaComplete>().first() }
            db.table<Title>("todos").put("x", Title("Milk"))
            db.putFile("a", FileSource("content".encodeToByteArray()))
            db.sync()
            val done = db.replicate("copy", verifies = true)
            assertTrue(done.files > 3 && done.damaged == 0L, "$done")
            assertEquals(listOf(ReplicaState("copy", mirror = true, waiting = 0, problem = null)), db.replicas())
            val told = complete.await()
            assertTrue(told.replica == "copy" && told.files >= told.copied && told.copied > 0 && told.bytes > 0, "$told")
            // Damage of the same length shows to who looks into the files.
            val file = place.walk().first { it.isFile && it.parentFile.name == "changes" && it.name != "head.json" }
            val sound = file.readBytes()
            file.writeBytes(ByteArray(sound.size))
            assertEquals(0, db.replicate("copy").copied)
            assertEquals(1, db.replicate("copy", verifies = true).copied)
            assertArrayEquals(sound, file.readBytes())
        }
        member(copy).use { db ->
            db.connect()
            assertEquals("Milk", db.table<Title>("todos").row("x")?.value?.title)
            assertEquals("content", db.getFile("a").bytes().decodeToString())
        }
    }

    @Test
    fun `a plain replica has changes under its own path`() = test {
        val copy = folder.mailbox()
        member(Mailbox.memory()) { replicas = listOf(Replica("copy", Mailbox.folder(copy), remotePath = "/Copy")) }.use { db ->
            db.connect()
            db.table<Title>("todos").put("x", Title("Milk"))
            db.flush()
            db.replicate("copy")
            assertEquals(listOf(false), db.replicas().map { it.mirror })
        }
        assertEquals(listOf("changes"), File(copy, "Copy").list().orEmpty().toList())
    }

    @Test
    fun `one that is down is told and holds nothing up`() = test {
        val gone = Mailbox.folder(File(folder, "missing"))
        member(Mailbox.memory()) { replicas = listOf(Replica("gone", gone, mirror = true)) }.use { db ->
            val errors = Channel<Event.ReplicaError>(Channel.UNLIMITED)
            val listening = launch(start = CoroutineStart.UNDISPATCHED) {
                db.events.filterIsInstance<Event.ReplicaError>().collect(errors::send)
            }
            db.connect()
            db.table<Title>("todos").put("x", Title("Milk"))
            db.sync()
            assertEquals(0, db.status().pendingCount)
            val told = errors.receive()
            assertTrue(told.replica == "gone" && told.reason.isNotEmpty() && told.retryIn == null, "$told")
            assertEquals(told.code, db.replicas().single().problem?.code)
            failsWith<InterocitorException>(told.code) { db.replicate("gone") }
            listening.cancelAndJoin()
        }
    }

    @Test
    fun `what is wrong with replicas is told`() = test {
        val copy = Replica("copy", Mailbox.memory())
        for (wrong in listOf(listOf(copy, copy), listOf(Replica("", Mailbox.memory())))) {
            failsWith<InterocitorException.Rejected>("INVALID_ARGUMENT") { Interocitor.open("tests") { replicas = wrong } }
        }
        val db = member(Mailbox.memory()) { replicas = listOf(copy) }
        failsWith<InterocitorException.Rejected>("INVALID_ARGUMENT") { db.replicate("copy") }
        db.connect()
        failsWith<InterocitorException.Rejected>("INVALID_ARGUMENT") { db.replicate("other") }
        db.shutdown()
        failsWith<InterocitorException.Closed>("SHUT_DOWN") { db.replicate("copy") }
        failsWith<InterocitorException.Closed>("SHUT_DOWN") { db.replicas() }
    }
}
