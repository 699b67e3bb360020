package dev.interocitor

import dev.interocitor.ffi.LogLevel as FfiLogLevel
import dev.interocitor.ffi.LogRecord as FfiLogRecord
import dev.interocitor.ffi.LogSink as FfiLogSink

/** How important a log line is, the most important first. */
public enum class LogLevel {
    /** Something failed. */
    ERROR,

    /** Something is wrong, and work goes on. */
    WARN,

    /** What happens, in large steps. */
    INFO,

    /** What happens, in small steps. */
    DEBUG,

    /** Everything. */
    TRACE,
}

/**
 * One log line. Values, keys and passphrases are never logged.
 *
 * @property level how important it is.
 * @property target where it comes from.
 * @property message what it says.
 */
public data class LogRecord(val level: LogLevel, val target: String, val message: String)

/** Takes log lines. */
public fun interface LogSink {
    /** Called on a thread of its own. What it throws is dropped. */
    public fun log(record: LogRecord)
}

internal class ForeignLogSink(private val sink: LogSink) : FfiLogSink {
    override fun log(record: FfiLogRecord) = appCode("the log sink") {
        sink.log(LogRecord(record.level.asPublic(), record.target, record.message))
    }
}

internal fun LogLevel.asFfi(): FfiLogLevel = when (this) {
    LogLevel.ERROR -> FfiLogLevel.ERROR
    LogLevel.WARN -> FfiLogLevel.WARN
    LogLevel.INFO -> FfiLogLevel.INFO
    LogLevel.DEBUG -> FfiLogLevel.DEBUG
    LogLevel.TRACE -> FfiLogLevel.TRACE
}

private fun FfiLogLevel.asPublic() = when (this) {
    FfiLogLevel.ERROR -> LogLevel.ERROR
    FfiLogLevel.WARN -> LogLevel.WARN
    FfiLogLevel.INFO -> LogLevel.INFO
    FfiLogLevel.DEBUG -> LogLevel.DEBUG
    FfiLogLevel.TRACE -> LogLevel.TRACE
}
