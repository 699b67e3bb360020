import Foundation

/// Which column a sample has changed, and which columns a type asks for.
final class Probe {
  let changed: String?
  /// Every column with the types that it was asked for as.
  private(set) var columns: [(name: String, types: [ObjectIdentifier])] = []

  init(changed: String?) { self.changed = changed }

  func ask<T>(_ name: String, _ type: T.Type) {
    let types = [ObjectIdentifier(T.self), ObjectIdentifier(T?.self)]
    if let index = columns.firstIndex(where: { $0.name == name }) {
      columns[index].types += types
    } else {
      columns.append((name, types))
    }
  }
}

/// Decodes samples out of nothing: every value is the plain one of its type, or the other one. So the names of a type's
/// columns are learned from the type itself.
struct SampleDecoder: Decoder {
  /// A type whose samples are unknown.
  struct Unknown: Error {
    let type: Any.Type
  }

  let probe: Probe
  /// Whether values are the other ones.
  var isOther = false
  /// How many values are around this one: types that hold themselves come to an end.
  var depth = 0

  var codingPath: [any CodingKey] { [] }
  var userInfo: [CodingUserInfoKey: Any] { [:] }

  func inside(_ name: String?) -> SampleDecoder {
    SampleDecoder(probe: probe, isOther: isOther || (depth == 0 && name == probe.changed), depth: depth + 1)
  }

  func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
    KeyedDecodingContainer(SampleMembers<Key>(decoder: self))
  }
  func unkeyedContainer() throws -> any UnkeyedDecodingContainer { SampleList(decoder: self) }
  func singleValueContainer() throws -> any SingleValueDecodingContainer { self }
}

extension SampleDecoder: SingleValueDecodingContainer {
  private static let uuid = UUID(uuid: (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))

  func decodeNil() -> Bool { !isOther || depth > 8 }

  func decode<T: Decodable>(_ type: T.Type) throws -> T {
    let sample: (Any, Any)? =
      switch type {
      case is Bool.Type: (false, true)
      case is String.Type: ("", "a")
      case is Double.Type: (0.0, 1.0)
      case is Float.Type: (Float(0), Float(1))
      case is Date.Type: (Date(timeIntervalSince1970: 0), Date(timeIntervalSince1970: 1))
      case is Data.Type: (Data(), Data([1]))
      case is URL.Type: (URL(fileURLWithPath: "/a"), URL(fileURLWithPath: "/b"))
      case is Decimal.Type: (Decimal(0), Decimal(1))
      case is UUID.Type: (Self.uuid, UUID(uuid: (1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)))
      case is JSONValue.Type: (JSONValue.null, JSONValue.bool(true))
      default: nil
      }
    if let sample { return (isOther ? sample.1 : sample.0) as! T }
    if let integer = type as? any FixedWidthInteger.Type { return number(integer) as! T }
    if let cases = type as? any CaseIterable.Type {
      let (first, last) = ends(cases)
      guard let one = (isOther ? last : first) as? T else { throw Unknown(type: type) }
      return one
    }
    guard depth <= 16 else { throw Unknown(type: type) }
    do { return try T(from: self) } catch let error as Unknown { throw error } catch { throw Unknown(type: type) }
  }

  private func ends<C: CaseIterable>(_ type: C.Type) -> (Any?, Any?) {
    let all = Array(type.allCases)
    return (all.first, all.last)
  }

  private func number<I: FixedWidthInteger>(_ type: I.Type) -> I { isOther ? 1 : 0 }
}

private struct SampleMembers<Key: CodingKey>: KeyedDecodingContainerProtocol {
  let decoder: SampleDecoder
  var codingPath: [any CodingKey] { [] }
  /// For dictionaries: none, or one.
  var allKeys: [Key] { decoder.isOther ? [Key(stringValue: "a")].compactMap { $0 } : [] }

  func contains(_ key: Key) -> Bool { true }

  private func value<T>(_ key: Key, _ type: T.Type) -> SampleDecoder {
    if decoder.depth == 0 { decoder.probe.ask(key.stringValue, type) }
    return decoder.inside(key.stringValue)
  }

  func decodeNil(forKey key: Key) throws -> Bool { decoder.inside(key.stringValue).decodeNil() }
  func decode<T: Decodable>(_ type: T.Type, forKey key: Key) throws -> T { try value(key, type).decode(type) }

  // Spelled out for each type that the library spells out, so that none of them asks `decodeNil` first.
  func decodeIfPresent<T: Decodable>(_ type: T.Type, forKey key: Key) throws -> T? {
    let value = value(key, type)
    return value.decodeNil() ? nil : try value.decode(type)
  }
  func decodeIfPresent(_ type: Bool.Type, forKey key: Key) throws -> Bool? { try optional(type, key) }
  func decodeIfPresent(_ type: String.Type, forKey key: Key) throws -> String? { try optional(type, key) }
  func decodeIfPresent(_ type: Double.Type, forKey key: Key) throws -> Double? { try optional(type, key) }
  func decodeIfPresent(_ type: Float.Type, forKey key: Key) throws -> Float? { try optional(type, key) }
  func decodeIfPresent(_ type: Int.Type, forKey key: Key) throws -> Int? { try optional(type, key) }
  func decodeIfPresent(_ type: Int8.Type, forKey key: Key) throws -> Int8? { try optional(type, key) }
  func decodeIfPresent(_ type: Int16.Type, forKey key: Key) throws -> Int16? { try optional(type, key) }
  func decodeIfPresent(_ type: Int32.Type, forKey key: Key) throws -> Int32? { try optional(type, key) }
  func decodeIfPresent(_ type: Int64.Type, forKey key: Key) throws -> Int64? { try optional(type, key) }
  func decodeIfPresent(_ type: UInt.Type, forKey key: Key) throws -> UInt? { try optional(type, key) }
  func decodeIfPresent(_ type: UInt8.Type, forKey key: Key) throws -> UInt8? { try optional(type, key) }
  func decodeIfPresent(_ type: UInt16.Type, forKey key: Key) throws -> UInt16? { try optional(type, key) }
  func decodeIfPresent(_ type: UInt32.Type, forKey key: Key) throws -> UInt32? { try optional(type, key) }
  func decodeIfPresent(_ type: UInt64.Type, forKey key: Key) throws -> UInt64? { try optional(type, key) }

  private func optional<T: Decodable>(_ type: T.Type, _ key: Key) throws -> T? {
    let value = value(key, type)
    return value.decodeNil() ? nil : try value.decode(type)
  }

  func nestedContainer<Nested: CodingKey>(
    keyedBy type: Nested.Type, forKey key: Key
  ) throws -> KeyedDecodingContainer<Nested> { try value(key, Any.self).container(keyedBy: type) }
  func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
    try value(key, Any.self).unkeyedContainer()
  }
  func superDecoder() throws -> any Decoder { decoder.inside("super") }
  func superDecoder(forKey key: Key) throws -> any Decoder { value(key, Any.self) }
}

/// No elements, or one.
private struct SampleList: UnkeyedDecodingContainer {
  let decoder: SampleDecoder
  var currentIndex = 0

  var codingPath: [any CodingKey] { [] }
  var count: Int? { decoder.isOther && decoder.depth <= 8 ? 1 : 0 }
  var isAtEnd: Bool { currentIndex >= count ?? 0 }

  private mutating func next() -> SampleDecoder {
    currentIndex += 1
    return decoder.inside(nil)
  }

  mutating func decodeNil() throws -> Bool { false }
  mutating func decode<T: Decodable>(_ type: T.Type) throws -> T { try next().decode(type) }
  mutating func nestedContainer<Nested: CodingKey>(
    keyedBy type: Nested.Type
  ) throws -> KeyedDecodingContainer<Nested> { try next().container(keyedBy: type) }
  mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer { try next().unkeyedContainer() }
  mutating func superDecoder() throws -> any Decoder { next() }
}
