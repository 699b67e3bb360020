package dev.interocitor

import kotlinx.serialization.Serializable
import kotlinx.serialization.builtins.serializer
import kotlinx.serialization.json.JsonNull
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir
import java.io.File

class TableTest {
    @Test
    fun `an added row is read back as its class`() = test {
        inMemory { db ->
            val todos = db.table<Todo>("todos")
            val milk = Todo("Milk", rank = 3, due = "2026-12-01", mood = Mood.HURRIED, tags = listOf("food", "ünï ✓"))
            val id = todos.add(milk)
            assertEquals(Row(id, milk), todos.row(id))
            assertEquals("todos", todos.name)
        }
    }

    @Test
    fun `a prefix begins the id`() = test {
        inMemory { db -> assertTrue(db.table<Todo>("todos").add(Todo("Milk"), prefix = "todo").startsWith("todo_")) }
    }

    @Test
    fun `rows outlive the database`(@TempDir folder: File) = test {
        val file = File(folder, "todo.db")
        val id = Interocitor.open("tests") { path = file }.use { it.table<Todo>("todos").add(Todo("Milk")) }
        Interocitor.open("tests") { path = file }.use { assertEquals("Milk", it.table<Todo>("todos").row(id)?.value?.title) }
    }

    @Test
    fun `columns are stored under their serial names, defaults and nulls included`() = test {
        inMemory { db ->
            db.table<Todo>("todos").put("a", Todo("Milk"))
            val stored = json("""{"title":"Milk","done":false,"rank":null,"due_on":null,"mood":"calm","tags":[]}""")
            assertEquals(stored, db.table<JsonObject>("todos").row("a")?.value)
        }
    }

    @Test
    fun `put keeps the columns that the class does not know, and reading passes them over`() = test {
        inMemory { db ->
            val raw = db.table<JsonObject>("todos")
            raw.put("a", json("""{"title":"Milk","color":"white"}"""))
            val titles = db.table<Title>("todos")
            assertEquals(Title("Milk"), titles.row("a")?.value)
            titles.put("a", Title("Oat milk"))
            assertEquals(json("""{"title":"Oat milk","color":"white"}"""), raw.row("a")?.value)
        }
    }

    @Test
    fun `replace clears the columns that the class does not know`() = test {
        inMemory { db ->
            val raw = db.table<JsonObject>("todos")
            raw.put("a", json("""{"title":"Milk","color":"white"}"""))
            db.table<Title>("todos").replace("a", Title("Oat milk"))
            assertEquals(json("""{"title":"Oat milk","color":null}"""), raw.row("a")?.value)
        }
    }

    @Test
    fun `patch sets only what it names`() = test {
        inMemory { db ->
            val todos = db.table<Todo>("todos")
            todos.put("a", Todo("Milk", rank = 3))
            todos.patch("a") {
                set(Todo::done, true)
                this[Todo::mood] = Mood.HURRIED
                this[Todo::due] = "2026-12-01"
                this["color"] = JsonPrimitive("white")
            }
            val wanted = Todo("Milk", done = true, rank = 3, due = "2026-12-01", mood = Mood.HURRIED)
            assertEquals(wanted, todos.row("a")?.value)
            assertEquals(JsonPrimitive("white"), db.table<JsonObject>("todos").row("a")?.value?.get("color"))
            todos.patch("a") { set(Todo::rank, null) }
            assertNull(todos.row("a")?.value?.rank)
            todos.patch("a", json("""{"title":"Oat milk"}"""))
            assertEquals("Oat milk", todos.row("a")?.value?.title)
        }
    }

    @Test
    fun `a deleted row is gone and may come back`() = test {
        inMemory { db ->
            val todos = db.table<Todo>("todos")
            todos.put("a", Todo("Milk", rank = 3))
            todos.delete("a")
            assertNull(todos.row("a"))
            todos.delete("never there")
            todos.patch("a") { set(Todo::title, "Milk again") }
            assertEquals(Todo("Milk again"), todos.row("a")?.value)
        }
    }

    @Test
    fun `a column that nobody wrote is null or its default`() = test {
        inMemory { db ->
            db.table<JsonObject>("todos").put("a", json("""{"title":"Milk"}"""))
            assertEquals(Todo("Milk"), db.table<Todo>("todos").row("a")?.value)
        }
    }

    @Test
    fun `rows of any shape keep what they hold`() = test {
        inMemory { db ->
            val raw = db.table<JsonObject>("things")
            val row = json("""{"n":9007199254740993,"x":1.0,"deep":{"list":[1,null,{"a":"b"}]},"":"empty","null":null}""")
            raw.put("a", row)
            assertEquals(row, raw.row("a")?.value)
            assertEquals("9007199254740993", raw.row("a")?.value?.get("n").toString())
        }
    }

    @Test
    fun `half a surrogate pair survives in a value`() = test {
        inMemory { db ->
            val titles = db.table<Title>("todos")
            for (text in listOf("\uD83D", "a\uDE00b", "\uD83D\uDE00", "\uDE00\uD83D", "😀\uD83D")) {
                titles.put("a", Title(text))
                assertEquals(Title(text), titles.row("a")?.value)
                titles.patch("a") { set(Title::title, text + "!") }
                assertEquals(Title("$text!"), titles.query().rows().single().value)
            }
        }
    }

    @Test
    fun `half a surrogate pair in a name is refused`() = test {
        inMemory { db ->
            failsWith<InterocitorException.Rejected>("INVALID_ARGUMENT") { db.table<Todo>("\uD83D") }
            failsWith<InterocitorException.Rejected>("INVALID_ARGUMENT") {
                db.table<Todo>("todos").put("\uDE00", Todo("Milk"))
            }
        }
    }

    @Test
    fun `names may hold anything else`() = test {
        inMemory { db ->
            for (name in listOf("a/b", "\"quoted\"", "null\u0000byte", "😀", "")) {
                val table = db.table<Title>(name)
                table.put(name, Title(name))
                assertEquals(Row(name, Title(name)), table.query().rows().single())
            }
            assertEquals(5, db.tableNames().size)
        }
    }

    @Test
    fun `a class that is written as no object is refused`() = test {
        inMemory { db ->
            val failure = failsWith<InterocitorException.Rejected>("INVALID_ARGUMENT") { db.table("todos", String.serializer()) }
            assertTrue("kotlin.String" in failure.reason, failure.reason)
        }
    }

    @Test
    fun `a number that JSON cannot write is refused`() = test {
        @Serializable
        class Weight(val kilograms: Double)
        inMemory { db ->
            failsWith<InterocitorException.Rejected>("INVALID_ARGUMENT") { db.table<Weight>("w").add(Weight(Double.NaN)) }
            assertEquals(0, db.table<Weight>("w").query().count())
        }
    }

    @Test
    fun `a value that does not fit its column is refused by patch`() = test {
        inMemory { db ->
            val todos = db.table<Todo>("todos")
            // Properties are covariant, so the compiler lets these pass.
            failsWith<InterocitorException.Rejected>("INVALID_ARGUMENT") { todos.patch("a") { set(Todo::title, 5) } }
            failsWith<InterocitorException.Rejected>("INVALID_ARGUMENT") { todos.patch("a") { set(Todo::rank, 2.5) } }
            failsWith<InterocitorException.Rejected>("INVALID_ARGUMENT") { todos.patch("a") { set(Todo::title, null) } }
            assertNull(db.table<Todo>("todos").row("a"))
        }
    }

    @Test
    fun `a row that does not fit names table, row and column, and none of its values`() = test {
        inMemory { db ->
            val raw = db.table<JsonObject>("todos")
            val todos = db.table<Todo>("todos")
            for ((row, field) in listOf(
                """{"title":"Milk","rank":"secret"}""" to "rank",
                """{"done":true}""" to "title",
                """{"title":null}""" to "title",
                """{"title":"secret","mood":"secret"}""" to "mood",
                """{"title":"Milk","tags":[1,{"secret":1}]}""" to "tags",
            )) {
                raw.delete("a")
                raw.put("a", json(row))
                for (attempt in listOf<suspend () -> Unit>({ todos.row("a") }, { todos.query().rows() })) {
                    val failure = failsWith<InterocitorException.Decode>("DECODE") { attempt() }
                    assertEquals(listOf("todos", "a", field), failure.run { listOf(table, rowId, this.field) }, row)
                    assertFalse("secret" in failure.stackTraceToString(), failure.stackTraceToString())
                    assertTrue("todos" in failure.reason && "\"a\"" in failure.reason && field in failure.reason)
                }
            }
        }
    }

    @Test
    fun `a class that refuses a value in its constructor does not hide the other rows`() = test {
        inMemory { db ->
            db.table<JsonObject>("todos").put("bad", json("""{"title":""}"""))
            db.table<JsonObject>("todos").put("good", json("""{"title":"Milk"}"""))
            val (bad, good) = db.table<Strict>("todos").query().results()
            assertEquals("good", (good as RowResult.Good).row.id)
            assertNull((bad as RowResult.Bad).failure.field)
        }
    }

    @Test
    fun `nulls of an object are told apart from missing columns`() = test {
        inMemory { db ->
            db.table<JsonObject>("t").put("a", JsonObject(mapOf("x" to JsonNull)))
            assertEquals(json("""{"x":null}"""), db.table<JsonObject>("t").row("a")?.value)
        }
    }

    @Serializable
    private class Strict(val title: String) {
        init {
            require(title.isNotEmpty()) { "no title" }
        }
    }
}
