import Foundation
internal import InterocitorBindings

/// Writes that are made together, within ``Interocitor/batch(isolation:_:)``.
///
/// Nothing is locked and nothing is on disk until the batch is committed, which it is when its closure returns. Rows read
/// within it are as its writes leave them; queries do not see them.
public final class Batch: Sendable {
  let batch: InterocitorBindings.Batch

  init(_ batch: InterocitorBindings.Batch) { self.batch = batch }

  /// A table to write to.
  public func table<Value: Codable & Sendable>(_ name: String, of type: Value.Type) -> BatchTable<Value> {
    BatchTable(name: name, batch: batch)
  }

  /// A table without a row type.
  public func table(_ name: String) -> BatchTable<JSONObject> { table(name, of: JSONObject.self) }

  func commit() async throws { try await engine { try await batch.commit() } }
}

/// A table within a batch. Writes mean what they mean on a ``TypedTable``, once the batch is committed.
public struct BatchTable<Value: Codable & Sendable>: Sendable {
  /// Its name.
  public let name: String
  private let batch: InterocitorBindings.Batch

  init(name: String, batch: InterocitorBindings.Batch) {
    self.name = name
    self.batch = batch
  }

  /// Adds a row under a new id, which may start with a prefix and `_`, and returns the id.
  @discardableResult
  public func add(_ row: Value, prefix: String? = nil) throws -> String {
    let fields = try RowEncoder.row(row, of: name, writesNil: false)
    return try engine { try batch.add(table: name, fields: fields, prefix: prefix) }
  }

  /// Sets the columns that the type has and keeps others; a property that is nil clears its column.
  public func put(_ id: String, _ row: Value) throws {
    try put(id, json: RowEncoder.row(row, of: name, writesNil: true))
  }

  /// Sets the columns of a JSON object and keeps others.
  public func put(_ id: String, json: Data) throws {
    try engine { try batch.put(table: name, rowId: id, fields: json) }
  }

  /// Sets these columns and keeps all others.
  public func patch(_ id: String, _ changes: Change<Value>...) throws {
    try put(id, json: Change.row(changes, of: name))
  }

  /// Sets these columns, named as they are stored, and keeps all others.
  public func patch(_ id: String, _ columns: JSONObject) throws {
    try put(id, json: RowEncoder.row(columns, of: name, writesNil: true))
  }

  /// Sets the columns that the type has and every other column of the row to null.
  public func replace(_ id: String, _ row: Value) throws {
    let fields = try RowEncoder.row(row, of: name, writesNil: false)
    try engine { try batch.replace(table: name, rowId: id, fields: fields) }
  }

  /// Deletes a row; an unknown or deleted one stays as it is.
  public func delete(_ id: String) throws {
    try engine { try batch.delete(table: name, rowId: id) }
  }

  /// A row as it would be if the batch were committed now.
  public func row(_ id: String) throws -> Row<Value>? {
    guard let json = try engine({ try batch.row(table: name, rowId: id) }) else { return nil }
    return try RowPage.row(Value.self, id: id, json: json, table: name)
  }
}
