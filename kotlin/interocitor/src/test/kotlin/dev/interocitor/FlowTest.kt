package dev.interocitor

import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.take
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.launch
import kotlinx.serialization.json.JsonObject
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import java.util.concurrent.CopyOnWriteArrayList
import kotlin.time.Duration.Companion.milliseconds

class FlowTest {
    @Test
    fun `the first rows come at once, later ones when they have changed`() = test {
        inMemory { db ->
            val todos = db.table<Todo>("todos")
            todos.put("a", Todo("Apples"))
            val seen = Channel<List<String>>(Channel.UNLIMITED)
            val watching = launch {
                todos.where(Todo::done eq false).observe().collect { rows -> seen.send(rows.map { it.value.title }) }
            }
            assertEquals(listOf("Apples"), seen.receive())
            todos.put("b", Todo("Bread"))
            assertEquals(listOf("Apples", "Bread"), seen.receive())
            // Nothing that the query shows.
            db.table<Todo>("others").put("x", Todo("x"))
            todos.put("c", Todo("Done", done = true))
            todos.delete("a")
            assertEquals(listOf("Bread"), seen.receive())
            watching.cancelAndJoin()
            todos.put("d", Todo("Dates"))
            delay(50.milliseconds)
            assertTrue(seen.tryReceive().isFailure)
        }
    }

    @Test
    fun `of many changes a slow collector sees the last`() = test {
        inMemory { db ->
            val todos = db.table<Todo>("todos")
            val (seen, go) = CopyOnWriteArrayList<Int>() to CompletableDeferred<Unit>()
            val watching = launch {
                todos.query().observe().collect { rows ->
                    seen += rows.size
                    if (seen.size == 1) go.await()
                    if (rows.size == 100) throw kotlin.coroutines.cancellation.CancellationException("seen")
                }
            }
            eventually("the first rows are seen") { seen.size == 1 }
            repeat(100) { todos.put("$it", Todo("$it")) }
            go.complete(Unit)
            watching.join()
            assertEquals(0, seen.first())
            assertEquals(100, seen.last())
            assertTrue(seen.size < 10, "$seen")
        }
    }

    @Test
    fun `a row that does not fit ends rows, and not results`() = test {
        inMemory { db ->
            val titles = db.table<Title>("todos")
            db.table<JsonObject>("todos").put("bad", json("""{"title":5}"""))
            titles.put("good", Title("Milk"))
            failsWith<InterocitorException.Decode>("DECODE") { titles.query().observe().collect {} }
            val results = titles.query().observeResults().first()
            assertEquals(listOf(true, false), results.map { it is RowResult.Bad })
        }
    }

    @Test
    fun `flows end with the database, and fail after it`() = test {
        val db = Interocitor.open("tests")
        val todos = db.table<Todo>("todos")
        val started = Channel<Unit>(Channel.UNLIMITED)
        val rows = launch { todos.query().observe().collect { started.send(Unit) } }
        val events = launch { db.events.collect { if (it is Event.Change && it.table == "probe") started.trySend(Unit) } }
        started.receive()
        eventually("the listener is there") {
            db.table<Title>("probe").put("p", Title("p"))
            started.tryReceive().isSuccess
        }
        db.shutdown()
        rows.join()
        events.join()
        assertFalse(rows.isCancelled || events.isCancelled)
        failsWith<InterocitorException.Closed>("SHUT_DOWN") { todos.query().observe().collect {} }
        failsWith<InterocitorException.Closed>("SHUT_DOWN") { db.events.collect {} }
    }

    @Test
    fun `events tell of rows, theirs and ours`() = test {
        val mailbox = Mailbox.memory()
        member(mailbox).use { a ->
            member(mailbox).use { b ->
                val heard = Channel<Event>(Channel.UNLIMITED)
                val listening = launch { b.events.collect { heard.send(it) } }
                eventually("the listener is there") {
                    b.table<Title>("probe").put("p", Title("p"))
                    heard.tryReceive().isSuccess
                }
                a.connect()
                a.table<Title>("todos").put("a", Title("Milk"))
                a.sync()
                b.connect()
                b.table<Title>("todos").delete("a")
                val all = ArrayList<Event>()
                while (Event.Delete("todos", listOf("a")) !in all) all += heard.receive()
                assertTrue(Event.Change("todos", listOf("a")) in all, "$all")
                assertTrue(Event.SyncStart in all && all.any { it is Event.SyncComplete }, "$all")
                assertTrue(all.any { it is Event.ConnectState && it.encrypted && it.remotePath == "/Mesh" }, "$all")
                assertTrue(PASSPHRASE !in all.toString())
                listening.cancelAndJoin()
            }
        }
    }

    @Test
    fun `a listener that is slow hears that it fell behind, or all`() = test {
        inMemory { db ->
            val todos = db.table<Title>("todos")
            val (heard, go) = CopyOnWriteArrayList<Event>() to CompletableDeferred<Unit>()
            val listening = launch {
                db.events.collect {
                    heard += it
                    if (heard.size == 1) go.await()
                }
            }
            eventually("the listener is there") {
                todos.put("first", Title("first"))
                heard.isNotEmpty()
            }
            repeat(3000) { todos.put("$it", Title("$it")) }
            go.complete(Unit)
            eventually("the end is heard") {
                heard.any { it is Event.Lagged || (it is Event.Change && "2999" in it.rowIds) }
            }
            listening.cancelAndJoin()
        }
    }

    @Test
    fun `the connection's state is always the current one`() = test {
        val db = member(Mailbox.memory())
        assertEquals(ConnectionState.OFFLINE, db.connectionState.value)
        val states = Channel<ConnectionState>(Channel.UNLIMITED)
        val watching = launch { db.connectionState.collect { states.send(it) } }
        db.connect()
        eventually("it is idle") { db.connectionState.value == ConnectionState.IDLE }
        db.disconnect()
        eventually("it is offline") { db.connectionState.value == ConnectionState.OFFLINE }
        watching.cancelAndJoin()
        db.connect()
        eventually("it is idle again") { db.connectionState.value == ConnectionState.IDLE }
        db.shutdown()
        assertEquals(ConnectionState.OFFLINE, db.connectionState.value)
        val ended = member(Mailbox.memory()).also { it.shutdown() }
        assertEquals(ConnectionState.OFFLINE, ended.connectionState.value, "asked for the first time after the end")
    }

    @Test
    fun `several collectors each see everything`() = test {
        inMemory { db ->
            val todos = db.table<Title>("todos")
            val collectors = List(5) { todos.query().observe() }.map { flow ->
                val result = CompletableDeferred<List<Int>>()
                launch { result.complete(flow.take(2).toList().map { it.size }) }
                result
            }
            delay(100.milliseconds)
            todos.put("a", Title("Milk"))
            for (collector in collectors) assertEquals(listOf(0, 1), collector.await())
        }
    }
}
