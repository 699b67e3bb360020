package dev.interocitor

import kotlinx.serialization.json.JsonObject
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows

class BatchTest {
    @Test
    fun `a batch returns what its block returns and writes to several tables`() = test {
        inMemory { db ->
            db.table<Todo>("todos").put("old", Todo("Old", rank = 1))
            db.table<Todo>("todos").put("other", Todo("Other", rank = 1))
            val id = db.batch {
                val todos = table<Todo>("todos")
                todos.delete("old")
                todos.put("b", Todo("Bread"))
                todos.patch("b") { set(Todo::done, true) }
                todos.patch("b", json("""{"color":"brown"}"""))
                todos.replace("other", Todo("Replaced"))
                table<Title>("log").add(Title("tidied up"), prefix = "log")
            }
            assertTrue(id.startsWith("log_"))
            assertEquals(listOf("b", "other"), db.table<Todo>("todos").query().rows().map { it.id })
            assertEquals(Todo("Bread", done = true), db.table<Todo>("todos").row("b")?.value)
            assertEquals("brown", db.table<JsonObject>("todos").row("b")?.value?.get("color").text)
            assertEquals(Todo("Replaced"), db.table<Todo>("todos").row("other")?.value)
            assertEquals(Title("tidied up"), db.table<Title>("log").row(id)?.value)
        }
    }

    @Test
    fun `a batch that throws writes nothing`() = test {
        inMemory { db ->
            assertThrows<IllegalStateException> {
                kotlinx.coroutines.runBlocking {
                    db.batch {
                        table<Title>("todos").put("a", Title("Milk"))
                        error("no")
                    }
                }
            }
            assertEquals(emptyList<String>(), db.tableNames())
        }
    }

    @Test
    fun `a batch sees its own writes, queries do not`() = test {
        inMemory { db ->
            db.batch {
                val todos = table<Todo>("todos")
                val id = todos.add(Todo("Milk"))
                assertEquals(Todo("Milk"), todos.row(id)?.value)
                todos.delete(id)
                assertNull(todos.row(id))
                todos.put("b", Todo("Bread"))
                assertEquals(0, db.table<Todo>("todos").query().count())
            }
            assertEquals(1, db.table<Todo>("todos").query().count())
        }
    }

    @Test
    fun `a batch that is refused at its end writes nothing`() = test {
        inMemory({ schema = UNIQUE_TITLES }) { db ->
            db.table<Title>("todos").put("a", Title("Milk"))
            failsWith<InterocitorException.Rejected>("UNIQUE_VIOLATION") {
                db.batch {
                    table<Title>("todos").put("b", Title("Bread"))
                    table<Title>("todos").put("c", Title("Milk"))
                }
            }
            assertEquals(1, db.table<Title>("todos").query().count())
        }
    }

    @Test
    fun `a batch that has ended is of no use`() = test {
        inMemory { db ->
            lateinit var escaped: BatchTable<Title>
            db.batch { escaped = table("todos") }
            failsWith<InterocitorException.Rejected>("INVALID_ARGUMENT") { escaped.put("a", Title("Milk")) }
            failsWith<InterocitorException.Rejected>("INVALID_ARGUMENT") { escaped.row("a") }
        }
    }

    @Test
    fun `an empty batch is no error`() = test {
        inMemory { db -> assertEquals(5, db.batch { 5 }) }
    }

    @Test
    fun `a batch is one change for its peers`() = test {
        val mailbox = Mailbox.memory()
        member(mailbox).use { db ->
            assertEquals(Connection.Online, db.connect())
            db.batch { repeat(20) { table<Title>("todos").put("$it", Title("$it")) } }
            assertEquals(1, db.status().pendingCount)
            db.sync()
            member(mailbox).use { other ->
                other.connect()
                assertEquals(20, other.table<Title>("todos").query().count())
            }
        }
    }
}
