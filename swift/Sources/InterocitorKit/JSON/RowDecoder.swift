import Foundation

/// Decodes a row from its place in a page. Dates are ISO 8601 texts (numbers are read as milliseconds since 1970), bytes
/// are base64. Names that the type does not know are passed over.
struct RowDecoder: Decoder {
  let text: JSONText
  let range: Range<Int>
  let path: CodingPath?

  var codingPath: [any CodingKey] { path?.keys ?? [] }
  var userInfo: [CodingUserInfoKey: Any] { [:] }

  init(_ text: JSONText, _ range: Range<Int>, path: CodingPath? = nil) {
    self.text = text
    self.range = range
    self.path = path
  }

  /// Any type at all.
  func decode<T: Decodable>(_ type: T.Type) throws -> T {
    if T.self == Date.self { return try date() as! T }
    if T.self == Data.self { return try data() as! T }
    if T.self == URL.self { return try url() as! T }
    if T.self == Decimal.self { return try decimal() as! T }
    if T.self == JSONObject.self, case .object(let object) = try text.value(range, path: path) { return object as! T }
    return try T(from: self)
  }

  func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
    guard text.first(range) == UInt8(ascii: "{") else { throw mismatch([String: Any].self, "an object") }
    return KeyedDecodingContainer(try KeyedValues<Key>(self))
  }

  func unkeyedContainer() throws -> any UnkeyedDecodingContainer {
    guard text.first(range) == UInt8(ascii: "[") else { throw mismatch([Any].self, "an array") }
    return ValueList(decoder: self, elements: try text.elements(of: range))
  }

  func singleValueContainer() throws -> any SingleValueDecodingContainer { self }

  func nested(_ range: Range<Int>, _ key: any CodingKey) -> RowDecoder {
    RowDecoder(text, range, path: CodingPath(key, in: path))
  }

  // MARK: single values

  func bool() throws -> Bool {
    guard let value = text.bool(range) else { throw mismatch(Bool.self, "true or false") }
    return value
  }

  func string() throws -> String {
    guard let value = text.string(range) else { throw mismatch(String.self, "a text") }
    return value
  }

  func double() throws -> Double {
    guard let value = text.double(range), value.isFinite else { throw mismatch(Double.self, "a number") }
    return value
  }

  func integer<I: FixedWidthInteger>() throws -> I {
    guard text.double(range) != nil else { throw mismatch(I.self, "a whole number") }
    guard let value: I = text.integer(range) else { throw corrupted("the number does not fit into \(I.self)") }
    return value
  }

  private func date() throws -> Date {
    if let milliseconds = text.double(range) { return Date(timeIntervalSince1970: milliseconds / 1000) }
    guard let date = ISODate.date(try string()) else { throw corrupted("the text is no ISO 8601 date") }
    return date
  }

  private func data() throws -> Data {
    guard let data = Data(base64Encoded: try string()) else { throw corrupted("the text is no base64") }
    return data
  }

  private func url() throws -> URL {
    guard let url = URL(string: try string()) else { throw corrupted("the text is no URL") }
    return url
  }

  private func decimal() throws -> Decimal {
    let digits = String(decoding: text.buffer(range), as: UTF8.self)
    guard text.double(range) != nil, let value = Decimal(string: digits, locale: Locale(identifier: "en_US_POSIX"))
    else { throw mismatch(Decimal.self, "a number") }
    return value
  }

  // MARK: failures

  /// What stands there instead. Its kind only: values are never told.
  private var found: String {
    switch text.first(range) {
    case UInt8(ascii: "n"): "null"
    case UInt8(ascii: "t"), UInt8(ascii: "f"): "true or false"
    case UInt8(ascii: "\""): "a text"
    case UInt8(ascii: "["): "an array"
    case UInt8(ascii: "{"): "an object"
    default: "a number"
    }
  }

  func mismatch(_ type: Any.Type, _ expected: String) -> DecodingError {
    let context = DecodingError.Context(
      codingPath: codingPath, debugDescription: "expected was \(expected), found was \(found)")
    return text.isNull(range) ? .valueNotFound(type, context) : .typeMismatch(type, context)
  }

  func corrupted(_ what: String) -> DecodingError {
    .dataCorrupted(.init(codingPath: codingPath, debugDescription: what))
  }
}

extension RowDecoder: SingleValueDecodingContainer {
  func decodeNil() -> Bool { text.isNull(range) }
  func decode(_ type: Bool.Type) throws -> Bool { try bool() }
  func decode(_ type: String.Type) throws -> String { try string() }
  func decode(_ type: Double.Type) throws -> Double { try double() }
  func decode(_ type: Float.Type) throws -> Float { Float(try double()) }
  func decode(_ type: Int.Type) throws -> Int { try integer() }
  func decode(_ type: Int8.Type) throws -> Int8 { try integer() }
  func decode(_ type: Int16.Type) throws -> Int16 { try integer() }
  func decode(_ type: Int32.Type) throws -> Int32 { try integer() }
  func decode(_ type: Int64.Type) throws -> Int64 { try integer() }
  func decode(_ type: UInt.Type) throws -> UInt { try integer() }
  func decode(_ type: UInt8.Type) throws -> UInt8 { try integer() }
  func decode(_ type: UInt16.Type) throws -> UInt16 { try integer() }
  func decode(_ type: UInt32.Type) throws -> UInt32 { try integer() }
  func decode(_ type: UInt64.Type) throws -> UInt64 { try integer() }
}

/// The members of an object.
private final class KeyedValues<Key: CodingKey>: KeyedDecodingContainerProtocol {
  private let decoder: RowDecoder
  private let members: [JSONText.Member]
  /// Members mostly come in one order: where the next one is looked for first.
  private var expected = 0

  init(_ decoder: RowDecoder) throws {
    self.decoder = decoder
    var members: [JSONText.Member] = []
    members.reserveCapacity(8)
    try decoder.text.members(of: decoder.range, into: &members)
    self.members = members
  }

  var codingPath: [any CodingKey] { decoder.codingPath }
  var allKeys: [Key] { members.compactMap { Key(stringValue: decoder.text.name($0)) } }

  private func find(_ key: Key) -> Range<Int>? {
    var name = key.stringValue
    let text = decoder.text
    let found: Int? = name.withUTF8 { name in
      for step in 0..<members.count {
        let index = expected + step < members.count ? expected + step : expected + step - members.count
        let member = members[index]
        if member.isNameEscaped {
          if text.name(member).utf8.elementsEqual(name) { return index }
        } else if member.name.count == name.count,
          name.isEmpty || memcmp(text.buffer(member.name).baseAddress!, name.baseAddress!, name.count) == 0
        {
          return index
        }
      }
      return nil
    }
    guard let found else { return nil }
    expected = found + 1 == members.count ? 0 : found + 1
    return members[found].value
  }

  private func value(_ key: Key) throws -> RowDecoder {
    guard let range = find(key) else {
      throw DecodingError.keyNotFound(key, .init(codingPath: codingPath + [key], debugDescription: "it is missing"))
    }
    return RowDecoder(decoder.text, range, path: decoder.path)
  }

  /// Runs a read, and tells where it was if it fails. The path is made only then.
  private func read<T>(_ key: Key, _ read: (RowDecoder) throws -> T) throws -> T {
    let value = try value(key)
    do { return try read(value) } catch is DecodingError { return try read(decoder.nested(value.range, key)) }
  }

  private func optional<T>(_ key: Key, _ read: (RowDecoder) throws -> T) throws -> T? {
    guard let range = find(key), !decoder.text.isNull(range) else { return nil }
    let value = RowDecoder(decoder.text, range, path: decoder.path)
    do { return try read(value) } catch is DecodingError { return try read(decoder.nested(range, key)) }
  }

  func contains(_ key: Key) -> Bool { find(key) != nil }
  func decodeNil(forKey key: Key) throws -> Bool { find(key).map(decoder.text.isNull) ?? true }

  func decode(_ type: Bool.Type, forKey key: Key) throws -> Bool { try read(key) { try $0.bool() } }
  func decode(_ type: String.Type, forKey key: Key) throws -> String { try read(key) { try $0.string() } }
  func decode(_ type: Double.Type, forKey key: Key) throws -> Double { try read(key) { try $0.double() } }
  func decode(_ type: Float.Type, forKey key: Key) throws -> Float { try read(key) { Float(try $0.double()) } }
  func decode(_ type: Int.Type, forKey key: Key) throws -> Int { try read(key) { try $0.integer() } }
  func decode(_ type: Int8.Type, forKey key: Key) throws -> Int8 { try read(key) { try $0.integer() } }
  func decode(_ type: Int16.Type, forKey key: Key) throws -> Int16 { try read(key) { try $0.integer() } }
  func decode(_ type: Int32.Type, forKey key: Key) throws -> Int32 { try read(key) { try $0.integer() } }
  func decode(_ type: Int64.Type, forKey key: Key) throws -> Int64 { try read(key) { try $0.integer() } }
  func decode(_ type: UInt.Type, forKey key: Key) throws -> UInt { try read(key) { try $0.integer() } }
  func decode(_ type: UInt8.Type, forKey key: Key) throws -> UInt8 { try read(key) { try $0.integer() } }
  func decode(_ type: UInt16.Type, forKey key: Key) throws -> UInt16 { try read(key) { try $0.integer() } }
  func decode(_ type: UInt32.Type, forKey key: Key) throws -> UInt32 { try read(key) { try $0.integer() } }
  func decode(_ type: UInt64.Type, forKey key: Key) throws -> UInt64 { try read(key) { try $0.integer() } }

  func decode<T: Decodable>(_ type: T.Type, forKey key: Key) throws -> T { try read(key) { try $0.decode(type) } }

  func decodeIfPresent(_ type: Bool.Type, forKey key: Key) throws -> Bool? { try optional(key) { try $0.bool() } }
  func decodeIfPresent(_ type: String.Type, forKey key: Key) throws -> String? { try optional(key) { try $0.string() } }
  func decodeIfPresent(_ type: Double.Type, forKey key: Key) throws -> Double? { try optional(key) { try $0.double() } }
  func decodeIfPresent(_ type: Int.Type, forKey key: Key) throws -> Int? { try optional(key) { try $0.integer() } }
  func decodeIfPresent<T: Decodable>(_ type: T.Type, forKey key: Key) throws -> T? {
    try optional(key) { try $0.decode(type) }
  }

  private func nested(_ key: Key) throws -> RowDecoder { decoder.nested(try value(key).range, key) }

  func nestedContainer<Nested: CodingKey>(
    keyedBy type: Nested.Type, forKey key: Key
  ) throws -> KeyedDecodingContainer<Nested> { try nested(key).container(keyedBy: type) }

  func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
    try nested(key).unkeyedContainer()
  }

  func superDecoder() throws -> any Decoder {
    guard let key = Key(stringValue: "super") else { throw decoder.corrupted("it has no place for a superclass") }
    return try nested(key)
  }

  func superDecoder(forKey key: Key) throws -> any Decoder { try nested(key) }
}

/// The values in an array.
private struct ValueList: UnkeyedDecodingContainer {
  let decoder: RowDecoder
  let elements: [Range<Int>]
  var currentIndex = 0

  var codingPath: [any CodingKey] { decoder.codingPath }
  var count: Int? { elements.count }
  var isAtEnd: Bool { currentIndex >= elements.count }

  private func current() throws -> RowDecoder {
    let key = AnyKey(intValue: currentIndex)
    guard !isAtEnd else {
      throw DecodingError.valueNotFound(
        Any.self, .init(codingPath: codingPath + [key], debugDescription: "the array has no more elements"))
    }
    return decoder.nested(elements[currentIndex], key)
  }

  mutating func decodeNil() throws -> Bool {
    guard try current().decodeNil() else { return false }
    currentIndex += 1
    return true
  }

  mutating func decode<T: Decodable>(_ type: T.Type) throws -> T {
    let value = try current().decode(type)
    currentIndex += 1
    return value
  }

  mutating func nestedContainer<Nested: CodingKey>(
    keyedBy type: Nested.Type
  ) throws -> KeyedDecodingContainer<Nested> {
    let container = try current().container(keyedBy: type)
    currentIndex += 1
    return container
  }

  mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer {
    let container = try current().unkeyedContainer()
    currentIndex += 1
    return container
  }

  mutating func superDecoder() throws -> any Decoder {
    let decoder = try current()
    currentIndex += 1
    return decoder
  }
}
