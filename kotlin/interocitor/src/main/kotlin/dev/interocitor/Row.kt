package dev.interocitor

/**
 * A row of a table.
 *
 * @property id its id.
 * @property value its columns.
 */
public data class Row<out T>(val id: String, val value: T)

/** A row of a table, or why it cannot be read as the table's class. */
public sealed interface RowResult<out T> {
    /** The row's id. */
    public val id: String

    /**
     * A row that could be read.
     *
     * @property row the row.
     */
    public data class Good<out T>(val row: Row<T>) : RowResult<T> {
        override val id: String get() = row.id
    }

    /**
     * A row that could not be read.
     *
     * @property failure what does not fit.
     */
    public data class Bad(val failure: InterocitorException.Decode) : RowResult<Nothing> {
        override val id: String get() = failure.rowId
    }
}

/** The rows; the first that cannot be read is thrown. */
internal fun <T> List<RowResult<T>>.orThrow(): List<Row<T>> = map {
    when (it) {
        is RowResult.Good -> it.row
        is RowResult.Bad -> throw it.failure
    }
}
