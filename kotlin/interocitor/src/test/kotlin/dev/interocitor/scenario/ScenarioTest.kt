package dev.interocitor.scenario

import dev.interocitor.test
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.jsonObject
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.DynamicTest
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.TestFactory
import org.junit.jupiter.api.assertThrows
import org.junit.jupiter.api.io.TempDir
import org.junit.jupiter.api.parallel.Execution
import org.junit.jupiter.api.parallel.ExecutionMode
import java.io.ByteArrayOutputStream
import java.io.File
import java.io.PrintStream
import java.nio.file.Files

/** The scenarios that every language runs, several at a time: they mostly wait for the disk. */
@Execution(ExecutionMode.CONCURRENT)
class ScenarioTest {
    private val scenarios: List<File> by lazy {
        val folder = File(checkNotNull(System.getProperty("scenarios")) { "the property \"scenarios\" names no folder" })
        folder.listFiles().orEmpty().filter { it.extension == "json" }.sorted()
    }

    @Test
    fun `there are scenarios`() {
        assertTrue(scenarios.size >= 25, "scenarios are missing: ${scenarios.size}")
    }

    @TestFactory
    fun scenarios(): List<DynamicTest> = scenarios.map { file ->
        DynamicTest.dynamicTest(file.nameWithoutExtension) { play(file.nameWithoutExtension, file.readText()) }
    }

    private fun play(name: String, text: String) {
        val folder = Files.createTempDirectory("scenario").toFile()
        try {
            test { Stage(name, parse(text), folder).run() }
        } finally {
            folder.deleteRecursively()
        }
    }

    private fun parse(text: String): JsonObject = Json.parseToJsonElement(text).jsonObject

    @Test
    fun `a scenario that is not true fails`() {
        fun fails(steps: String, wanted: String) {
            val failure = assertThrows<AssertionError>(steps) {
                play("wrong", """{"about":"x","devices":{"a":{},"b":{}},"steps":[{"device":"a","do":"open"},$steps]}""")
            }
            assertTrue(wanted in failure.message.orEmpty(), "$steps: ${failure.message}")
        }
        val put = """{"device":"a","do":"put","table":"t","id":"r","row":{"v":1}}"""
        fun row(rest: String) = """{"device":"a","do":"row","table":"t","id":"r",$rest}"""
        for ((expect, wanted) in listOf(
            """{"v":2}""" to ".v: it gave 1, expected was 2",
            """{"v":"1"}""" to ".v: it gave 1",
            """{"v":true}""" to ".v: it gave 1",
            """{"v":1,"w":null}""" to "it gave",
            "null" to "it gave",
        )) fails("""$put,${row(""""expect":$expect""")}""", wanted)
        fails(row(""""error":"LIMIT""""), "not the error LIMIT")
        fails("""{"device":"a","do":"put","table":"t","id":"r","row":[1]}""", "it failed with INVALID_ARGUMENT")
        fails("""{"device":"a","do":"put","table":"t","id":"r","row":[1],"error":"LIMIT"}""", "INVALID_ARGUMENT")
        fails("""{"device":"a","do":"dance"}""", "no step is called")
        fails("""{"device":"a","do":"dance","error":"DRIVER"}""", "no step is called")
        fails("""{"device":"b","do":"row","table":"t","id":"r","expect":null}""", "never opened")
        fails("""{"do":"agree","devices":["a"]}""", "always agrees")
        fails("""{"do":"dance"}""", "no step of the runner")
        fails("""{"device":"a","do":"status","expect":{"pending":3}}""", ".pending: it gave 0")
        fails("""{"device":"a","do":"connect"},{"device":"a","do":"compact","grace":0,"expect":{"epoch":2}}""", ".epoch: it gave 1")
        fails("""{"device":"a","do":"connect"},{"device":"a","do":"compact","grace":0,"expect":null}""", "it gave {")
        fails("""{"device":"a","do":"count","table":"t","where":[{"field":"v","op":"like","value":1}],"expect":0}""", "no operator")
    }

    @Test
    fun `the driver answers each line with a line`(@TempDir folder: File) {
        val open = """{"device":"a","do":"open","store":"${folder.resolve("a.db")}","mailbox":"$folder","deviceName":"a",
            "settings":{"passphrase":null,"encrypted":true,"remotePath":"/Mesh","deviceId":null,"schema":null,
            "schemaPolicy":"exact","mergeStrategy":"lww","joinPolicy":"reset-to-remote","publish":"full-rows"}}"""
        val steps = sequenceOf(
            open.replace("\n", ""),
            """{"device":"a","do":"put","table":"t","id":"r","row":{"v":"ü"}}""",
            """{"device":"a","do":"row","table":"t","id":"r"}""",
            """{"device":"a","do":"put","table":"t","id":"r","row":[1]}""",
            "no step",
            """{"device":"a","do":"dance"}""",
            """{"device":"a","do":"shutdown"}""",
            open.replace("\n", ""),
        )
        val output = ByteArrayOutputStream()
        serve(steps, PrintStream(output, true, "UTF-8"))
        val lines = output.toString("UTF-8").trim().lines()
        assertEquals(listOf("""{"ok":null}""", """{"ok":null}""", """{"ok":{"v":"ü"}}"""), lines.take(3))
        assertTrue(lines[3].startsWith("""{"error":"INVALID_ARGUMENT","reason":""""), lines[3])
        assertTrue(lines[4].startsWith("""{"error":"DRIVER""""), lines[4])
        assertTrue(lines[5].startsWith("""{"error":"DRIVER""""), lines[5])
        assertEquals(listOf("""{"ok":null}""", """{"ok":null}"""), lines.drop(6))
    }
}
