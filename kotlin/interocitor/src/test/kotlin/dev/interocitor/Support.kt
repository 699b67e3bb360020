package dev.interocitor

import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.delay
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import kotlinx.serialization.SerialName
import kotlinx.serialization.Serializable
import kotlinx.serialization.Transient
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.jsonObject
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.fail
import java.io.File
import kotlin.time.Duration
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds

@Serializable
data class Todo(
    val title: String,
    val done: Boolean = false,
    val rank: Int? = null,
    @SerialName("due_on") val due: String? = null,
    val mood: Mood = Mood.CALM,
    val tags: List<String> = emptyList(),
) {
    @Transient
    val shown: String = title.uppercase()

    val isUrgent: Boolean get() = (rank ?: 0) > 8
}

@Serializable
enum class Mood {
    @SerialName("calm")
    CALM,

    @SerialName("hurried")
    HURRIED,
}

/** Another picture of the same rows. */
@Serializable
data class Title(val title: String)

/** A test that may wait, but not forever. */
fun test(limit: Duration = 30.seconds, block: suspend CoroutineScope.() -> Unit): Unit =
    runBlocking(Dispatchers.Default) { withTimeout(limit) { block() } }

/** A database in memory, for the time of a block. */
suspend fun <T> inMemory(configure: Configuration.() -> Unit = {}, block: suspend (Interocitor) -> T): T =
    Interocitor.open("tests", configure).use { block(it) }

/** A member of `/Mesh` that syncs only when it is told to. */
suspend fun member(mailbox: Mailbox, configure: Configuration.() -> Unit = {}): Interocitor {
    val db = Interocitor.open("tests") {
        remotePath = "/Mesh"
        passphrase = PASSPHRASE
        autoSync = false
        configure()
    }
    db.setRemoteStorage(mailbox)
    return db
}

const val PASSPHRASE = "1thX6LZfHDZZKUs92febYZhYRcXddmzfzF2NvTkPNE"

fun json(text: String): JsonObject = Json.parseToJsonElement(text).jsonObject

/** What the block throws, with this code. */
inline fun <reified E : InterocitorException> failsWith(code: String, block: () -> Unit): E {
    try {
        block()
    } catch (failure: InterocitorException) {
        assertEquals(code, failure.code, failure.reason)
        assertTrue(failure.reason.isNotEmpty(), "a failure without a reason")
        return failure as? E ?: fail("it is a ${failure.javaClass.simpleName}: $failure")
    }
    fail("it did not fail with $code")
}

/** Waits until something is so. */
suspend fun eventually(what: String, isSo: suspend () -> Boolean) {
    repeat(500) {
        if (isSo()) return
        delay(10.milliseconds)
    }
    fail("it never came about: $what")
}

fun File.mailbox(): File = resolve("mailbox").apply { mkdirs() }

val kotlinx.serialization.json.JsonElement?.text: String?
    get() = (this as? kotlinx.serialization.json.JsonPrimitive)?.content

const val UNIQUE_TITLES: String =
    """{"version":1,"tables":{"todos":{"fields":{"title":{"kind":"string","unique":true}}}}}"""
