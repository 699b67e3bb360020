package dev.interocitor

import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.launch
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir
import java.io.File

/** How things stand, as a value and as a flow, and what the doctor finds. */
class StatusTest {
    @TempDir
    lateinit var folder: File

    @Test
    fun `the flow gives the present status, then each new one, and completes`() = test {
        val db = Interocitor.open("tests") { remotePath = "/Mesh" }
        val seen = Channel<Status>(Channel.UNLIMITED)
        val watching = launch {
            db.statuses.collect { seen.send(it) }
            seen.close()
        }
        val first = seen.receive()
        assertEquals(db.status(), first)
        assertEquals(ConnectionState.OFFLINE, first.connection)
        assertEquals(Background.NOWHERE, first.background)
        assertTrue(first.hasNetwork && first.operation == null && first.quarantinedItems.isEmpty())
        db.table<Title>("t").put("a", Title("Milk"))
        assertEquals(1, seen.receive().pendingCount)
        db.setNetwork(false)
        assertFalse(seen.receive().hasNetwork)
        // While the database is suspended the flow waits.
        db.suspend()
        val late = launch { db.statuses.first { it.hasNetwork } }
        db.resume()
        db.setNetwork(true)
        late.join()
        assertTrue(seen.receive().hasNetwork)
        db.shutdown()
        watching.join()
        assertFalse(watching.isCancelled)
        assertTrue(seen.receiveCatching().isClosed)
        failsWith<InterocitorException.Closed>("SHUT_DOWN") { db.statuses.collect {} }
    }

    @Test
    fun `a collector that is cancelled is let go while it waits`() = test {
        inMemory { db ->
            val started = Channel<Unit>(Channel.UNLIMITED)
            val watching = launch { db.statuses.collect { started.send(Unit) } }
            started.receive()
            watching.cancelAndJoin()
            assertTrue(watching.isCancelled)
            assertEquals(0, db.statuses.first().pendingCount)
        }
    }

    @Test
    fun `what goes on, what waits and what is put aside is told`() = test {
        val mailbox = folder.mailbox()
        member(Mailbox.folder(mailbox)).use { db ->
            db.connect()
            File(mailbox, "Mesh/changes/001795352695000-0000-peer-chg_damaged.json").writeText("{")
            db.sync()
            val status = db.status()
            assertEquals(db.quarantined(), status.quarantinedItems)
            assertEquals(listOf(1L, 1L), listOf(status.quarantined, status.quarantinedItems.single().tries))
            repeat(300) { id -> db.batch { table<Title>("t").put("$id", Title("x")) } }
            assertTrue(db.status().pendingSince != null)
            val flushing = launch { db.flush() }
            val operations = ArrayList<Operation>()
            while (flushing.isActive) db.status().operation?.let { operations += it }
            flushing.join()
            val publishing = operations.filter { it.phase == Phase.PUBLISHING }
            assertTrue(publishing.any { it.filesTotal == 300L }, "$operations")
            assertTrue(publishing.zipWithNext().all { (a, b) -> a.files <= b.files && a.bytes <= b.bytes }, "$publishing")
            assertTrue(publishing.all { (it.fraction ?: 0f) in 0f..1f }, "$publishing")
            assertNull(db.status().operation)
        }
    }

    @Test
    fun `a progress is a part of the whole where that is known`() {
        val known = Operation(Phase.PULLING, files = 1, filesTotal = 4, rows = 0, bytes = 50, bytesTotal = 100)
        assertEquals(0.5f, known.fraction)
        assertEquals(0.25f, known.copy(bytesTotal = null).fraction)
        assertEquals(1f, known.copy(bytes = 200).fraction)
        assertNull(known.copy(bytesTotal = null, filesTotal = null).fraction)
        assertNull(known.copy(bytesTotal = 0).fraction)
    }

    @Test
    fun `the doctor tells what it found, and mends it when it is asked to`() = test {
        val mailbox = folder.mailbox()
        val db = member(Mailbox.folder(mailbox))
        db.connect()
        db.table<Title>("t").put("a", Title("Milk"))
        db.sync()
        val sound = db.doctor()
        assertEquals(Triple(emptyList<Finding>(), 1L, null), Triple(sound.findings, sound.rowsChecked, sound.worst))
        assertTrue(sound.filesChecked > 0)
        val head = File(mailbox, "Mesh/changes/head.json")
        val older = """{"latestHlc":"000000000000001-0000-x"}"""
        head.writeText(older)
        File(mailbox, "Mesh/stranger.txt").writeText("x")
        for (mends in listOf(false, true)) {
            val diagnosis = db.doctor(mends)
            assertEquals(listOf("HEAD_BEHIND", "UNKNOWN_FILE"), diagnosis.findings.map { it.code })
            val (behind, unknown) = diagnosis.findings
            assertEquals(listOf(Severity.WARNING, true, mends), behind.run { listOf(severity, isMendable, isMended) })
            assertEquals(listOf(Severity.INFO, false, false), unknown.run { listOf(severity, isMendable, isMended) })
            assertEquals(if (mends) Severity.INFO else Severity.WARNING, diagnosis.worst)
            assertTrue(unknown.place.endsWith("stranger.txt") && behind.meaning.isNotEmpty() && behind.advice.isNotEmpty())
            assertEquals(!mends, head.readText() == older)
        }
        db.shutdown()
        failsWith<InterocitorException.Closed>("SHUT_DOWN") { db.doctor() }
    }
}
