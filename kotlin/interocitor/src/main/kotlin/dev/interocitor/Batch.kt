package dev.interocitor

import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.withContext
import kotlinx.serialization.KSerializer
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.serializer
import java.util.concurrent.atomic.AtomicBoolean
import dev.interocitor.ffi.Batch as FfiBatch

/** Writes that are stored and published together; see [Interocitor.batch]. Not to be used after its block. */
public class Batch internal constructor(internal val inner: FfiBatch, private val json: RowJson) {
    private val hasEnded = AtomicBoolean(false)

    /** A table within this batch. */
    public inline fun <reified T : Any> table(name: String): BatchTable<T> = table(name, serializer<T>())

    /** A table within this batch, with an explicit serializer. */
    public fun <T : Any> table(name: String, serializer: KSerializer<T>): BatchTable<T> =
        BatchTable(this, RowCodec(name, serializer, json))

    /**
     * Puts a file, staged by [Interocitor.stageFile], together with the rows: other devices see none of the rows before the
     * mailbox has all the files. Of several files under one path the last one counts.
     */
    public fun putFile(file: StagedFile) {
        use { putFile(file.inner) }
    }

    internal fun end() {
        if (hasEnded.compareAndSet(false, true)) inner.destroy()
    }

    internal inline fun <R> use(call: FfiBatch.() -> R): R {
        if (hasEnded.get()) throw invalid("this batch has ended; use it within the block of batch { } only")
        return engineNow { inner.call() }
    }
}

/** One table of a [Batch]. Nothing is written before the batch's block has ended. */
public class BatchTable<T : Any> internal constructor(private val batch: Batch, private val codec: RowCodec<T>) {
    /** As [Table.add]. */
    public fun add(row: T, prefix: String? = null): String {
        val columns = codec.encode(row)
        return batch.use { add(codec.table, columns, prefix) }
    }

    /** As [Table.put]. */
    public fun put(id: String, row: T) {
        val columns = codec.encode(row)
        batch.use { put(codec.table, id, columns) }
    }

    /** As [Table.patch]. */
    public fun patch(id: String, columns: Patch<T>.() -> Unit) {
        val given = Patch(codec).apply(columns).asJson()
        batch.use { put(codec.table, id, given) }
    }

    /** As [Table.patch]. */
    public fun patch(id: String, columns: JsonObject) {
        batch.use { put(codec.table, id, columns.toString().toJsonBytes()) }
    }

    /** As [Table.replace]. */
    public fun replace(id: String, row: T) {
        val columns = codec.encode(row)
        batch.use { replace(codec.table, id, columns) }
    }

    /** As [Table.delete]. */
    public fun delete(id: String) {
        batch.use { delete(codec.table, id) }
    }

    /** A row as it would be if the batch ended now. */
    public suspend fun row(id: String): Row<T>? = withContext(Dispatchers.IO) {
        batch.use { row(codec.table, id) }?.let { codec.decode(id, it) }
    }

    internal fun putText(id: String, text: String) {
        batch.use { put(codec.table, id, text.toJsonBytes()) }
    }
}
