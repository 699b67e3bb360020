package dev.interocitor

import kotlinx.serialization.json.JsonElement
import dev.interocitor.ffi.MergeConflict as FfiMergeConflict
import dev.interocitor.ffi.MergeFunction as FfiMergeFunction

/**
 * Two values of one column that met. Its text never shows the values.
 *
 * @property table the table.
 * @property rowId the row.
 * @property field the column.
 * @property local the value here.
 * @property remote the value that came.
 */
public class MergeConflict internal constructor(
    public val table: String,
    public val rowId: String,
    public val field: String,
    public val local: JsonElement,
    public val remote: JsonElement,
) {
    override fun toString(): String = "MergeConflict(table=$table, rowId=$rowId, field=$field)"
}

/**
 * Decides conflicts. It must be commutative and idempotent: every device has to come to the same value, in any order.
 * What it throws or leaves out is decided by the last writer.
 */
public fun interface MergeFunction {
    /** One value for each conflict, in order. Called on a thread of the engine, outside any transaction. */
    public fun merge(conflicts: List<MergeConflict>): List<JsonElement>
}

internal class ForeignMergeFunction(private val function: MergeFunction) : FfiMergeFunction {
    override fun merge(conflicts: List<FfiMergeConflict>): List<String> = appCode("a merge function") {
        function.merge(conflicts.map(::public)).map { it.toString().escapingLoneSurrogates() }
    }

    private fun public(conflict: FfiMergeConflict) = conflict.run {
        MergeConflict(table, rowId, field, parseJson(local), parseJson(remote))
    }
}
