package dev.interocitor.scenario

import dev.interocitor.Batch
import dev.interocitor.Compaction
import dev.interocitor.Connection
import dev.interocitor.FileForm
import dev.interocitor.Filter
import dev.interocitor.Interocitor
import dev.interocitor.InterocitorException
import dev.interocitor.JoinPolicy
import dev.interocitor.Mailbox
import dev.interocitor.MergeStrategy
import dev.interocitor.MeshConfiguration
import dev.interocitor.Publish
import dev.interocitor.Query
import dev.interocitor.SchemaPolicy
import dev.interocitor.WebDavAuth
import dev.interocitor.above
import dev.interocitor.aboveOrEqual
import dev.interocitor.anyOf
import dev.interocitor.below
import dev.interocitor.belowOrEqual
import dev.interocitor.between
import dev.interocitor.column
import dev.interocitor.eq
import dev.interocitor.startsWith
import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonNull
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.boolean
import kotlinx.serialization.json.buildJsonObject
import kotlinx.serialization.json.contentOrNull
import kotlinx.serialization.json.jsonArray
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive
import kotlinx.serialization.json.long
import kotlinx.serialization.json.put
import java.io.File
import java.net.URI
import kotlin.time.Duration.Companion.seconds

/** Why a step failed: the engine's stable code, or `DRIVER` for what no interpreter could do. */
class Fault(val code: String, val reason: String) : Exception("$code: $reason")

fun misunderstood(reason: String): Nothing = throw Fault("DRIVER", reason)

fun JsonObject.text(name: String): String = textOrNull(name) ?: misunderstood("\"$name\" is missing: $this")

fun JsonObject.textOrNull(name: String): String? = this[name]?.jsonPrimitive?.contentOrNull

private fun JsonObject.value(name: String): JsonElement = this[name] ?: misunderstood("\"$name\" is missing: $this")

private fun JsonObject.isTrue(name: String) = this[name]?.jsonPrimitive?.boolean ?: false

private fun texts(names: Collection<String?>) = JsonArray(names.map(::JsonPrimitive))

/** Plays the steps of devices over the public API. */
class Interpreter {
    /** A handle stays after its shutdown, since it must answer `SHUT_DOWN`. */
    private val handles = HashMap<String, Interocitor>()
    private val open = HashSet<String>()
    private val pairings = HashMap<String, Pairings>()

    /** Plays one step of a device; its answer, null where there is none. */
    suspend fun play(step: JsonObject): JsonElement = try {
        val device = step.text("device")
        when (val what = step.text("do")) {
            "open" -> {
                if (device in open) misunderstood("device \"$device\" is open: shut it down first")
                handles[device] = open(step)
                open += device
                JsonNull
            }
            else -> {
                val db = handles[device] ?: misunderstood("device \"$device\" was never opened")
                if (what == "shutdown") open -= device
                if (what in Pairings.STEPS) pairings.getOrPut(device, ::Pairings).play(db, what, step) else db.play(what, step)
            }
        }
    } catch (failure: InterocitorException) {
        throw Fault(failure.code, failure.reason)
    } catch (failure: IllegalArgumentException) {
        misunderstood("$failure: $step")
    }

    /** Shuts down what is still open. */
    suspend fun end() {
        for (db in handles.values) db.shutdown()
        handles.clear()
        open.clear()
        pairings.clear()
    }
}

private suspend fun open(step: JsonObject): Interocitor {
    val settings = step.value("settings").jsonObject
    val db = Interocitor.open("scenarios") {
        path = File(step.text("store"))
        autoSync = false
        deviceName = step.text("deviceName")
        deviceId = settings.textOrNull("deviceId")
        remotePath = settings.textOrNull("remotePath")
        passphrase = settings.textOrNull("passphrase")
        encrypted = settings.isTrue("encrypted")
        schema = settings["schema"]?.takeIf { it != JsonNull }?.toString()
        schemaPolicy = oneOf(settings.text("schemaPolicy"), SchemaPolicy.entries)
        mergeStrategy = when (val strategy = settings.text("mergeStrategy")) {
            "lww" -> MergeStrategy.LAST_WRITER_WINS
            else -> oneOf(strategy, MergeStrategy.entries)
        }
        joinPolicy = oneOf(settings.text("joinPolicy"), JoinPolicy.entries)
        publish = oneOf(settings.text("publish"), Publish.entries)
        fileForm = settings.textOrNull("fileForm")?.let { oneOf(it, FileForm.entries) }
    }
    db.setRemoteStorage(mailbox(step.text("mailbox")))
    return db
}

/** A folder by its path, or a WebDAV collection by its address with user and password. */
private fun mailbox(place: String): Mailbox {
    if (!place.startsWith("http")) return Mailbox.folder(File(place))
    val address = URI(place)
    val (user, password) = address.userInfo.split(":", limit = 2)
    val url = URI(address.scheme, null, address.host, address.port, address.path, null, null)
    return Mailbox.webdav(url.toString(), WebDavAuth.Basic(user, password))
}

private fun <E : Enum<E>> oneOf(word: String, entries: List<E>): E =
    entries.firstOrNull { it.name.lowercase().replace('_', '-') == word } ?: misunderstood("nothing is called \"$word\"")

private suspend fun Interocitor.play(what: String, step: JsonObject): JsonElement {
    when (what) {
        "shutdown" -> shutdown()
        "disconnect" -> disconnect()
        "sync" -> sync()
        "pull" -> pull()
        "flush" -> flush()
        "connect" -> connect().mustBeOnline()
        "rebuildRemote" -> rebuildRemote().mustBeOnline()
        "awaitPublished" -> awaitPublished(writeMark())
        "join" -> join(step.mesh()).mustBeOnline()
        "configureMesh" -> configureMesh(step.mesh())
        "setPassphrase" -> setPassphrase(step.text("passphrase"))
        "put" -> rows(step).put(step.text("id"), step.value("row"))
        "putText" -> rows(step).putText(step.text("id"), step.text("text"))
        "patch" -> when (val columns = step.value("row")) {
            is JsonObject -> rows(step).patch(step.text("id"), columns)
            // The typed function takes objects only.
            else -> rows(step).put(step.text("id"), columns)
        }
        "replace" -> rows(step).replace(step.text("id"), step.value("row"))
        "delete" -> rows(step).delete(step.text("id"))
        else -> return playFile(what, step) ?: answer(what, step)
    }
    return JsonNull
}

private suspend fun Interocitor.answer(what: String, step: JsonObject): JsonElement = when (what) {
    "add" -> JsonPrimitive(rows(step).add(step.value("row"), step.textOrNull("prefix")))
    "passphrase" -> JsonPrimitive(getPassphrase())
    "row" -> rows(step).row(step.text("id"))?.value ?: JsonNull
    "rowText" -> JsonPrimitive(rows(step).rowText(step.text("id")))
    "query" -> JsonArray(
        query(step).rows().map { row ->
            buildJsonObject {
                put("id", row.id)
                put("row", row.value)
            }
        },
    )
    "queryIds" -> texts(query(step).rows().map { it.id })
    "count" -> JsonPrimitive(query(step).count())
    "tables" -> texts(tableNames().sorted())
    "dump" -> dump().let { dump -> JsonObject(dump.filterKeys { it == "tables" || it == "tombstones" }) }
    "status" -> status().run {
        buildJsonObject {
            put("connection", connection.name.lowercase())
            put("encrypted", isEncrypted)
            put("member", meshId != null)
            put("pending", pendingCount)
            put("files", pendingFiles)
            put("problem", problem?.code)
            put("quarantined", quarantined)
        }
    }
    "quarantine" -> JsonArray(
        quarantined().map { file ->
            buildJsonObject {
                put("name", file.name)
                put("code", file.code)
            }
        },
    )
    "seenBy" -> {
        val name = step.text("other")
        val other = devices().find { it.name == name } ?: misunderstood("no device is called \"$name\"")
        JsonPrimitive(seenBy(other.id, writeMark()))
    }
    "doctor" -> JsonArray(
        doctor(step.isTrue("mends")).findings.map { finding ->
            buildJsonObject {
                put("code", finding.code)
                put("mended", finding.isMended)
            }
        },
    )
    "devices" -> texts(devices().map { it.name }.sortedBy { it.orEmpty() })
    "compact" -> when (val compaction = compact(step.value("grace").jsonPrimitive.long.seconds)) {
        is Compaction.Written -> buildJsonObject {
            put("epoch", compaction.epoch)
            put("rows", compaction.rows)
            put("covered", compaction.covered)
            put("deleted", compaction.deleted)
        }
        is Compaction.Overtaken -> JsonNull
    }
    "batch" -> batch {
        val answers = step.value("writes").jsonArray.map { it.jsonObject }.map { write ->
            if (write.text("do") == "putFile") putFile(this, write) else write(write)
        }
        JsonArray(answers)
    }
    else -> misunderstood("no step is called \"$what\"")
}

private suspend fun Interocitor.putFile(batch: Batch, step: JsonObject): JsonElement {
    val file = stageFile(step.text("path"), step.content(), step.textOrNull("contentType"))
    batch.putFile(file)
    return JsonPrimitive(file.digest)
}

private suspend fun Batch.write(step: JsonObject): JsonElement {
    val rows = table<JsonElement>(step.text("table"))
    when (val what = step.text("do")) {
        "add" -> return JsonPrimitive(rows.add(step.value("row"), step.textOrNull("prefix")))
        "row" -> return rows.row(step.text("id"))?.value ?: JsonNull
        "put" -> rows.put(step.text("id"), step.value("row"))
        "putText" -> rows.putText(step.text("id"), step.text("text"))
        "patch" -> when (val columns = step.value("row")) {
            is JsonObject -> rows.patch(step.text("id"), columns)
            else -> rows.put(step.text("id"), columns)
        }
        "replace" -> rows.replace(step.text("id"), step.value("row"))
        "delete" -> rows.delete(step.text("id"))
        else -> misunderstood("no step of a batch is called \"$what\"")
    }
    return JsonNull
}

private fun Interocitor.rows(step: JsonObject) = table<JsonElement>(step.text("table"))

private fun JsonObject.mesh() = MeshConfiguration(text("remotePath"), textOrNull("passphrase"), isTrue("encrypted"))

private fun Connection.mustBeOnline() {
    if (this is Connection.Offline) throw Fault(code, reason)
}

private fun Interocitor.query(step: JsonObject): Query<JsonElement> {
    var query = rows(step).query()
    for (condition in step["where"]?.jsonArray.orEmpty()) query = query.where(filter(condition.jsonObject))
    for (order in step["orderBy"]?.jsonArray.orEmpty()) {
        val direction = order.jsonObject.textOrNull("direction") ?: "asc"
        if (direction != "asc" && direction != "desc") misunderstood("no direction is called \"$direction\"")
        query = query.orderBy(order.jsonObject.text("field"), descending = direction == "desc")
    }
    step["limit"]?.let { query = query.limit(it.jsonPrimitive.long) }
    step["offset"]?.let { query = query.offset(it.jsonPrimitive.long) }
    return query
}

private fun filter(condition: JsonObject): Filter<Any?> {
    val field = column(condition.text("field"))
    return when (val op = condition.text("op")) {
        "equals" -> field eq condition.value("value")
        "above" -> field above condition.value("value")
        "aboveOrEqual" -> field aboveOrEqual condition.value("value")
        "below" -> field below condition.value("value")
        "belowOrEqual" -> field belowOrEqual condition.value("value")
        "startsWith" -> field startsWith condition.text("value")
        "anyOf" -> field anyOf condition.value("values").jsonArray
        "between" -> field.between(
            condition.value("low"),
            condition.value("high"),
            lowOpen = condition.isTrue("lowOpen"),
            highOpen = condition.isTrue("highOpen"),
        )
        else -> misunderstood("no operator is called \"$op\"")
    }
}
