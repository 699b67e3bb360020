import Foundation
internal import InterocitorBindings

/// What a column must be like.
///
/// Types never compare across: `1`, `"1"` and `true` are three things. A column that is missing or null matches nothing.
public struct Condition<Value: Encodable>: Sendable {
  enum Kind: Sendable {
    case equals(JSONValue)
    case above(JSONValue, orEqual: Bool)
    case below(JSONValue, orEqual: Bool)
    case between(JSONValue, JSONValue, lowOpen: Bool, highOpen: Bool)
    case startsWith(String)
    case anyOf([JSONValue])
  }

  // A value that cannot be encoded is told when the query runs.
  let kind: Result<Kind, InterocitorError>

  private init(_ make: () throws -> Kind) {
    do { kind = .success(try make()) } catch {
      kind = .failure(error as? InterocitorError ?? .invalid("value", "its type refused with \(type(of: error))"))
    }
  }

  private static func operand(_ value: Value) throws -> JSONValue { try RowEncoder.operand(value, for: "a condition") }

  /// The column is this value.
  public static func equals(_ value: Value) -> Self { Self { .equals(try operand(value)) } }
  /// The column is greater.
  public static func above(_ value: Value) -> Self { Self { .above(try operand(value), orEqual: false) } }
  /// The column is greater or the same.
  public static func aboveOrEqual(_ value: Value) -> Self { Self { .above(try operand(value), orEqual: true) } }
  /// The column is less.
  public static func below(_ value: Value) -> Self { Self { .below(try operand(value), orEqual: false) } }
  /// The column is less or the same.
  public static func belowOrEqual(_ value: Value) -> Self { Self { .below(try operand(value), orEqual: true) } }
  /// The column lies between two values, which are left out where they are open.
  public static func between(_ low: Value, _ high: Value, lowOpen: Bool = false, highOpen: Bool = false) -> Self {
    Self { .between(try operand(low), try operand(high), lowOpen: lowOpen, highOpen: highOpen) }
  }
  /// The column is one of these values.
  public static func anyOf(_ values: [Value]) -> Self { Self { .anyOf(try values.map(operand)) } }

  fileprivate init(prefix: String) { kind = .success(.startsWith(prefix)) }
}

extension Condition where Value == String {
  /// The column is a text that starts so.
  public static func startsWith(_ prefix: String) -> Self { Self(prefix: prefix) }
}

extension Condition where Value == String? {
  /// The column is a text that starts so.
  public static func startsWith(_ prefix: String) -> Self { Self(prefix: prefix) }
}

extension Condition where Value == JSONValue {
  /// The column is a text that starts so.
  public static func startsWith(_ prefix: String) -> Self { Self(prefix: prefix) }
}

/// A column of a row type and what it must be like, as operators on key paths make it: `\.rank >= 3`.
public struct Where<Value: Codable & Sendable>: Sendable {
  let column: ColumnPath
  let condition: Result<Condition<JSONValue>.Kind, InterocitorError>

  init<Member: Encodable>(_ path: KeyPath<Value, Member>, _ condition: Condition<Member>) {
    column = ColumnPath(path)
    self.condition = condition.kind.map(\.erased)
  }
}

/// The column is this value.
public func == <Value, Member: Encodable>(path: KeyPath<Value, Member>, value: Member) -> Where<Value> {
  Where(path, .equals(value))
}
/// The column is greater.
public func > <Value, Member: Encodable>(path: KeyPath<Value, Member>, value: Member) -> Where<Value> {
  Where(path, .above(value))
}
/// The column is greater or the same.
public func >= <Value, Member: Encodable>(path: KeyPath<Value, Member>, value: Member) -> Where<Value> {
  Where(path, .aboveOrEqual(value))
}
/// The column is less.
public func < <Value, Member: Encodable>(path: KeyPath<Value, Member>, value: Member) -> Where<Value> {
  Where(path, .below(value))
}
/// The column is less or the same.
public func <= <Value, Member: Encodable>(path: KeyPath<Value, Member>, value: Member) -> Where<Value> {
  Where(path, .belowOrEqual(value))
}

extension Condition.Kind {
  /// The same for any value type.
  var erased: Condition<JSONValue>.Kind {
    switch self {
    case .equals(let value): .equals(value)
    case .above(let value, let orEqual): .above(value, orEqual: orEqual)
    case .below(let value, let orEqual): .below(value, orEqual: orEqual)
    case .between(let low, let high, let lowOpen, let highOpen):
      .between(low, high, lowOpen: lowOpen, highOpen: highOpen)
    case .startsWith(let prefix): .startsWith(prefix)
    case .anyOf(let values): .anyOf(values)
    }
  }

  /// As the engine has it.
  var engine: InterocitorBindings.Condition {
    func text(_ value: JSONValue) -> String { String(decoding: value.json, as: UTF8.self) }
    return switch self {
    case .equals(let value): .equals(value: text(value))
    case .above(let value, orEqual: false): .above(value: text(value))
    case .above(let value, orEqual: true): .aboveOrEqual(value: text(value))
    case .below(let value, orEqual: false): .below(value: text(value))
    case .below(let value, orEqual: true): .belowOrEqual(value: text(value))
    case .between(let low, let high, let lowOpen, let highOpen):
      .between(low: text(low), high: text(high), lowOpen: lowOpen, highOpen: highOpen)
    case .startsWith(let prefix): .startsWith(prefix: prefix)
    case .anyOf(let values): .anyOf(values: values.map(text))
    }
  }
}
