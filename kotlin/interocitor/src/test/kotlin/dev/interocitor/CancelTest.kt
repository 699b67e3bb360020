package dev.interocitor

import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.TimeoutCancellationException
import kotlinx.coroutines.awaitCancellation
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.delay
import kotlinx.coroutines.launch
import kotlinx.coroutines.withTimeout
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds
import kotlin.time.measureTimedValue

class CancelTest {
    @Test
    fun `a call that is cancelled ends at once with the app's own exception`() = test {
        member(Mailbox.custom(SlowAdapter(20.seconds))).use { db ->
            val calls = listOf<suspend () -> Unit>(
                { db.connect() },
                { db.join(MeshConfiguration("/Mesh", PASSPHRASE)) },
                { db.syncOnce(20.seconds) },
            )
            for (call in calls) {
                val (outcome, took) = measureTimedValue { runCatching { withTimeout(100.milliseconds) { call() } } }
                assertTrue(outcome.exceptionOrNull() is TimeoutCancellationException, "$outcome")
                assertTrue(took < 5.seconds, "$took")
            }
            db.table<Title>("todos").put("a", Title("works on"))
        }
    }

    @Test
    fun `what is cancelled before it began is not done`() = test {
        inMemory { db ->
            launch {
                try {
                    awaitCancellation()
                } finally {
                    repeat(300) { attempt ->
                        val outcome = runCatching { db.table<Title>("todos").put("$attempt", Title("Milk")) }
                        assertTrue(outcome.exceptionOrNull() is CancellationException, "$outcome")
                    }
                }
            }.also { delay(20.milliseconds) }.cancelAndJoin()
            delay(100.milliseconds)
            assertEquals(0, db.table<Title>("todos").query().count())
        }
    }

    @Test
    fun `a batch that is cancelled within its block writes nothing`() = test {
        inMemory { db ->
            val inside = Channel<Unit>()
            val writing = launch {
                db.batch {
                    table<Title>("todos").put("a", Title("Milk"))
                    inside.send(Unit)
                    awaitCancellation()
                }
            }
            inside.receive()
            writing.cancelAndJoin()
            assertEquals(emptyList<String>(), db.tableNames())
        }
    }

    @Test
    fun `batches that are cancelled at any moment are written as a whole or not at all`() = test {
        inMemory { db ->
            repeat(60) { round ->
                val writing = launch { db.batch { repeat(50) { table<Title>("t$round").put("$it", Title("$it")) } } }
                delay((round % 10).milliseconds)
                writing.cancelAndJoin()
            }
            // A batch that was given up just as it was committed may still be under way.
            delay(200.milliseconds)
            for (table in db.tableNames()) assertEquals(50, db.table<Title>(table).query().count(), table)
        }
    }

    @Test
    fun `a live query that is cancelled while it waits lets go`() = test {
        inMemory { db ->
            repeat(20) {
                val watching = launch { db.table<Title>("todos").query().observe().collect {} }
                delay(5.milliseconds)
                watching.cancelAndJoin()
            }
        }
    }

    @Test
    fun `a collector of events that is cancelled while more is told leaves no thread waiting`() = test {
        inMemory { db ->
            val todos = db.table<Title>("todos")
            repeat(20) { round ->
                val first = Channel<Unit>(Channel.UNLIMITED)
                val listening = launch {
                    db.events.collect {
                        first.trySend(Unit)
                        awaitCancellation()
                    }
                }
                val writing = launch { while (true) todos.add(Title("$round")) }
                first.receive()
                // The next call of the listener waits by now.
                delay(20.milliseconds)
                listening.cancelAndJoin()
                writing.cancelAndJoin()
            }
            eventually("no listener waits") {
                Thread.getAllStackTraces().values.none { frames -> frames.any { "trySendBlocking" in it.methodName } }
            }
        }
    }
}
