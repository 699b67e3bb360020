package dev.interocitor.scenario

import kotlinx.coroutines.delay
import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonNull
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.doubleOrNull
import kotlinx.serialization.json.jsonArray
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive
import kotlinx.serialization.json.long
import java.io.File
import kotlin.time.Duration.Companion.milliseconds

private val DEFAULTS = mapOf(
    "passphrase" to JsonPrimitive("1thX6LZfHDZZKUs92febYZhYRcXddmzfzF2NvTkPNE"),
    "encrypted" to JsonPrimitive(true),
    "remotePath" to JsonPrimitive("/Mesh"),
    "deviceId" to JsonNull,
    "schema" to JsonNull,
    "schemaPolicy" to JsonPrimitive("exact"),
    "mergeStrategy" to JsonPrimitive("lww"),
    "joinPolicy" to JsonPrimitive("reset-to-remote"),
    "publish" to JsonPrimitive("full-rows"),
    "fileForm" to JsonNull,
)

private val RUNNERS_OWN = setOf("expect", "error", "as", "why", "idOf", "digestOf", "passphraseOf", "payloadOf", "codeOf", "with")

/** A scenario that is being played: its devices, its folder, what was kept. */
class Stage(private val name: String, private val scenario: JsonObject, private val folder: File) {
    private val interpreter = Interpreter()
    private val settings = scenario.getValue("devices").jsonObject.mapValues { DEFAULTS + it.value.jsonObject }.toMutableMap()
    private val kept = HashMap<String, JsonElement>()
    private val damaged = HashMap<File, ByteArray>()
    private val mailbox = File(folder, "mailbox").apply { check(mkdir()) }

    suspend fun run() {
        try {
            for ((number, step) in scenario.getValue("steps").jsonArray.withIndex()) {
                try {
                    step(step.jsonObject)
                } catch (failure: Exception) {
                    throw AssertionError("$name, step ${number + 1}: ${failure.message}\n    $step", failure)
                }
            }
        } finally {
            interpreter.end()
        }
    }

    private suspend fun step(step: JsonObject) {
        val wanted = step.textOrNull("error")
        val answer = try {
            if ("device" in step) interpreter.play(filledIn(step)) else scene(step)
        } catch (fault: Fault) {
            check(fault.code != "DRIVER" && fault.code == wanted) { "it failed with ${fault.code}: ${fault.reason}" }
            check(fault.reason.isNotEmpty()) { "its error has no reason" }
            return
        }
        check(wanted == null) { "it gave $answer, not the error $wanted" }
        step["expect"]?.let { expected ->
            val compared = when (step.text("do")) {
                "status", "compact", "fileMetadata" -> (answer as? JsonObject)?.named(expected) ?: answer
                else -> answer
            }
            same(compared, expected, "")
        }
        if (step.text("do") == "add") {
            val start = step.textOrNull("prefix")?.let { "${it}_" }.orEmpty()
            val id = answer.jsonPrimitive.content
            check(id.length > start.length && id.startsWith(start)) { "$answer is no id that begins with \"$start\"" }
        }
        step.textOrNull("as")?.let { kept[it] = answer }
    }

    /** The members that an expectation names. */
    private fun JsonObject.named(expected: JsonElement) =
        (expected as? JsonObject)?.let { wanted -> JsonObject(filterKeys { it in wanted }) }

    /** A step of a file as an interpreter gets it. */
    private fun filledIn(step: JsonObject): JsonObject {
        val device = step.text("device")
        val filled = step.filterKeys { it !in RUNNERS_OWN }.toMutableMap()
        for (argument in listOf("id", "digest", "passphrase", "payload", "code")) {
            val name = step.textOrNull("${argument}Of") ?: continue
            filled[argument] = checkNotNull(kept[name]) { "nothing was kept as \"$name\"" }
        }
        if (step.text("do") == "open") {
            val own = settings.getValue(device) + step["with"]?.jsonObject.orEmpty()
            settings[device] = own
            filled["store"] = JsonPrimitive(File(folder, "$device.db").path)
            filled["mailbox"] = JsonPrimitive(mailbox.path)
            filled["deviceName"] = JsonPrimitive(device)
            filled["settings"] = JsonObject(own)
        }
        return JsonObject(filled)
    }

    private suspend fun scene(step: JsonObject): JsonElement {
        when (val what = step.text("do")) {
            "wait" -> delay(step.getValue("ms").jsonPrimitive.long.milliseconds)
            "agree" -> {
                val devices = step.getValue("devices").jsonArray.map { it.jsonPrimitive.content }
                check(devices.size > 1) { "one device always agrees" }
                val dumps = devices.map { interpreter.play(JsonObject(mapOf("device" to JsonPrimitive(it), "do" to JsonPrimitive("dump")))) }
                for ((device, dump) in devices.zip(dumps)) same(dump, dumps.first(), "${devices.first()} and $device differ: ")
            }
            "listFiles" -> {
                val names = file(step.text("path")).list() ?: return JsonNull
                return JsonArray(names.sorted().map(::JsonPrimitive))
            }
            "writeFile" -> file(step.text("path")).run {
                parentFile.mkdirs()
                writeText(step.text("text"))
            }
            "moveFile" -> rename(file(step.text("from")), file(step.text("to")))
            "damageChanges" -> {
                val changes = file("/Mesh/changes").listFiles().orEmpty().filter { "-chg_" in it.name }
                check(changes.isNotEmpty()) { "there are no changes" }
                for (change in changes) {
                    val body = change.readBytes()
                    damaged[change] = body
                    change.writeBytes(body.copyOf(body.size / 2))
                }
            }
            "repairChanges" -> {
                check(damaged.isNotEmpty()) { "nothing is damaged" }
                damaged.forEach { (change, body) -> change.writeBytes(body) }
                damaged.clear()
            }
            "unplug" -> rename(mailbox, File(folder, "unplugged"))
            "plug" -> rename(File(folder, "unplugged"), mailbox)
            else -> error("no step of the runner is called \"$what\"")
        }
        return JsonNull
    }

    private fun file(path: String): File {
        require(path.startsWith("/")) { "a path in the mailbox begins with /" }
        return File(mailbox, path)
    }

    private fun rename(from: File, to: File) = check(from.renameTo(to)) { "$from cannot be renamed to $to" }
}

/** Compares JSON by what it means: numbers as doubles, objects whatever their order. */
fun same(got: JsonElement, wanted: JsonElement, place: String) {
    val areSame = when {
        got is JsonObject && wanted is JsonObject && got.keys == wanted.keys -> {
            wanted.forEach { (name, value) -> same(got.getValue(name), value, "$place.$name") }
            true
        }
        got is JsonArray && wanted is JsonArray && got.size == wanted.size -> {
            wanted.forEachIndexed { at, value -> same(got[at], value, "$place[$at]") }
            true
        }
        got is JsonPrimitive && wanted is JsonPrimitive && got.isString == wanted.isString -> {
            val (a, b) = got.doubleOrNull to wanted.doubleOrNull
            if (!got.isString && a != null && b != null) a.compareTo(b) == 0 || a == b else got.content == wanted.content
        }
        else -> false
    }
    check(areSame) { "$place: it gave $got, expected was $wanted" }
}
