package dev.interocitor

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import java.io.File
import kotlin.metadata.KmClassifier
import kotlin.metadata.KmFunction
import kotlin.metadata.KmProperty
import kotlin.metadata.KmType
import kotlin.metadata.Visibility
import kotlin.metadata.jvm.KotlinClassMetadata
import kotlin.metadata.visibility

/** What apps see. */
class PublicFaceTest {
    private val root = File(Interocitor::class.java.protectionDomain.codeSource.location.toURI())

    /** Types that public declarations name, by the declaration. */
    private fun publicTypes(): Map<String, List<String>> = buildMap {
        for (file in File(root, "dev/interocitor").listFiles().orEmpty().filter { it.extension == "class" }) {
            val annotation = Class.forName("dev.interocitor.${file.nameWithoutExtension}", false, javaClass.classLoader)
                .getAnnotation(Metadata::class.java) ?: continue
            when (val metadata = KotlinClassMetadata.readStrict(annotation)) {
                is KotlinClassMetadata.Class -> metadata.kmClass.run {
                    if (visibility != Visibility.PUBLIC) return@run
                    put(name, supertypes.flatMap(::names))
                    for (constructor in constructors.filter { it.visibility == Visibility.PUBLIC }) {
                        put("$name()", constructor.valueParameters.flatMap { names(it.type) })
                    }
                    members(name, functions, properties)
                }
                is KotlinClassMetadata.FileFacade -> metadata.kmPackage.run { members(file.name, functions, properties) }
                else -> Unit
            }
        }
    }

    private fun MutableMap<String, List<String>>.members(owner: String, functions: List<KmFunction>, properties: List<KmProperty>) {
        for (function in functions.filter { it.visibility == Visibility.PUBLIC }) {
            val types = function.valueParameters.map { it.type } + function.returnType + listOfNotNull(function.receiverParameterType)
            put("$owner.${function.name}(${function.valueParameters.size})", types.flatMap(::names))
        }
        for (property in properties.filter { it.visibility == Visibility.PUBLIC }) {
            put("$owner.${property.name}", names(property.returnType))
        }
    }

    private fun names(type: KmType): List<String> {
        val own = (type.classifier as? KmClassifier.Class)?.name
        return listOfNotNull(own) + type.arguments.mapNotNull { it.type }.flatMap(::names)
    }

    @Test
    fun `nothing generated and nothing of JNA shows`() {
        val types = publicTypes()
        assertTrue(types.size > 200, "${types.size} declarations")
        val leaks = types.filterValues { names -> names.any { it.startsWith("dev/interocitor/ffi") || it.startsWith("com/sun") } }
        assertEquals(emptyMap<String, List<String>>(), leaks)
    }

    /** Here by another name, since they are another thing: flows, a block. */
    private val renamed = mapOf("subscribe" to "events", "watchStatus" to "statuses", "watchFileTransfers" to "fileQueue", "beginBatch" to "batch")

    @Test
    fun `everything that the engine can do is there`() {
        val own = publicTypes().keys.filter { it.startsWith("dev/interocitor/Interocitor.") }
            .map { it.substringAfter('.').substringBefore('(') }
        val engine = Class.forName("dev.interocitor.ffi.InterocitorInterface").methods.map { it.name.substringBefore('-').substringBefore('$') }
        assertTrue(listOf("awaitPublished", "doctor", "poke", "seenBy", "setNetwork", "writeMark").all { it in engine })
        assertEquals(emptyList<String>(), engine.map { renamed[it] ?: it }.filter { it !in own }.distinct().sorted())
    }

    @Test
    fun `every code of the engine is a constant`() {
        val constants = ErrorCode::class.java.fields.filter { it.type == String::class.java }.associate { it.name to it.get(null) }
        assertTrue(constants.all { (name, value) -> name == value }, "$constants")
        val readme = File(System.getProperty("scenarios"), "../../README.md").readText()
        val rows = readme.substringAfter("## Error codes").lines().filter { it.startsWith("| `") }
        val codes = rows.flatMap { row -> Regex("`([A-Z_]+)`").findAll(row.split('|')[1]).map { it.groupValues[1] } }
        assertEquals(codes.sorted(), constants.keys.sorted())
    }
}
