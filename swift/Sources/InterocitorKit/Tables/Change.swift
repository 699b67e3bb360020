import Foundation

/// A column to change, for ``TypedTable/patch(_:_:)``.
public struct Change<Value: Codable & Sendable>: Sendable {
  let resolve: @Sendable (String) throws -> (column: String, value: JSONValue)

  /// Sets a column; nil clears it.
  public static func set<Member: Encodable>(_ column: KeyPath<Value, Member>, to value: Member) -> Self {
    let encoded = Result { try RowEncoder.operand(value, for: "a column") }
    let path = ColumnPath(column)
    return Self { table in (try path.name(table), try encoded.get()) }
  }

  /// Sets a column, named as it is stored; nil clears it.
  public static func set(_ column: String, to value: some Encodable) -> Self {
    let encoded = Result { try RowEncoder.operand(value, for: column) }
    return Self { _ in (column, try encoded.get()) }
  }

  /// The changes as the columns of a row.
  static func row(_ changes: [Self], of table: String) throws -> Data {
    var columns: JSONObject = [:]
    for change in changes {
      let (column, value) = try change.resolve(table)
      columns[column] = value
    }
    return JSONValue.object(columns).json
  }
}
