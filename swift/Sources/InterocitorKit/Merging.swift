import Foundation
internal import InterocitorBindings

/// Two values of one column that met.
public struct MergeConflict: Sendable {
  /// The table.
  public let table: String
  /// The row.
  public let rowID: String
  /// The column.
  public let field: String
  /// The value here.
  public let local: JSONValue
  /// The value that came.
  public let remote: JSONValue
}

/// A merge function of the app and what it is for.
///
/// ```swift
/// configuration.mergeRules = [
///   MergeRule(table: "notes", field: "tags") { conflict in
///     let tags = Set((conflict.local.array ?? []) + (conflict.remote.array ?? []))
///     return .array(tags.sorted { ($0.string ?? "") < ($1.string ?? "") })
///   }
/// ]
/// ```
public struct MergeRule: Sendable {
  /// The table.
  public let table: String
  /// One of its columns; nil: all that have no rule of their own.
  public let field: String?
  private let resolve: @Sendable (MergeConflict) throws -> JSONValue

  /// A rule. The function must be commutative and idempotent: every device has to come to the same value, in any order.
  /// It runs on a thread of the engine, outside any transaction; conflicts of one page for which it throws are decided by
  /// the last writer, and the failure is logged.
  public init(
    table: String, field: String? = nil, resolve: @escaping @Sendable (MergeConflict) throws -> JSONValue
  ) {
    self.table = table
    self.field = field
    self.resolve = resolve
  }

  var engine: InterocitorBindings.MergeRule {
    .init(table: table, field: field, function: MergeBridge(resolve: resolve))
  }
}

/// A function of the app as the engine calls it.
private final class MergeBridge: InterocitorBindings.MergeFunction {
  let resolve: @Sendable (MergeConflict) throws -> JSONValue

  init(resolve: @escaping @Sendable (MergeConflict) throws -> JSONValue) { self.resolve = resolve }

  func merge(conflicts: [InterocitorBindings.MergeConflict]) throws -> [String] {
    do {
      return try conflicts.map { conflict in
        let local = try JSONValue(json: Data(conflict.local.utf8))
        let remote = try JSONValue(json: Data(conflict.remote.utf8))
        let merged = try resolve(
          MergeConflict(
            table: conflict.table, rowID: conflict.rowId, field: conflict.field, local: local, remote: remote))
        // One of the two stays as it is spelled.
        if merged == local { return conflict.local }
        if merged == remote { return conflict.remote }
        return String(decoding: try RowEncoder.operand(merged, for: conflict.field).json, as: UTF8.self)
      }
    } catch { throw InterocitorError.failure(error) }
  }
}
