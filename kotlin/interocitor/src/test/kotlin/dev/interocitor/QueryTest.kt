package dev.interocitor

import kotlinx.serialization.KSerializer
import kotlinx.serialization.SerialName
import kotlinx.serialization.Serializable
import kotlinx.serialization.descriptors.PrimitiveKind
import kotlinx.serialization.descriptors.PrimitiveSerialDescriptor
import kotlinx.serialization.encoding.Decoder
import kotlinx.serialization.encoding.Encoder
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import kotlin.reflect.KProperty1

class QueryTest {
    private suspend fun ids(query: Query<Todo>) = query.rows().map { it.id }

    private suspend fun <T> withTodos(block: suspend (Table<Todo>) -> T): T = inMemory { db ->
        val todos = db.table<Todo>("todos")
        todos.put("a", Todo("Apples", rank = 1, due = "2026-01-01"))
        todos.put("b", Todo("Bread", rank = 2, done = true, mood = Mood.HURRIED))
        todos.put("c", Todo("Butter", rank = 3, due = "2026-03-01", done = true))
        todos.put("d", Todo("Dates"))
        block(todos)
    }

    @Test
    fun `every operator over properties`() = test {
        withTodos { todos ->
            for ((filter, wanted) in listOf(
                (Todo::done eq true) to "bc",
                (Todo::title eq "Dates") to "d",
                (Todo::mood eq Mood.HURRIED) to "b",
                (Todo::due eq "2026-03-01") to "c",
                (Todo::rank eq 2) to "b",
                (Todo::rank above 1) to "bc",
                (Todo::rank aboveOrEqual 2) to "bc",
                (Todo::rank below 2) to "a",
                (Todo::rank belowOrEqual 2) to "ab",
                Todo::rank.between(1, 3) to "abc",
                Todo::rank.between(1, 3, lowOpen = true) to "bc",
                Todo::rank.between(1, 3, highOpen = true) to "ab",
                (Todo::rank within 2..3) to "bc",
                (Todo::title startsWith "B") to "bc",
                (Todo::rank anyOf listOf(1, 3, 9)) to "ac",
                (Todo::mood anyOf emptyList()) to "",
            )) {
                assertEquals(wanted.map(Char::toString), ids(todos.where(filter)), "$filter")
                assertEquals(wanted.length.toLong(), todos.where(filter).count())
            }
        }
    }

    @Test
    fun `every operator over column names`() = test {
        withTodos { todos ->
            for ((filter, wanted) in listOf(
                (column("done") eq true) to "bc",
                (column("due_on") eq "2026-03-01") to "c",
                (column("tags") eq kotlinx.serialization.json.JsonArray(emptyList())) to "abcd",
                (column("rank") eq JsonPrimitive(2.0)) to "b",
                (column("rank") above 1) to "bc",
                (column("rank") aboveOrEqual 2) to "bc",
                (column("rank") below 2.5) to "ab",
                (column("rank") belowOrEqual 2L) to "ab",
                column("rank").between(1, 3, lowOpen = true, highOpen = true) to "b",
                (column("rank") within 2..3) to "bc",
                (column("title") startsWith "B") to "bc",
                (column("rank") anyOf listOf<Any>(1, "2", JsonPrimitive(3))) to "ac",
                (column("nowhere") eq 1) to "",
                (column("rank") eq "2") to "",
            )) {
                val raw = todos.where(filter)
                assertEquals(wanted.map(Char::toString), ids(raw), "$filter")
            }
        }
    }

    @Test
    fun `conditions add up, and rows are ordered, limited and left out`() = test {
        withTodos { todos ->
            assertEquals(listOf("c"), ids(todos.where(Todo::done eq true).where(Todo::rank above 2)))
            val byTitle = todos.query().orderBy(Todo::title, descending = true)
            assertEquals(listOf("d", "c", "b", "a"), ids(byTitle))
            assertEquals(listOf("c", "b"), ids(byTitle.offset(1).limit(2)))
            assertEquals(2, byTitle.limit(2).count())
            assertEquals(listOf("b", "c", "a", "d"), ids(todos.query().orderBy(Todo::done, true).orderBy("title")))
            assertEquals(listOf("a", "c"), ids(todos.query().orderBy(Todo::due).where(Todo::due above "2")))
        }
    }

    @Test
    fun `a query is not changed by what is made of it`() = test {
        withTodos { todos ->
            val all = todos.query()
            all.where(Todo::done eq true).limit(1)
            assertEquals(4, all.rows().size)
        }
    }

    @Test
    fun `limits and offsets below zero are refused`() = test {
        withTodos { todos ->
            failsWith<InterocitorException.Rejected>("INVALID_ARGUMENT") { todos.query().limit(-1).rows() }
            failsWith<InterocitorException.Rejected>("INVALID_ARGUMENT") { todos.query().offset(-1).count() }
        }
    }

    @Test
    fun `a property that is no column says so`() = test {
        withTodos { todos ->
            for (property in listOf<KProperty1<Todo, Comparable<*>>>(Todo::shown, Todo::isUrgent)) {
                val failure = failsWith<InterocitorException.Rejected>("INVALID_ARGUMENT") { todos.query().orderBy(property) }
                assertTrue("\"${property.name}\"" in failure.reason && "due_on" in failure.reason, failure.reason)
            }
            failsWith<InterocitorException.Rejected>("INVALID_ARGUMENT") { todos.where(Todo::shown eq "MILK") }
            failsWith<InterocitorException.Rejected>("INVALID_ARGUMENT") { todos.patch("a") { set(Todo::isUrgent, true) } }
        }
    }

    @Test
    fun `swapped serial names are followed, and a name that belongs to another property is refused`() = test {
        inMemory { db ->
            val swapped = db.table<Swapped>("t")
            swapped.put("x", Swapped(left = 1, right = 2, center = 3))
            assertEquals(json("""{"right":1,"left":2,"middle":3}"""), db.table<JsonObject>("t").row("x")?.value)
            assertEquals(1, swapped.where(Swapped::left eq 1).count())
            assertEquals(0, swapped.where(Swapped::right eq 1).count())
            assertEquals(1, swapped.where(Swapped::center eq 3).count())
            val failure = failsWith<InterocitorException.Rejected>("INVALID_ARGUMENT") { swapped.where(Swapped::middle eq 3) }
            assertTrue("@SerialName" in failure.reason, failure.reason)
        }
    }

    @Test
    fun `a column is compared as its class writes it`() = test {
        inMemory { db ->
            val events = db.table<Meeting>("m")
            events.put("x", Meeting(Day(3), Priority.HIGH, isOpen = true))
            assertEquals(1, events.where(Meeting::day eq Day(3)).count())
            assertEquals(1, events.where(Meeting::day above Day(2)).count())
            assertEquals(1, events.where(Meeting::priority eq Priority.HIGH).count())
            assertEquals(1, events.where(Meeting::isOpen eq true).count())
            assertEquals(json("""{"day":"day 3","priority":"HIGH","open":true}"""), db.table<JsonObject>("m").row("x")?.value)
        }
    }

    @Test
    fun `a property of a base class is a column too`() = test {
        inMemory { db ->
            val notes = db.table<Note>("n")
            notes.put("x", Note("text", "me"))
            assertEquals(1, notes.where(Signed::author eq "me").count())
            assertEquals(1, notes.where(Note::author eq "me").count())
        }
    }

    @Test
    fun `good rows come beside bad ones`() = test {
        withTodos { todos ->
            inMemory { db ->
                val raw = db.table<JsonObject>("todos")
                raw.put("a", json("""{"title":"Milk"}"""))
                raw.put("b", json("""{"title":5}"""))
                raw.put("c", json("""{"title":"Eggs"}"""))
                val results = db.table<Title>("todos").query().results()
                assertEquals(listOf("a", "b", "c"), results.map { it.id })
                assertEquals(listOf("Milk", "Eggs"), results.filterIsInstance<RowResult.Good<Title>>().map { it.row.value.title })
                assertEquals("title", results.filterIsInstance<RowResult.Bad>().single().failure.field)
            }
            assertEquals(4, todos.query().results().filterIsInstance<RowResult.Good<Todo>>().size)
        }
    }

    @Serializable
    private data class Swapped(
        @SerialName("right") val left: Int,
        @SerialName("left") val right: Int,
        @SerialName("middle") val center: Int,
    ) {
        val middle: Int get() = center
    }

    @Serializable(with = DaySerializer::class)
    private data class Day(val number: Int) : Comparable<Day> {
        override fun compareTo(other: Day) = number - other.number
    }

    private object DaySerializer : KSerializer<Day> {
        override val descriptor = PrimitiveSerialDescriptor("Day", PrimitiveKind.STRING)
        override fun serialize(encoder: Encoder, value: Day) = encoder.encodeString("day ${value.number}")
        override fun deserialize(decoder: Decoder) = Day(decoder.decodeString().removePrefix("day ").toInt())
    }

    private enum class Priority { LOW, HIGH }

    @Serializable
    private data class Meeting(val day: Day, val priority: Priority, @SerialName("open") val isOpen: Boolean)

    private interface Signed {
        val author: String
    }

    @Serializable
    private data class Note(val text: String, override val author: String) : Signed
}
