package dev.interocitor

import kotlin.reflect.KProperty1
import dev.interocitor.ffi.Condition as FfiCondition
import dev.interocitor.ffi.Filter as FfiFilter

/**
 * A column and what it must be like: `Todo::done eq false`, `column("rank") above 3`.
 *
 * Types never compare across: `1` is not `"1"`. A column that is missing or null matches nothing.
 */
public class Filter<in T> internal constructor(
    private val property: KProperty1<*, *>?,
    private val name: String?,
    private val condition: (write: (Any) -> String) -> FfiCondition,
) {
    internal fun asFfi(codec: RowCodec<*>): FfiFilter {
        val column = name ?: codec.columns.name(checkNotNull(property))
        val encode = if (name == null) codec::encode else codec::encodeFreely
        return FfiFilter(column, condition { value -> encode(column, value).toString().escapingLoneSurrogates() })
    }

    override fun toString(): String = "Filter(${name ?: property?.name})"
}

/**
 * A column by its name.
 *
 * @property name the name, as it is stored.
 */
public class Column internal constructor(public val name: String) {
    override fun toString(): String = "Column($name)"
}

/** A column by its name, for tables without a class and columns that the class does not have. */
public fun column(name: String): Column = Column(name)

private typealias Make = (write: (Any) -> String) -> FfiCondition

private fun <T> KProperty1<T, *>.meets(condition: Make) = Filter<T>(this, null, condition)

private fun Column.meets(condition: Make) = Filter<Any?>(null, name, condition)

/** The column is this value. */
public infix fun <T, V : Comparable<V>> KProperty1<T, V?>.eq(value: V): Filter<T> =
    meets { FfiCondition.Equals(it(value)) }

/** The column is greater. */
public infix fun <T, V : Comparable<V>> KProperty1<T, V?>.above(value: V): Filter<T> =
    meets { FfiCondition.Above(it(value)) }

/** The column is greater or the same. */
public infix fun <T, V : Comparable<V>> KProperty1<T, V?>.aboveOrEqual(value: V): Filter<T> =
    meets { FfiCondition.AboveOrEqual(it(value)) }

/** The column is less. */
public infix fun <T, V : Comparable<V>> KProperty1<T, V?>.below(value: V): Filter<T> =
    meets { FfiCondition.Below(it(value)) }

/** The column is less or the same. */
public infix fun <T, V : Comparable<V>> KProperty1<T, V?>.belowOrEqual(value: V): Filter<T> =
    meets { FfiCondition.BelowOrEqual(it(value)) }

/** The column lies between two values, which are left out where they are open. */
public fun <T, V : Comparable<V>> KProperty1<T, V?>.between(
    low: V,
    high: V,
    lowOpen: Boolean = false,
    highOpen: Boolean = false,
): Filter<T> = meets { FfiCondition.Between(it(low), it(high), lowOpen, highOpen) }

/** The column lies in this range, ends included. */
public infix fun <T, V : Comparable<V>> KProperty1<T, V?>.within(range: ClosedRange<V>): Filter<T> =
    between(range.start, range.endInclusive)

/** The column is a text that starts so. */
public infix fun <T> KProperty1<T, String?>.startsWith(prefix: String): Filter<T> =
    meets { FfiCondition.StartsWith(prefix) }

/** The column is one of these values. */
public infix fun <T, V : Comparable<V>> KProperty1<T, V?>.anyOf(values: Collection<V>): Filter<T> =
    meets { write -> FfiCondition.AnyOf(values.map(write)) }

/** The column is this value: a number, text, truth value, `JsonElement`, or anything else that has a serializer. */
public infix fun Column.eq(value: Any): Filter<Any?> = meets { FfiCondition.Equals(it(value)) }

/** The column is greater. */
public infix fun Column.above(value: Any): Filter<Any?> = meets { FfiCondition.Above(it(value)) }

/** The column is greater or the same. */
public infix fun Column.aboveOrEqual(value: Any): Filter<Any?> = meets { FfiCondition.AboveOrEqual(it(value)) }

/** The column is less. */
public infix fun Column.below(value: Any): Filter<Any?> = meets { FfiCondition.Below(it(value)) }

/** The column is less or the same. */
public infix fun Column.belowOrEqual(value: Any): Filter<Any?> = meets { FfiCondition.BelowOrEqual(it(value)) }

/** The column lies between two values, which are left out where they are open. */
public fun Column.between(low: Any, high: Any, lowOpen: Boolean = false, highOpen: Boolean = false): Filter<Any?> =
    meets { FfiCondition.Between(it(low), it(high), lowOpen, highOpen) }

/** The column lies in this range, ends included. */
public infix fun <V : Comparable<V>> Column.within(range: ClosedRange<V>): Filter<Any?> =
    between(range.start, range.endInclusive)

/** The column is a text that starts so. */
public infix fun Column.startsWith(prefix: String): Filter<Any?> = meets { FfiCondition.StartsWith(prefix) }

/** The column is one of these values. */
public infix fun Column.anyOf(values: Collection<Any>): Filter<Any?> =
    meets { write -> FfiCondition.AnyOf(values.map(write)) }
