/** A program that plays devices for mixed runs; the protocol is in tests/scenarios/README.md. */
@file:JvmName("Driver")

package dev.interocitor.scenario

import dev.interocitor.escapingLoneSurrogates
import kotlinx.coroutines.runBlocking
import kotlinx.serialization.SerializationException
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.jsonObject
import java.io.PrintStream

fun main() {
    serve(System.`in`.bufferedReader().lineSequence(), PrintStream(System.out, true, "UTF-8"))
}

/** Answers each line with one line, until there are no more. */
fun serve(lines: Sequence<String>, output: PrintStream): Unit = runBlocking {
    val interpreter = Interpreter()
    for (line in lines) {
        val answer: Map<String, JsonElement> = try {
            mapOf("ok" to interpreter.play(step(line)))
        } catch (fault: Fault) {
            mapOf("error" to JsonPrimitive(fault.code), "reason" to JsonPrimitive(fault.reason))
        } catch (failure: Exception) {
            mapOf("error" to JsonPrimitive("DRIVER"), "reason" to JsonPrimitive("$failure"))
        }
        output.println(JsonObject(answer).toString().escapingLoneSurrogates())
    }
    interpreter.end()
}

private fun step(line: String): JsonObject = try {
    Json.parseToJsonElement(line).jsonObject
} catch (failure: SerializationException) {
    misunderstood("it is no step: ${failure.message}")
}
