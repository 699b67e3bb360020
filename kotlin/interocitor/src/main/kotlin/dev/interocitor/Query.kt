package dev.interocitor

import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.flow
import kotlinx.coroutines.withContext
import kotlin.reflect.KProperty1
import dev.interocitor.ffi.Filter as FfiFilter
import dev.interocitor.ffi.Order as FfiOrder
import dev.interocitor.ffi.Query as FfiQuery
import dev.interocitor.ffi.QueryOptions as FfiQueryOptions
import dev.interocitor.ffi.Table as FfiTable

/**
 * Which rows of a table to look for; without anything all live rows, by id. Each function gives a new query:
 *
 * ```
 * val open = todos.query().where(Todo::done eq false).orderBy(Todo::title).limit(20)
 * open.observe().collect { rows -> show(rows) }
 * ```
 */
public class Query<T : Any> internal constructor(
    private val table: FfiTable,
    private val codec: RowCodec<T>,
    private val options: FfiQueryOptions = FfiQueryOptions(),
) {
    private fun with(change: FfiQueryOptions.() -> FfiQueryOptions) = Query(table, codec, options.change())

    /**
     * Rows that meet this condition too.
     *
     * @throws InterocitorException.Rejected for a property that is no column.
     */
    public fun where(filter: Filter<T>): Query<T> {
        val added: FfiFilter = filter.asFfi(codec)
        return with { copy(filters = filters + added) }
    }

    /**
     * Orders by a column, after those that were given before; equals are ordered by id.
     *
     * @throws InterocitorException.Rejected for a property that is no column.
     */
    public fun orderBy(property: KProperty1<T, *>, descending: Boolean = false): Query<T> =
        orderBy(codec.columns.name(property), descending)

    /** Orders by a column, after those that were given before; equals are ordered by id. */
    public fun orderBy(column: String, descending: Boolean = false): Query<T> =
        with { copy(order = order + FfiOrder(column, descending)) }

    /** At most so many rows. */
    public fun limit(rows: Long): Query<T> = with { copy(limit = rows) }

    /** At most so many rows. */
    public fun limit(rows: Int): Query<T> = limit(rows.toLong())

    /** So many rows are left out at the start. */
    public fun offset(rows: Long): Query<T> = with { copy(offset = rows) }

    /** So many rows are left out at the start. */
    public fun offset(rows: Int): Query<T> = offset(rows.toLong())

    /**
     * The rows.
     *
     * @throws InterocitorException.Decode for the first row that does not fit the class; see [results].
     */
    public suspend fun rows(): List<Row<T>> = page(codec::rows)

    /** The rows, and apart those that do not fit the class. */
    public suspend fun results(): List<RowResult<T>> = page(codec::results)

    /** How many rows there are. */
    public suspend fun count(): Long = ready { engine { it.count() } }

    /**
     * The rows now, and again whenever they have changed, by this device or another. Of many changes while the
     * collector is busy only the last state is given. Ends when the database is shut down.
     *
     * The flow fails with [InterocitorException.Decode] for a row that does not fit the class; see [observeResults].
     */
    public fun observe(): Flow<List<Row<T>>> = observe(codec::rows)

    /** As [observe], and apart those rows that do not fit the class. */
    public fun observeResults(): Flow<List<RowResult<T>>> = observe(codec::results)

    private suspend fun <R> page(decode: (ByteArray) -> R): R = ready { query ->
        val page = engine { query.rows() }
        withContext(Dispatchers.Default) { decode(page) }
    }

    private fun <R> observe(decode: (ByteArray) -> R): Flow<R> = flow {
        val live = ready { engine { it.observe() } }
        try {
            while (true) {
                val page = engine { live.next() } ?: break
                emit(withContext(Dispatchers.Default) { decode(page) })
            }
        } finally {
            live.cancel()
            live.destroy()
        }
    }

    private suspend inline fun <R> ready(use: (FfiQuery) -> R): R {
        val query = engine { table.query(options) }
        try {
            return use(query)
        } finally {
            query.destroy()
        }
    }
}
