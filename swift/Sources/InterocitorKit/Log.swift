import Foundation
internal import InterocitorBindings

/// How important a log line is.
public enum LogLevel: Int, Hashable, Sendable, Comparable {
  /// Something failed.
  case error
  /// Something is odd.
  case warning
  /// Something worth knowing.
  case info
  /// For finding faults.
  case debug
  /// Everything.
  case trace

  /// Less important is greater.
  public static func < (a: LogLevel, b: LogLevel) -> Bool { a.rawValue < b.rawValue }

  fileprivate var engine: InterocitorBindings.LogLevel {
    switch self {
    case .error: .error
    case .warning: .warn
    case .info: .info
    case .debug: .debug
    case .trace: .trace
    }
  }

  fileprivate init(_ level: InterocitorBindings.LogLevel) {
    self =
      switch level {
      case .error: .error
      case .warn: .warning
      case .info: .info
      case .debug: .debug
      case .trace: .trace
      }
  }
}

/// One log line.
public struct LogRecord: Hashable, Sendable {
  /// How important it is.
  public let level: LogLevel
  /// Where it comes from.
  public let target: String
  /// What it says.
  public let message: String
}

extension Interocitor {
  /// Sends log lines of at least this level to a function, for the whole process. Values, keys and passphrases are never
  /// logged. The function runs on a thread of its own; where it is too slow, the number of lines that were left out is
  /// logged instead. What it throws is dropped.
  public static func setLogSink(_ level: LogLevel = .info, _ sink: @escaping @Sendable (LogRecord) throws -> Void) {
    InterocitorBindings.setLogSink(sink: LogBridge(sink), level: level.engine)
  }

  /// Logs nothing any more.
  public static func removeLogSink() { InterocitorBindings.setLogSink(sink: nil, level: .error) }
}

private final class LogBridge: InterocitorBindings.LogSink {
  private let sink: @Sendable (LogRecord) throws -> Void

  init(_ sink: @escaping @Sendable (LogRecord) throws -> Void) { self.sink = sink }

  func log(record: InterocitorBindings.LogRecord) throws {
    do {
      try sink(LogRecord(level: LogLevel(record.level), target: record.target, message: record.message))
    } catch { throw InterocitorError.failure(error) }
  }
}
