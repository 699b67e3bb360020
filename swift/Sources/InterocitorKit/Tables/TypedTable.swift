import Foundation
internal import InterocitorBindings

/// A table whose rows are values of the app's type.
///
/// ```swift
/// struct Todo: Codable, Sendable { var title: String; var done = false }
///
/// let todos = db.table("todos", of: Todo.self)
/// let id = try await todos.add(Todo(title: "Buy milk"))
/// try await todos.patch(id, .set(\.done, to: true))
/// ```
///
/// Columns are the names under which the type codes its properties. Columns that the type does not know are passed over
/// when rows are read and kept when they are written: only ``replace(_:_:)`` clears them. A write that returned is on
/// disk.
public struct TypedTable<Value: Codable & Sendable>: Sendable {
  let table: EngineTable

  init(_ name: String, _ table: InterocitorBindings.Table) { self.table = EngineTable(name, table) }

  /// Its name.
  public var name: String { table.name }

  // MARK: writing

  /// Adds a row under a new id, which may start with a prefix and `_`, and returns the id.
  @discardableResult
  public func add(_ row: Value, prefix: String? = nil) async throws -> String {
    let fields = try RowEncoder.row(row, of: name, writesNil: false)
    return try await engine { try await table.table.add(fields: fields, prefix: prefix) }
  }

  /// Sets the columns that the type has and keeps others. A missing row is made; a deleted one comes back with these
  /// columns only. A property that is nil clears its column.
  public func put(_ id: String, _ row: Value) async throws {
    try await put(id, json: RowEncoder.row(row, of: name, writesNil: true))
  }

  /// Sets the columns of a JSON object and keeps others.
  public func put(_ id: String, json: Data) async throws {
    try await engine { try await table.table.put(rowId: id, fields: json) }
  }

  /// Sets these columns and keeps all others: only they get a new clock, so that what other devices change in the rest
  /// of the row is not touched.
  public func patch(_ id: String, _ changes: Change<Value>...) async throws {
    try await put(id, json: Change.row(changes, of: name))
  }

  /// Sets these columns, named as they are stored, and keeps all others.
  public func patch(_ id: String, _ columns: JSONObject) async throws {
    try await put(id, json: RowEncoder.row(columns, of: name, writesNil: true))
  }

  /// Sets the columns that the type has and every other column of the row to null.
  public func replace(_ id: String, _ row: Value) async throws {
    let fields = try RowEncoder.row(row, of: name, writesNil: false)
    try await engine { try await table.table.replace(rowId: id, fields: fields) }
  }

  /// Deletes a row; an unknown or deleted one stays as it is.
  public func delete(_ id: String) async throws {
    try await engine { try await table.table.delete(rowId: id) }
  }

  // MARK: reading

  /// A row, or nil where there is none.
  public func row(_ id: String) async throws -> Row<Value>? {
    guard let json = try await json(id) else { return nil }
    return try RowPage.row(Value.self, id: id, json: json, table: name)
  }

  /// A row as JSON text, exactly as it is stored, or nil.
  public func json(_ id: String) async throws -> Data? {
    try await engine { try await table.table.row(rowId: id) }
  }

  /// A query for all rows, to be narrowed.
  public func query() -> RowQuery<Value> { RowQuery(table) }

  /// All rows, by id.
  public func rows() async throws -> [Row<Value>] { try await query().rows() }

  /// How many rows there are.
  public func count() async throws -> Int { try await query().count() }

  /// All rows now, and again whenever they have changed.
  public func observe() -> RowObservation<[Row<Value>]> { query().observe() }
}
