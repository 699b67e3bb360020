package dev.interocitor

import kotlinx.coroutines.Job
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.channels.trySendBlocking
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.asStateFlow
import kotlinx.coroutines.flow.flow
import dev.interocitor.ffi.Failure
import dev.interocitor.ffi.Event as FfiEvent
import dev.interocitor.ffi.EventListener as FfiEventListener
import dev.interocitor.ffi.Interocitor as FfiInterocitor
import dev.interocitor.ffi.Subscription as FfiSubscription

/** Everything that happens while it is collected. `ended` completes with the database. */
internal fun events(inner: FfiInterocitor, ended: Job): Flow<Event> = flow {
    if (ended.isCompleted) throw shutDown()
    // Without a buffer: a collector that is slow holds up nobody but this listener, and the engine folds together
    // what it missed. (The channel of a callbackFlow would leave the listener waiting when it is cancelled.)
    val heard = Channel<List<FfiEvent>>()
    val subscription = engine { inner.subscribe(Listener { heard.trySendBlocking(it) }) }
    val closing = ended.invokeOnCompletion { heard.close() }
    try {
        for (told in heard) for (event in told) emit(event.asPublic())
    } finally {
        closing.dispose()
        heard.cancel()
        subscription.cancel()
        subscription.destroy()
    }
}

/** How things stand, as it changes. */
internal fun statuses(inner: FfiInterocitor): Flow<Status> = flow {
    val watch = engine { inner.watchStatus() }
    try {
        while (true) emit((engine { watch.next() } ?: break).asPublic())
    } finally {
        watch.cancel()
        watch.destroy()
    }
}

/** The state of the connection, kept up to date by a listener. */
internal class ConnectionWatch(inner: FfiInterocitor, ended: Job) {
    private val current = MutableStateFlow(ConnectionState.OFFLINE)
    val state: StateFlow<ConnectionState> = current.asStateFlow()

    // The engine ends a listener whose subscription is gone. After a shutdown there is nothing to hear any more.
    private val subscription: FfiSubscription? = try {
        inner.subscribe(
            Listener { told ->
                val changed = told.filterIsInstance<FfiEvent.ConnectionChanged>().lastOrNull()
                when {
                    changed != null -> current.value = changed.state.asPublic()
                    FfiEvent.Lagged in told -> current.value = inner.connectionState().asPublic()
                }
            },
        )
    } catch (_: Failure.Closed) {
        null
    }

    init {
        current.value = inner.connectionState().asPublic()
        ended.invokeOnCompletion {
            subscription?.cancel()
            current.value = ConnectionState.OFFLINE
        }
    }
}

private class Listener(private val hear: (List<FfiEvent>) -> Unit) : FfiEventListener {
    override fun onEvents(events: List<FfiEvent>) = appCode("an event listener") { hear(events) }
}
