package dev.interocitor

import dev.interocitor.ffi.Failure
import dev.interocitor.ffi.InternalException
import kotlinx.coroutines.CoroutineDispatcher
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.currentCoroutineContext
import kotlinx.coroutines.ensureActive
import kotlinx.coroutines.withContext
import java.nio.charset.CharacterCodingException
import kotlin.coroutines.cancellation.CancellationException

/** Calls the engine; its failures come out as ours. A cancelled coroutine does not begin. */
internal suspend inline fun <T> engine(call: () -> T): T {
    currentCoroutineContext().ensureActive()
    return try {
        call()
    } catch (failure: Exception) {
        // Where both ended at once, it is the coroutine that was cancelled.
        if (failure !is CancellationException) currentCoroutineContext().ensureActive()
        throw failure.asPublic()
    }
}

/**
 * As [engine], for calls on one row: as a rule they are done where they are made, so they are made off the threads that
 * draw. Where the caller is off them already nothing changes hands.
 */
internal suspend inline fun <T> rowCall(crossinline call: suspend () -> T): T = engine {
    withContext(Dispatchers.IO) { call() }
}

/** As [engine], for calls that do not wait. */
internal inline fun <T> engineNow(call: () -> T): T = try {
    call()
} catch (failure: Exception) {
    throw failure.asPublic()
}

@PublishedApi
internal fun invalid(what: String, cause: Throwable? = null): InterocitorException =
    InterocitorException.Rejected(ErrorCode.INVALID_ARGUMENT, what, cause = cause)

internal fun shutDown(): InterocitorException =
    InterocitorException.Closed(ErrorCode.SHUT_DOWN, "the database was shut down")

private const val REPORT = "the engine met a fault of its own; please report it"

internal fun Exception.asPublic(): Exception = when (this) {
    is Failure -> asPublic()
    is CharacterCodingException -> invalid("a name, id or text holds half of a surrogate pair; give whole characters")
    is InternalException -> InterocitorException.Internal("$REPORT: $message", this)
    else -> this
}

internal fun Failure.asPublic(): InterocitorException = when (this) {
    is Failure.Remote -> InterocitorException.Remote(code, reason, retryable)
    is Failure.Mesh -> InterocitorException.Mesh(code, reason, retryable)
    is Failure.Credential -> InterocitorException.Credential(code, reason, retryable)
    is Failure.Store -> InterocitorException.Store(code, reason, retryable)
    is Failure.Rejected -> InterocitorException.Rejected(code, reason, retryable)
    is Failure.Cancelled -> InterocitorException.Cancelled(code, reason, retryable)
    is Failure.Closed -> InterocitorException.Closed(code, reason, retryable)
}

internal fun InterocitorException.asFailure(): Failure = when (this) {
    is InterocitorException.Remote -> Failure.Remote(code, reason, isRetryable)
    is InterocitorException.Mesh -> Failure.Mesh(code, reason, isRetryable)
    is InterocitorException.Credential -> Failure.Credential(code, reason, isRetryable)
    is InterocitorException.Store -> Failure.Store(code, reason, isRetryable)
    is InterocitorException.Rejected -> Failure.Rejected(code, reason, isRetryable)
    is InterocitorException.Cancelled -> Failure.Cancelled(code, reason, isRetryable)
    is InterocitorException.Closed -> Failure.Closed(code, reason, isRetryable)
    is InterocitorException.Internal -> Failure.Rejected(code, reason, isRetryable)
}

/**
 * Runs code of the app that the engine calls. Whatever it throws, even an `Error`, becomes an answer: the engine
 * would wait forever for one that never came.
 */
internal inline fun <T> appCode(what: String, call: () -> T): T = try {
    call()
} catch (failure: Throwable) {
    throw when (failure) {
        is InterocitorException -> failure.asFailure()
        is CancellationException -> failure
        // Its text may hold anything, so only its kind is told.
        else -> Failure.Rejected("APP", "$what of the app failed with ${failure.javaClass.name}", false)
    }
}

/**
 * Threads for code of the app that the engine calls. It may block, which keychains and file systems do: not one of the
 * few threads that all coroutines share, nor one of [Dispatchers.IO], which calls on rows need. A view of that has threads
 * of its own.
 */
internal val appThreads: CoroutineDispatcher = Dispatchers.IO.limitedParallelism(64, "interocitor-app")

/** As [appCode], for code that may wait, or block its thread. */
internal suspend fun <T> appWork(what: String, call: suspend () -> T): T =
    appCode(what) { withContext(appThreads) { call() } }
