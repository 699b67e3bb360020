package dev.interocitor.scenario

import dev.interocitor.Interocitor
import dev.interocitor.Paired
import dev.interocitor.Pairing
import dev.interocitor.PairingOptions
import dev.interocitor.PairingPayload
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Deferred
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.async
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonNull
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.buildJsonObject
import kotlinx.serialization.json.put
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds

/** Plays the steps of one device's pairing. What both devices do at once goes on beside the steps. */
class Pairings {
    private val scope = CoroutineScope(SupervisorJob() + Dispatchers.Default)
    private var shown: Pairing? = null
    private var end: Deferred<Paired>? = null

    private val pairing get() = shown ?: misunderstood("there is no pairing")

    suspend fun play(db: Interocitor, what: String, step: JsonObject): JsonElement = when (what) {
        "pairShare" -> show(db.pairShare(options))
        "pairJoin" -> show(db.pairJoin(options))
        "pairScan" -> {
            show(db.pairScan(PairingPayload.parse(step.text("payload")), options))
            JsonNull
        }
        "pairCode" -> JsonPrimitive(pairing.code())
        "pairComplete" -> {
            val pairing = pairing
            if (pairing.code() != step.text("code")) misunderstood("the codes differ")
            end = scope.async { pairing.complete() }
            JsonNull
        }
        "paired" -> (end ?: misunderstood("pairComplete comes first")).await().run {
            buildJsonObject {
                put("remotePath", remotePath)
                put("received", received)
            }
        }
        else -> {
            pairing.cancel()
            JsonNull
        }
    }

    private fun show(pairing: Pairing): JsonElement {
        shown = pairing
        return JsonPrimitive(pairing.payload.encode())
    }

    companion object {
        val STEPS = setOf("pairShare", "pairJoin", "pairScan", "pairCode", "pairComplete", "paired", "pairCancel")

        private val options = PairingOptions(timeout = 30.seconds, pollInterval = 20.milliseconds)
    }
}
