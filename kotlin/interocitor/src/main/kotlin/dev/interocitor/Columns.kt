package dev.interocitor

import kotlinx.serialization.ExperimentalSerializationApi
import kotlinx.serialization.InternalSerializationApi
import kotlinx.serialization.KSerializer
import kotlinx.serialization.SerialName
import kotlinx.serialization.Transient
import kotlinx.serialization.descriptors.PolymorphicKind
import kotlinx.serialization.descriptors.SerialDescriptor
import kotlinx.serialization.descriptors.StructureKind
import kotlinx.serialization.internal.GeneratedSerializer
import java.lang.reflect.Method
import java.util.concurrent.ConcurrentHashMap
import kotlin.jvm.internal.CallableReference
import kotlin.jvm.internal.ClassBasedDeclarationContainer
import kotlin.reflect.KProperty1

/** The columns of a row class, and which property is which. */
@OptIn(ExperimentalSerializationApi::class, InternalSerializationApi::class)
internal class Columns(private val table: String, private val serializer: KSerializer<*>) {
    private val descriptor: SerialDescriptor get() = serializer.descriptor
    private val found = ConcurrentHashMap<KProperty1<*, *>, String>()

    private val serializers: Map<String, KSerializer<*>> by lazy {
        val generated = serializer as? GeneratedSerializer<*>
        generated?.childSerializers().orEmpty().withIndex().associate { (index, it) -> descriptor.getElementName(index) to it }
    }

    /** The columns of the class. */
    val names: List<String> get() = (0 until descriptor.elementsCount).map(descriptor::getElementName)

    /** Whether the class has a value for a column that nobody wrote. */
    fun mayBeMissing(column: String): Boolean = descriptor.getElementIndex(column).let {
        descriptor.isElementOptional(it) || descriptor.getElementDescriptor(it).isNullable
    }

    /** How the class writes a column; null where its serializer is hand-written. */
    fun serializer(column: String): KSerializer<*>? = serializers[column]

    /** The column that a property is stored in. */
    fun name(property: KProperty1<*, *>): String = found[property] ?: search(property).also { found[property] = it }

    private fun search(property: KProperty1<*, *>): String {
        val annotations = annotations(property)
        if (annotations.any { it is Transient }) throw unknown(property, "it is @Transient")
        val named = annotations.filterIsInstance<SerialName>().firstOrNull()?.value
        val name = named ?: property.name
        return when {
            descriptor.kind is StructureKind.MAP || descriptor.kind is PolymorphicKind -> name
            descriptor.getElementIndex(name) < 0 -> throw unknown(property, "it is none of its columns")
            named == null && isNameOfAnother(property) -> throw unknown(property, "another property has this @SerialName")
            else -> name
        }
    }

    // Kotlin keeps the annotations of a property on a method beside its getter.
    private fun annotations(property: KProperty1<*, *>): List<Annotation> {
        val getter = (property as? CallableReference)?.signature?.substringBefore('(') ?: return emptyList()
        return holders(property).filter { it.name == getter + SUFFIX }.flatMap { it.annotations.asList() }
    }

    private fun isNameOfAnother(property: KProperty1<*, *>): Boolean =
        holders(property).any { holder -> holder.getAnnotation(SerialName::class.java)?.value == property.name }

    private fun holders(property: KProperty1<*, *>): List<Method> {
        val owner = (property as? CallableReference)?.owner as? ClassBasedDeclarationContainer ?: return emptyList()
        val classes = generateSequence<Class<*>>(owner.jClass) { it.superclass }
        return classes.flatMap { it.declaredMethods.asSequence() }.filter { it.name.endsWith(SUFFIX) }.toList()
    }

    private fun unknown(property: KProperty1<*, *>, why: String): InterocitorException {
        return invalid(
            "the property \"${property.name}\" is no column of ${descriptor.serialName}, the class of the table " +
                "\"$table\": $why. Its columns are: ${names.joinToString()}",
        )
    }

    private companion object {
        const val SUFFIX = "\$annotations"
    }
}
