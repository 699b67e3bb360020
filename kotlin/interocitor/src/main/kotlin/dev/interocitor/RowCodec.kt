package dev.interocitor

import kotlinx.serialization.ExperimentalSerializationApi
import kotlinx.serialization.InternalSerializationApi
import kotlinx.serialization.KSerializer
import kotlinx.serialization.SerializationException
import kotlinx.serialization.builtins.ListSerializer
import kotlinx.serialization.descriptors.PolymorphicKind
import kotlinx.serialization.descriptors.PrimitiveKind
import kotlinx.serialization.descriptors.SerialDescriptor
import kotlinx.serialization.descriptors.StructureKind
import kotlinx.serialization.descriptors.buildClassSerialDescriptor
import kotlinx.serialization.encoding.CompositeDecoder
import kotlinx.serialization.encoding.Decoder
import kotlinx.serialization.encoding.Encoder
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonNull
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive
import kotlinx.serialization.modules.SerializersModule
import kotlinx.serialization.serializerOrNull

/** How rows are written and read: every column is written, and columns that the class does not know are passed over. */
@OptIn(ExperimentalSerializationApi::class)
internal class RowJson(module: SerializersModule) {
    val writer: Json = Json {
        serializersModule = module
        encodeDefaults = true
        maxNestingDepth = DEEPEST
    }

    val reader: Json = Json {
        serializersModule = module
        ignoreUnknownKeys = true
        // A column that nobody wrote yet is null.
        explicitNulls = false
        maxNestingDepth = DEEPEST
    }
}

/** Writes and reads the rows of one table as one class. */
@OptIn(ExperimentalSerializationApi::class, InternalSerializationApi::class)
internal class RowCodec<T : Any>(val table: String, val serializer: KSerializer<T>, private val json: RowJson) {
    val columns: Columns = Columns(table, serializer)
    private val page = ListSerializer(EnvelopeSerializer(serializer))
    private val className get() = serializer.descriptor.serialName

    init {
        val kind = serializer.descriptor.kind
        val isObject = kind is StructureKind.CLASS || kind is StructureKind.OBJECT || kind is StructureKind.MAP ||
            kind is PolymorphicKind
        if (!isObject) throw invalid("rows of the table \"$table\" cannot be $className: a row is an object with columns")
    }

    /** The columns of a row, as the engine takes them. */
    fun encode(row: T): ByteArray =
        writing(null) { json.writer.encodeToString(serializer, row) }.toJsonBytes()

    /** The value of a column, as the class writes it. */
    fun encode(column: String, value: Any?): JsonElement {
        val serializer = columns.serializer(column) ?: return encodeFreely(column, value)
        return writing(column) {
            val kind = serializer.descriptor.kind
            // A number of another kind would be cut to size in silence.
            if (value is Number && kind is PrimitiveKind && kind != kindOf(value)) {
                throw SerializationException("it is a ${value.javaClass.simpleName}, the column is $kind")
            }
            @Suppress("UNCHECKED_CAST")
            json.writer.encodeToJsonElement(serializer as KSerializer<Any?>, value)
        }
    }

    /** A value for a column that the class need not have. */
    fun encodeFreely(column: String, value: Any?): JsonElement = when (value) {
        null -> JsonNull
        is JsonElement -> value
        else -> writing(column) {
            val serializer = value.javaClass.kotlin.serializerOrNull()
                ?: throw SerializationException("${value.javaClass.name} has no serializer")
            json.writer.encodeToJsonElement(serializer, value)
        }
    }

    private fun kindOf(number: Number): PrimitiveKind? = when (number) {
        is Int -> PrimitiveKind.INT
        is Long -> PrimitiveKind.LONG
        is Double -> PrimitiveKind.DOUBLE
        is Float -> PrimitiveKind.FLOAT
        is Short -> PrimitiveKind.SHORT
        is Byte -> PrimitiveKind.BYTE
        else -> null
    }

    private inline fun <R> writing(column: String?, write: () -> R): R = try {
        write()
    } catch (failure: StackOverflowError) {
        throw InterocitorException.Rejected(ErrorCode.LIMIT, "a row of the table \"$table\" is nested too deeply", cause = failure)
    } catch (failure: Exception) {
        val what = if (column == null) "a row" else "a value of the column \"$column\""
        throw invalid("$what of the table \"$table\" cannot be written as JSON; see the cause", failure)
    }

    /** One row. */
    fun decode(id: String, row: ByteArray): Row<T> {
        val text = row.decodeToString()
        return reading { Row(id, json.reader.decodeFromString(serializer, text)) }
            ?: listOf(result(id, json.reader.parseToJsonElement(text))).orThrow().single()
    }

    /** The rows of a page; each bad one by itself. */
    fun results(page: ByteArray): List<RowResult<T>> {
        val text = page.decodeToString()
        return reading { json.reader.decodeFromString(this.page, text).map { RowResult.Good(it) } }
            ?: (json.reader.parseToJsonElement(text) as JsonArray).map { envelope ->
                val (id, row) = envelope.jsonObject.run { getValue("id").jsonPrimitive.content to getValue("row") }
                result(id, row)
            }
    }

    /** The rows of a page; the first bad one is thrown. */
    fun rows(page: ByteArray): List<Row<T>> =
        reading { json.reader.decodeFromString(this.page, page.decodeToString()) } ?: results(page).orThrow()

    private fun result(id: String, row: JsonElement): RowResult<T> =
        reading { RowResult.Good(Row(id, json.reader.decodeFromJsonElement(serializer, row))) }
            ?: RowResult.Bad(explain(id, columns.names.firstOrNull { !fits(it, row.jsonObject) }))

    /** Null where it does not fit, or is nested too deeply for a class that nests in the same way. */
    private inline fun <R : Any> reading(read: () -> R): R? = try {
        read()
    } catch (_: Exception) {
        null
    } catch (_: StackOverflowError) {
        null
    }

    /** Whether a column fits; true as well where the class has a hand-written serializer and nobody can tell. */
    private fun fits(column: String, row: JsonObject): Boolean {
        val serializer = columns.serializer(column) ?: return true
        val value = row[column] ?: return columns.mayBeMissing(column)
        return runCatching { json.reader.decodeFromJsonElement(serializer, value) }.isSuccess
    }

    // What the decoder says holds the row's values, so it is not passed on.
    private fun explain(id: String, field: String?): InterocitorException.Decode {
        val what = if (field == null) "it does not fit" else "the column \"$field\" is missing or does not fit"
        val reason = "the row \"$id\" of the table \"$table\" cannot be read as $className: $what"
        return InterocitorException.Decode(table, id, field, reason)
    }
}

/** A member of a page: `{"id":…,"row":{…}}`. */
private class EnvelopeSerializer<T>(private val row: KSerializer<T>) : KSerializer<Row<T>> {
    override val descriptor: SerialDescriptor = buildClassSerialDescriptor("dev.interocitor.Row") {
        element("id", JsonPrimitive.serializer().descriptor)
        element("row", row.descriptor)
    }

    override fun deserialize(decoder: Decoder): Row<T> {
        val members = decoder.beginStructure(descriptor)
        var id: String? = null
        var value: T? = null
        while (true) {
            when (val index = members.decodeElementIndex(descriptor)) {
                0 -> id = members.decodeStringElement(descriptor, index)
                1 -> value = members.decodeSerializableElement(descriptor, index, row)
                CompositeDecoder.DECODE_DONE -> break
            }
        }
        members.endStructure(descriptor)
        return Row(id ?: throw SerializationException("no id"), value ?: throw SerializationException("no row"))
    }

    override fun serialize(encoder: Encoder, value: Row<T>): Nothing = error("the engine writes pages")
}
