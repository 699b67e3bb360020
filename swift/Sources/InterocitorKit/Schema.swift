import Foundation

/// Tables, indexes and merge strategies that an app declares. It describes and indexes; it refuses no value, and columns
/// that it does not name are fine.
///
/// ```swift
/// let schema = Schema(version: 1, tables: [
///   "todos": .init(fields: ["title": .string, "done": .boolean.indexed(), "slug": .string.unique()])
/// ])
/// ```
public struct Schema: Sendable {
  private enum Source: Sendable {
    case declared(version: Int, tables: [String: Table], merge: MergeStrategy?)
    case json(String)
  }

  private let source: Source

  /// A schema. All devices of a mesh declare the same version.
  public init(version: Int = 1, tables: [String: Table], merge: MergeStrategy? = nil) {
    source = .declared(version: version, tables: tables, merge: merge)
  }

  /// A schema in the JavaScript client's form.
  public init(json: String) { source = .json(json) }

  /// One table.
  public struct Table: Sendable {
    /// Its fields by name.
    public var fields: [String: Field]
    /// How its values merge where the field does not say so.
    public var merge: MergeStrategy?

    /// A table.
    public init(fields: [String: Field], merge: MergeStrategy? = nil) {
      self.fields = fields
      self.merge = merge
    }
  }

  /// One field.
  public struct Field: Sendable {
    private var json: JSONObject
    fileprivate var merge: MergeStrategy?

    private init(_ kind: String) { json = ["kind": .string(kind)] }

    /// A text.
    public static let string = Self("string")
    /// A number.
    public static let number = Self("number")
    /// True or false.
    public static let boolean = Self("boolean")
    /// A date: an ISO 8601 text.
    public static let date = Self("date")
    /// Any value.
    public static let json = Self("json")
    /// A file that is kept beside the rows.
    public static let file = Self("file")
    /// One of these texts.
    public static func oneOf(_ values: [String]) -> Self {
      var field = Self("enum")
      field.json["values"] = .array(values.map(JSONValue.string))
      return field
    }

    /// With an index: conditions and orders on it are fast. It cannot be optional.
    public func indexed() -> Self { with("index") }
    /// Local writes may not repeat a value of it (`UNIQUE_VIOLATION`). It cannot be optional.
    public func unique() -> Self { with("unique") }
    /// May be missing.
    public func optional() -> Self { with("optional") }
    /// With a merge strategy of its own.
    public func merging(_ strategy: MergeStrategy) -> Self {
      var field = self
      field.merge = strategy
      return field
    }

    private func with(_ name: String) -> Self {
      var field = self
      field.json[name] = true
      return field
    }

    fileprivate var value: JSONValue { .object(json) }
  }

  /// As JSON text.
  func text() throws -> String {
    switch source {
    case .json(let text): return text
    case .declared(let version, let tables, let merge):
      var schema: JSONObject = ["version": .integer(Int64(version)), "tables": .object(tables.mapValues(\.value))]
      schema["mergeStrategy"] = merge.map { .string($0.rawValue) }
      return String(decoding: JSONValue.object(schema).json, as: UTF8.self)
    }
  }
}

extension Schema.Table {
  fileprivate var value: JSONValue {
    var table: JSONObject = ["fields": .object(fields.mapValues(\.value))]
    var merging: JSONObject = [:]
    merging["strategy"] = merge.map { .string($0.rawValue) }
    let ruled = fields.compactMapValues { $0.merge.map { JSONValue.string($0.rawValue) } }
    if !ruled.isEmpty { merging["fields"] = .object(ruled) }
    if !merging.isEmpty { table["merge"] = .object(merging) }
    return .object(table)
  }
}
