package dev.interocitor

import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonObject
import kotlin.reflect.KProperty1
import dev.interocitor.ffi.Table as FfiTable

/**
 * A table: rows under ids, each a set of columns that merge one by one.
 *
 * Rows are of a `@Serializable` class whose properties are the columns. Columns that the class does not have are
 * passed over when rows are read, and kept when they are written; a column that nobody wrote yet is read as null or as
 * the property's default. `Table<JsonObject>` takes rows of any shape.
 */
public class Table<T : Any> internal constructor(private val inner: FfiTable, private val codec: RowCodec<T>) {
    /** Its name. */
    public val name: String get() = codec.table

    /** Adds a row under a new id, which starts with the prefix and `_` where there is one, and returns the id. */
    public suspend fun add(row: T, prefix: String? = null): String {
        val columns = codec.encode(row)
        return rowCall { inner.add(columns, prefix) }
    }

    /**
     * Sets all columns of the class and keeps the others. A missing row is made; a deleted one comes back with these
     * columns only.
     */
    public suspend fun put(id: String, row: T) {
        val columns = codec.encode(row)
        rowCall { inner.put(id, columns) }
    }

    /** Sets the columns that the block names, `set(Todo::done, true)`, and keeps the others; otherwise as [put]. */
    public suspend fun patch(id: String, columns: Patch<T>.() -> Unit) {
        val given = Patch(codec).apply(columns).asJson()
        rowCall { inner.put(id, given) }
    }

    /** Sets these columns and keeps the others; otherwise as [put]. */
    public suspend fun patch(id: String, columns: JsonObject) {
        rowCall { inner.put(id, columns.toString().toJsonBytes()) }
    }

    /** Sets all columns of the class, and every other column of the row to null. */
    public suspend fun replace(id: String, row: T) {
        val columns = codec.encode(row)
        rowCall { inner.replace(id, columns) }
    }

    /** Deletes a row; an unknown or deleted one stays as it is. */
    public suspend fun delete(id: String) {
        rowCall { inner.delete(id) }
    }

    /**
     * A live row.
     *
     * @throws InterocitorException.Decode where it does not fit the class.
     */
    public suspend fun row(id: String): Row<T>? = rowCall { inner.row(id) }?.let { codec.decode(id, it) }

    /** A query over this table. */
    public fun query(): Query<T> = Query(inner, codec)

    /** A query for the rows that meet a condition. */
    public fun where(filter: Filter<T>): Query<T> = query().where(filter)

    override fun toString(): String = "Table($name)"

    /** A row's text as the engine spells it. */
    internal suspend fun rowText(id: String): String? = rowCall { inner.row(id) }?.decodeToString()

    /** As [patch], with a text that need not be JSON. */
    internal suspend fun putText(id: String, text: String) {
        rowCall { inner.put(id, text.toJsonBytes()) }
    }
}

/** The columns that a [Table.patch] sets. */
public class Patch<T : Any> internal constructor(private val codec: RowCodec<T>) {
    private val columns = LinkedHashMap<String, JsonElement>()

    /**
     * Sets the column of a property: `set(Todo::done, true)` or `this[Todo::done] = true`.
     *
     * @throws InterocitorException.Rejected for a property that is no column.
     */
    public operator fun <V> set(property: KProperty1<T, V>, value: V) {
        val column = codec.columns.name(property)
        columns[column] = codec.encode(column, value)
    }

    /** Sets a column by its name. */
    public operator fun set(column: String, value: JsonElement) {
        columns[column] = value
    }

    internal fun asJson(): ByteArray = JsonObject(columns).toString().toJsonBytes()
}
