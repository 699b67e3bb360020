package dev.interocitor.scenario

import dev.interocitor.FileSource
import dev.interocitor.Interocitor
import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonNull
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.buildJsonObject
import kotlinx.serialization.json.put

/** What `putFile` puts. */
internal fun JsonObject.content() = FileSource(text("text").encodeToByteArray())

/** Plays a step about durable files; null for one that is about something else. */
internal suspend fun Interocitor.playFile(what: String, step: JsonObject): JsonElement? {
    fun path() = step.text("path")
    when (what) {
        "deleteFile" -> deleteFile(path())
        "pinFile" -> pinFile(path())
        "unpinFile" -> unpinFile(path())
        "evictFile" -> evictFile(path())
        "pauseFile" -> pauseFile(path())
        "resumeFile" -> resumeFile(path())
        "cancelFile" -> cancelFile(path())
        "putFile" -> return JsonPrimitive(putFile(path(), step.content(), step.textOrNull("contentType")).digest)
        "getFile" -> return JsonPrimitive(getFile(path(), step.textOrNull("digest")).bytes().decodeToString())
        "fileMetadata" -> return getFileMetadata(path())?.run {
            buildJsonObject {
                put("size", size)
                put("digest", digest)
                put("contentType", contentType)
            }
        } ?: JsonNull
        "files" -> return listFiles(step.textOrNull("prefix").orEmpty()).run {
            buildJsonObject {
                put("paths", JsonArray(files.map { JsonPrimitive(it.path) }))
                put("unnamed", unnamed)
            }
        }
        "transfers" -> return JsonArray(
            fileTransfers().map { file ->
                buildJsonObject {
                    put("path", file.path)
                    put("kind", file.transfer?.kind?.name?.lowercase())
                    put("state", file.transfer?.state?.name?.lowercase())
                }
            },
        )
        "syncFiles" -> return syncFiles().run {
            buildJsonObject {
                put("done", done)
                put("failed", failed)
            }
        }
        else -> return null
    }
    return JsonNull
}
