package dev.interocitor.android

import dev.interocitor.InterocitorException
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.launch

/** Exchanges changes on request, once at a time; of many requests meanwhile one is kept. */
internal class Resync(scope: CoroutineScope, private val sync: suspend () -> Unit) {
    private val requests = Channel<Unit>(Channel.CONFLATED)

    init {
        scope.launch {
            for (request in requests) {
                try {
                    sync()
                } catch (_: InterocitorException) {
                    // Not connected, or offline again: the status tells, and what waits is kept.
                }
            }
        }
    }

    fun request() {
        requests.trySend(Unit)
    }
}
