import Foundation

/// Encodes a row, or an operand of a query. Dates become ISO 8601 texts, bytes base64.
struct RowEncoder: Encoder {
  /// What has been written so far; encoders and containers of one value share it.
  final class Slot {
    var value: JSONValue?
    var members: [(String, Slot)]?
    var elements: [Slot]?

    func member(_ name: String) -> Slot {
      let slot = Slot()
      if members == nil { members = [] }
      // The last value of a name counts.
      if let index = members?.firstIndex(where: { $0.0 == name }) {
        members?[index].1 = slot
      } else {
        members?.append((name, slot))
      }
      return slot
    }

    func element() -> Slot {
      let slot = Slot()
      elements = (elements ?? []) + [slot]
      return slot
    }

    /// Everything that was written, as one value.
    var whole: JSONValue {
      if let value { return value }
      if let members { return .object(Dictionary(members.map { ($0, $1.whole) }) { $1 }) }
      return .array((elements ?? []).map(\.whole))
    }
  }

  let slot: Slot
  let codingPath: [any CodingKey]
  /// Whether a column that is nil becomes null: so that writing a row over an old one clears it. Deeper down, as in
  /// JavaScript, it is left out.
  let writesNil: Bool
  var userInfo: [CodingUserInfoKey: Any] { [:] }

  private init(slot: Slot, codingPath: [any CodingKey], writesNil: Bool = false) {
    self.slot = slot
    self.codingPath = codingPath
    self.writesNil = writesNil
  }

  /// A value as JSON.
  static func encode(_ value: some Encodable, writesNil: Bool = false) throws -> JSONValue {
    let encoder = RowEncoder(slot: Slot(), codingPath: [], writesNil: writesNil)
    try encoder.encode(value)
    return encoder.slot.value == nil && encoder.slot.members == nil && encoder.slot.elements == nil
      ? .object([:]) : encoder.slot.whole
  }

  /// A row: what does not encode is `INVALID_ARGUMENT`, naming the column.
  static func row(_ value: some Encodable, of table: String, writesNil: Bool) throws -> Data {
    do {
      return try encode(value, writesNil: writesNil).json
    } catch EncodingError.invalidValue(_, let context) {
      throw InterocitorError.invalid("row of \(table)", describe(context))
    }
  }

  /// An operand of a query, or the value of a column.
  static func operand(_ value: some Encodable, for column: String) throws -> JSONValue {
    do { return try encode(value) } catch EncodingError.invalidValue(_, let context) {
      throw InterocitorError.invalid("value for \(column)", describe(context))
    }
  }

  private static func describe(_ context: EncodingError.Context) -> String {
    let place = context.codingPath.map(\.stringValue).joined(separator: ".")
    return place.isEmpty ? context.debugDescription : "column \(place): \(context.debugDescription)"
  }

  func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
    if slot.members == nil { slot.members = [] }
    return KeyedEncodingContainer(KeyedSlots<Key>(encoder: self))
  }

  func unkeyedContainer() -> any UnkeyedEncodingContainer {
    if slot.elements == nil { slot.elements = [] }
    return SlotList(encoder: self)
  }

  func singleValueContainer() -> any SingleValueEncodingContainer { self }

  fileprivate func nested(_ slot: Slot, _ key: any CodingKey) -> RowEncoder {
    RowEncoder(slot: slot, codingPath: codingPath + [key])
  }

  fileprivate func refused(_ value: Any, _ why: String) -> EncodingError {
    .invalidValue(value, .init(codingPath: codingPath, debugDescription: why))
  }
}

extension RowEncoder: SingleValueEncodingContainer {
  func encodeNil() { slot.value = .null }

  func encode<T: Encodable>(_ value: T) throws {
    switch value {
    case let value as Bool: slot.value = .bool(value)
    case let value as String: slot.value = .string(value)
    case let value as Int: slot.value = .integer(Int64(value))
    case let value as Double:
      guard value.isFinite else { throw refused(value, "JSON has no number for \(value)") }
      slot.value = .number(value)
    case let value as JSONValue:
      try check(value)
      slot.value = value
    case let value as Date:
      guard let text = ISODate.text(value) else { throw refused(value, "the year of a date must be 0 to 9999") }
      slot.value = .string(text)
    case let value as Data: slot.value = .string(value.base64EncodedString())
    case let value as URL: slot.value = .string(value.absoluteString)
    case let value as Float: try encode(Double(value))
    case let value as any FixedWidthInteger:
      guard let whole = Int64(exactly: value) else { throw refused(value, "the number is beyond 64 bits with a sign") }
      slot.value = .integer(whole)
    case let value as Decimal:
      guard let number = Double("\(value)"), number.isFinite else { throw refused(value, "it is no number") }
      slot.value = .number(number)
    default: try value.encode(to: self)
    }
  }

  /// JSON has no infinite numbers.
  private func check(_ value: JSONValue) throws {
    switch value {
    case .number(let number) where !number.isFinite: throw refused(number, "JSON has no number for \(number)")
    case .array(let values): try values.forEach(check)
    case .object(let members): try members.values.forEach(check)
    default: break
    }
  }
}

private struct KeyedSlots<Key: CodingKey>: KeyedEncodingContainerProtocol {
  let encoder: RowEncoder
  var codingPath: [any CodingKey] { encoder.codingPath }

  private func nested(_ key: any CodingKey) -> RowEncoder {
    encoder.nested(encoder.slot.member(key.stringValue), key)
  }

  private func optional(_ value: (some Encodable)?, _ key: Key) throws {
    if let value {
      try nested(key).encode(value)
    } else if encoder.writesNil {
      nested(key).encodeNil()
    }
  }

  func encodeNil(forKey key: Key) throws { nested(key).encodeNil() }
  func encode<T: Encodable>(_ value: T, forKey key: Key) throws { try nested(key).encode(value) }

  // Each by itself: for those that are not spelled out, the library leaves nil out.
  func encodeIfPresent(_ value: Bool?, forKey key: Key) throws { try optional(value, key) }
  func encodeIfPresent(_ value: String?, forKey key: Key) throws { try optional(value, key) }
  func encodeIfPresent(_ value: Double?, forKey key: Key) throws { try optional(value, key) }
  func encodeIfPresent(_ value: Float?, forKey key: Key) throws { try optional(value, key) }
  func encodeIfPresent(_ value: Int?, forKey key: Key) throws { try optional(value, key) }
  func encodeIfPresent(_ value: Int8?, forKey key: Key) throws { try optional(value, key) }
  func encodeIfPresent(_ value: Int16?, forKey key: Key) throws { try optional(value, key) }
  func encodeIfPresent(_ value: Int32?, forKey key: Key) throws { try optional(value, key) }
  func encodeIfPresent(_ value: Int64?, forKey key: Key) throws { try optional(value, key) }
  func encodeIfPresent(_ value: UInt?, forKey key: Key) throws { try optional(value, key) }
  func encodeIfPresent(_ value: UInt8?, forKey key: Key) throws { try optional(value, key) }
  func encodeIfPresent(_ value: UInt16?, forKey key: Key) throws { try optional(value, key) }
  func encodeIfPresent(_ value: UInt32?, forKey key: Key) throws { try optional(value, key) }
  func encodeIfPresent(_ value: UInt64?, forKey key: Key) throws { try optional(value, key) }
  func encodeIfPresent<T: Encodable>(_ value: T?, forKey key: Key) throws { try optional(value, key) }

  func nestedContainer<Nested: CodingKey>(
    keyedBy type: Nested.Type, forKey key: Key
  ) -> KeyedEncodingContainer<Nested> { nested(key).container(keyedBy: type) }

  func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer { nested(key).unkeyedContainer() }
  func superEncoder() -> any Encoder { nested(AnyKey(stringValue: "super")) }
  func superEncoder(forKey key: Key) -> any Encoder { nested(key) }
}

private struct SlotList: UnkeyedEncodingContainer {
  let encoder: RowEncoder
  var codingPath: [any CodingKey] { encoder.codingPath }
  var count: Int { encoder.slot.elements?.count ?? 0 }

  private func next() -> RowEncoder { encoder.nested(encoder.slot.element(), AnyKey(intValue: count)) }

  func encodeNil() throws { next().encodeNil() }
  func encode<T: Encodable>(_ value: T) throws { try next().encode(value) }
  func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type) -> KeyedEncodingContainer<Nested> {
    next().container(keyedBy: type)
  }
  func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer { next().unkeyedContainer() }
  func superEncoder() -> any Encoder { next() }
}
