package dev.interocitor

import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.async
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.withTimeout
import kotlinx.serialization.json.JsonObject
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir
import java.io.File
import kotlin.time.Duration
import kotlin.time.Duration.Companion.seconds

class QuarantineTest {
    @TempDir
    lateinit var folder: File

    @Test
    fun `a damaged file is tried again or let go`() = test {
        val mailbox = folder.mailbox()
        member(Mailbox.folder(mailbox)).use { db ->
            db.connect()
            val damaged = File(mailbox, "Mesh/changes/001795352695000-0000-peer-chg_damaged.json").apply { writeText("{") }
            db.sync()
            val item = db.quarantined().single()
            assertEquals(Triple("DECODE", 1L, null), item.run { Triple(code, tries, write) })
            assertTrue(damaged.path.endsWith(item.name), item.name)
            db.restoreQuarantined(item.name)
            assertEquals(0, db.quarantined().single().tries)
            db.sync()
            assertEquals(1, db.quarantined().single().tries, "it was not read again")
            db.discardQuarantined(item.name)
            db.sync()
            assertEquals(emptyList<QuarantinedItem>(), db.quarantined())
            assertTrue(damaged.exists())
            failsWith<InterocitorException.Rejected>("INVALID_ARGUMENT") { db.restoreQuarantined("nothing") }
            failsWith<InterocitorException.Rejected>("INVALID_ARGUMENT") { db.discardQuarantined("writes/7") }
        }
    }

    @Test
    fun `a write that came too late waits for a decision`() = test {
        val mailbox = Mailbox.memory()
        member(mailbox).use { a ->
            member(mailbox).use { b ->
                a.connect()
                b.connect()
                val (ours, theirs) = a.table<JsonObject>("t") to b.table<JsonObject>("t")
                for (id in listOf("back", "gone")) ours.put(id, json("""{"v":1}"""))
                repeat(2) { a.sync(); b.sync() }
                for (id in listOf("back", "gone")) {
                    theirs.put(id, json("""{"w":"late"}"""))
                    ours.delete(id)
                }
                a.compact(Duration.ZERO)
                failsWith<InterocitorException.Rejected>("INVALID_ARGUMENT") { a.retireDevice("nobody") }
                a.retireDevice(b.deviceId)
                assertEquals(listOf(b.deviceId), a.devices().filter { it.isRetired }.map { it.id })
                a.compact(Duration.ZERO)

                val told = async(start = CoroutineStart.UNDISPATCHED) {
                    withTimeout(5.seconds) { b.events.first { it == Event.WriteQuarantined("t", "back") } }
                }
                b.sync()
                told.await()
                val items = b.quarantined()
                assertEquals(2, items.size)
                assertEquals(2, b.status().quarantined)
                for (item in items) {
                    val write = checkNotNull(item.write)
                    assertEquals("ROW_DELETED" to "t", item.code to write.table)
                    // Of a row all columns are published.
                    assertEquals(json("""{"v":1,"w":"late"}"""), write.columns)
                    if (write.rowId == "back") b.restoreQuarantined(item.name) else b.discardQuarantined(item.name)
                }
                assertEquals(emptyList<QuarantinedItem>(), b.quarantined())
                b.sync()
                a.sync()
                for (table in listOf(ours, theirs)) {
                    assertEquals(json("""{"v":1,"w":"late"}"""), table.row("back")?.value)
                    assertNull(table.row("gone"))
                }
            }
        }
    }
}
