package dev.interocitor

import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.delay
import kotlinx.coroutines.launch
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import kotlin.time.Duration
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds

/** What a database does by itself, and how an app learns that it is done. */
class BackgroundTest {
    private suspend fun Interocitor.put(id: String) = table<Title>("t").put(id, Title(id))
    private suspend fun Interocitor.rows() = table<Title>("t").query().count()

    @Test
    fun `a mark is published, and then seen`() = test {
        val mailbox = Mailbox.memory()
        val db = member(mailbox)
        db.connect()
        db.put("a")
        val mark = db.writeMark()
        var thrown: Throwable? = null
        val waiting = launch {
            try {
                db.awaitPublished(mark)
            } catch (end: Throwable) {
                thrown = end
                throw end
            }
        }
        delay(50.milliseconds)
        assertTrue(waiting.isActive)
        waiting.cancelAndJoin()
        assertTrue(thrown is CancellationException, "$thrown")
        val published = launch { db.awaitPublished(mark) }
        db.sync()
        published.join()
        member(mailbox).use { other ->
            other.connect()
            assertTrue(db.seenBy(other.deviceId, mark), "it came later")
            db.put("b")
            db.sync()
            assertFalse(db.seenBy(other.deviceId, db.writeMark()))
            assertTrue(db.seenBy(other.deviceId, mark))
        }
        failsWith<InterocitorException.Rejected>("INVALID_ARGUMENT") { db.seenBy("nobody", mark) }
        db.shutdown()
        failsWith<InterocitorException.Closed>("SHUT_DOWN") { db.writeMark() }
        failsWith<InterocitorException.Closed>("SHUT_DOWN") { db.awaitPublished(mark) }
        failsWith<InterocitorException.Closed>("SHUT_DOWN") { db.seenBy("nobody", mark) }
    }

    @Test
    fun `a push is followed, and without a network nothing is tried`() = test {
        val mailbox = Mailbox.memory()
        member(mailbox).use { writer ->
            member(mailbox) { autoSync = true }.use { reader ->
                writer.connect()
                reader.connect()
                writer.put("a")
                writer.sync()
                assertEquals(0, reader.rows())
                // The next poll is half a minute away.
                reader.poke()
                eventually("what was pushed is pulled") { reader.rows() == 1L }
                reader.setNetwork(false)
                writer.put("b")
                writer.sync()
                reader.poke()
                delay(1.5.seconds)
                assertEquals(1, reader.rows())
                assertEquals(ConnectionState.OFFLINE, reader.connectionState.value)
                reader.setNetwork(true)
                eventually("the network brings what is new") { reader.rows() == 2L }
                assertEquals(Background.HERE, reader.status().background)
            }
        }
    }

    @Test
    fun `it compacts when it is told to, and never when it is not`() = test {
        suspend fun busy(policy: AutoCompaction?): Interocitor {
            val db = member(Mailbox.memory()) {
                autoSync = true
                autoCompact = policy
                batchWindow = Duration.ZERO
                flushDebounce = Duration.ZERO
            }
            db.connect()
            db.put("a")
            db.awaitPublished(db.writeMark())
            return db
        }
        busy(AutoCompaction(batches = 1, compactors = 1)).use { eagerly ->
            busy(null).use { never ->
                eventually("a snapshot is written") { eagerly.status().epoch > 0 }
                assertEquals(0, never.status().epoch)
            }
        }
        failsWith<InterocitorException.Rejected>("INVALID_ARGUMENT") { busy(AutoCompaction(jitter = (-1).seconds)) }
    }
}
