package dev.interocitor

import kotlinx.serialization.ExperimentalSerializationApi
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonElement

/** Values are nested up to 512 deep, in rows, in pages or dumps. */
internal const val DEEPEST: Int = 520

@OptIn(ExperimentalSerializationApi::class)
private val json = Json { maxNestingDepth = DEEPEST }

/** What the engine gave, of any shape. */
internal fun parseJson(text: String): JsonElement = json.parseToJsonElement(text)

/** This JSON text as UTF-8. */
internal fun String.toJsonBytes(): ByteArray = escapingLoneSurrogates().encodeToByteArray()

/**
 * Half a surrogate pair has no UTF-8 form and would become a question mark. JSON can write it as an escape, and within
 * JSON it can only stand in a text.
 */
internal fun String.escapingLoneSurrogates(): String {
    val first = indices.firstOrNull(::isLoneSurrogate) ?: return this
    return buildString(length + 16) {
        append(this@escapingLoneSurrogates, 0, first)
        for (at in first until this@escapingLoneSurrogates.length) {
            val char = this@escapingLoneSurrogates[at]
            if (isLoneSurrogate(at)) append("\\u").append(char.code.toString(16)) else append(char)
        }
    }
}

private fun String.isLoneSurrogate(at: Int): Boolean {
    val char = this[at]
    return when {
        char.isHighSurrogate() -> at + 1 >= length || !this[at + 1].isLowSurrogate()
        char.isLowSurrogate() -> at == 0 || !this[at - 1].isHighSurrogate()
        else -> false
    }
}
