import Foundation

/// JSON text that values are read from in place: no tree is built of a page of rows.
///
/// The text comes from the engine, so it is JSON; all the same nothing is read beyond its end, and what is no JSON
/// throws.
final class JSONText: @unchecked Sendable {
  // Written once, in `init`. A zero, which no JSON holds outside of strings, stands behind the end.
  private let bytes: UnsafeMutablePointer<UInt8>
  private let count: Int

  /// One member of an object: where its name and its value stand.
  struct Member {
    var name: Range<Int>
    var isNameEscaped: Bool
    var value: Range<Int>
  }

  init(_ data: Data) {
    count = data.count
    bytes = .allocate(capacity: count + 1)
    data.copyBytes(to: bytes, count: count)
    bytes[count] = 0
  }

  deinit { bytes.deallocate() }

  /// The first byte of a value.
  func first(_ range: Range<Int>) -> UInt8 { bytes[range.lowerBound] }

  func isNull(_ range: Range<Int>) -> Bool { first(range) == UInt8(ascii: "n") }

  /// The bytes of a range. Valid as long as this object lives.
  func buffer(_ range: Range<Int>) -> UnsafeBufferPointer<UInt8> {
    UnsafeBufferPointer(start: bytes + range.lowerBound, count: range.count)
  }

  // MARK: scanning

  /// The one value that the text is.
  func whole() throws -> Range<Int> {
    let start = afterSpace(0)
    let end = try afterValue(start)
    guard afterSpace(end) == count else { throw broken("there is more behind its end") }
    return start..<end
  }

  private func afterSpace(_ start: Int) -> Int {
    var at = start
    while bytes[at] == 0x20 || (bytes[at] >= 0x09 && bytes[at] <= 0x0d) { at += 1 }
    return at
  }

  /// Behind the string that begins at `start`, and whether it holds escapes.
  private func afterString(_ start: Int) throws -> (end: Int, isEscaped: Bool) {
    var at = start + 1
    var isEscaped = false
    while true {
      switch bytes[at] {
      case UInt8(ascii: "\""): return (at + 1, isEscaped)
      case UInt8(ascii: "\\"):
        isEscaped = true
        guard at + 1 < count else { throw broken("a string has no end") }
        at += 2
      case 0:
        throw broken("a string has no end")
      default: at += 1
      }
    }
  }

  /// Behind the value that begins at `start`.
  private func afterValue(_ start: Int) throws -> Int {
    switch bytes[start] {
    case UInt8(ascii: "\""): return try afterString(start).end
    case UInt8(ascii: "{"), UInt8(ascii: "["):
      var at = start
      var depth = 0
      repeat {
        switch bytes[at] {
        case UInt8(ascii: "{"), UInt8(ascii: "["):
          depth += 1
          at += 1
        case UInt8(ascii: "}"), UInt8(ascii: "]"):
          depth -= 1
          at += 1
        case UInt8(ascii: "\""): at = try afterString(at).end
        case 0: throw broken("it has no end")
        default: at += 1
        }
      } while depth > 0
      return at
    default:
      var at = start
      while true {
        switch bytes[at] {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "+"),
          UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "E"):
          at += 1
        default:
          guard at > start else { throw broken("a value is missing") }
          return at
        }
      }
    }
  }

  /// The members of an object, appended to `members`.
  func members(of range: Range<Int>, into members: inout [Member]) throws {
    guard first(range) == UInt8(ascii: "{") else { throw broken("it is no object") }
    var at = afterSpace(range.lowerBound + 1)
    if bytes[at] == UInt8(ascii: "}") { return }
    while true {
      guard bytes[at] == UInt8(ascii: "\"") else { throw broken("a name is missing") }
      let name = try afterString(at)
      let colon = afterSpace(name.end)
      guard bytes[colon] == UInt8(ascii: ":") else { throw broken("a colon is missing") }
      let start = afterSpace(colon + 1)
      let end = try afterValue(start)
      members.append(Member(name: at + 1..<name.end - 1, isNameEscaped: name.isEscaped, value: start..<end))
      let next = afterSpace(end)
      if bytes[next] == UInt8(ascii: "}") { return }
      guard bytes[next] == UInt8(ascii: ",") else { throw broken("a comma is missing") }
      at = afterSpace(next + 1)
    }
  }

  /// The values in an array.
  func elements(of range: Range<Int>) throws -> [Range<Int>] {
    guard first(range) == UInt8(ascii: "[") else { throw broken("it is no array") }
    var found: [Range<Int>] = []
    var at = afterSpace(range.lowerBound + 1)
    if bytes[at] == UInt8(ascii: "]") { return found }
    while true {
      let end = try afterValue(at)
      found.append(at..<end)
      let next = afterSpace(end)
      if bytes[next] == UInt8(ascii: "]") { return found }
      guard bytes[next] == UInt8(ascii: ",") else { throw broken("a comma is missing") }
      at = afterSpace(next + 1)
    }
  }

  // MARK: values

  /// The name of a member.
  func name(_ member: Member) -> String {
    member.isNameEscaped ? unescaped(member.name) : String(decoding: buffer(member.name), as: UTF8.self)
  }

  /// A string, or nil where the value is something else.
  func string(_ range: Range<Int>) -> String? {
    guard first(range) == UInt8(ascii: "\""), range.count >= 2 else { return nil }
    let inner = buffer(range.lowerBound + 1..<range.upperBound - 1)
    // memchr looks at many bytes at a time.
    guard inner.count > 0, memchr(inner.baseAddress!, Int32(UInt8(ascii: "\\")), inner.count) != nil else {
      return String(decoding: inner, as: UTF8.self)
    }
    return unescaped(range.lowerBound + 1..<range.upperBound - 1)
  }

  /// A whole number that fits, or nil. 1.0 and 1e3 are whole numbers too.
  func integer<I: FixedWidthInteger>(_ range: Range<Int>) -> I? {
    let digits = buffer(range)
    let isNegative = digits[0] == UInt8(ascii: "-")
    guard digits.count > (isNegative ? 1 : 0) else { return nil }
    var value: I = 0
    for byte in digits.dropFirst(isNegative ? 1 : 0) {
      guard byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") else {
        return double(range).flatMap { I(exactly: $0) }
      }
      let (shifted, overflows) = value.multipliedReportingOverflow(by: 10)
      let digit = I(truncatingIfNeeded: byte - UInt8(ascii: "0"))
      let (next, overflowsToo) =
        isNegative ? shifted.subtractingReportingOverflow(digit) : shifted.addingReportingOverflow(digit)
      if overflows || overflowsToo { return nil }
      value = next
    }
    return value
  }

  /// A number, or nil where the value is something else.
  func double(_ range: Range<Int>) -> Double? {
    let text = buffer(range)
    guard text[0] == UInt8(ascii: "-") || (text[0] >= UInt8(ascii: "0") && text[0] <= UInt8(ascii: "9")) else {
      return nil
    }
    // Up to 15 digits are exact in a double.
    if text.count <= 15, text.allSatisfy({ $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }) {
      return Double(text.reduce(0) { $0 * 10 + Int64($1 - UInt8(ascii: "0")) })
    }
    return Double(String(decoding: text, as: UTF8.self))
  }

  /// A truth value, or nil where the value is something else.
  func bool(_ range: Range<Int>) -> Bool? {
    switch first(range) {
    case UInt8(ascii: "t"): true
    case UInt8(ascii: "f"): false
    default: nil
    }
  }

  /// The value as a tree.
  func value(_ range: Range<Int>, path: CodingPath? = nil) throws -> JSONValue {
    switch first(range) {
    case UInt8(ascii: "n") where buffer(range).elementsEqual("null".utf8): return .null
    case UInt8(ascii: "t") where buffer(range).elementsEqual("true".utf8): return .bool(true)
    case UInt8(ascii: "f") where buffer(range).elementsEqual("false".utf8): return .bool(false)
    case UInt8(ascii: "\""): return .string(string(range) ?? "")
    case UInt8(ascii: "["): return .array(try elements(of: range).map { try value($0, path: path) })
    case UInt8(ascii: "{"):
      var found: [Member] = []
      try members(of: range, into: &found)
      var object: JSONObject = [:]
      object.reserveCapacity(found.count)
      for member in found { object[name(member)] = try value(member.value, path: path) }
      return .object(object)
    default:
      if let whole: Int64 = integer(range) { return .integer(whole) }
      // What is beyond a double stays the largest one: no number of JSON is infinite.
      guard let number = double(range) else { throw broken("it is no value", at: path) }
      return .number(number.isFinite ? number : (number < 0 ? -1 : 1) * .greatestFiniteMagnitude)
    }
  }

  private func unescaped(_ range: Range<Int>) -> String {
    var units: [UInt8] = []
    units.reserveCapacity(range.count)
    var at = range.lowerBound
    while at < range.upperBound {
      guard bytes[at] == UInt8(ascii: "\\") else {
        units.append(bytes[at])
        at += 1
        continue
      }
      switch bytes[at + 1] {
      case UInt8(ascii: "b"): units.append(8)
      case UInt8(ascii: "f"): units.append(12)
      case UInt8(ascii: "n"): units.append(10)
      case UInt8(ascii: "r"): units.append(13)
      case UInt8(ascii: "t"): units.append(9)
      case UInt8(ascii: "u"):
        let (scalar, length) = escapedScalar(at, before: range.upperBound)
        units += String(scalar).utf8
        at += length
        continue
      default: units.append(bytes[at + 1])
      }
      at += 2
    }
    return String(decoding: units, as: UTF8.self)
  }

  /// The character of `\uXXXX` at `at`, or of two that are a surrogate pair, and how long they are.
  private func escapedScalar(_ at: Int, before end: Int) -> (Unicode.Scalar, Int) {
    func unit(_ at: Int) -> UInt32? {
      guard at + 6 <= end, bytes[at] == UInt8(ascii: "\\"), bytes[at + 1] == UInt8(ascii: "u") else { return nil }
      return UInt32(String(decoding: buffer(at + 2..<at + 6), as: UTF8.self), radix: 16)
    }
    guard let high = unit(at) else { return ("\u{fffd}", min(6, end - at)) }
    if let scalar = Unicode.Scalar(high) { return (scalar, 6) }
    if high < 0xdc00, let low = unit(at + 6), low >= 0xdc00, low < 0xe000,
      let scalar = Unicode.Scalar(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00))
    {
      return (scalar, 12)
    }
    return ("\u{fffd}", 6)
  }

  private func broken(_ what: String, at path: CodingPath? = nil) -> DecodingError {
    .dataCorrupted(.init(codingPath: path?.keys ?? [], debugDescription: "the text is no JSON: \(what)"))
  }
}

/// Where in a row something stands. A list from the end, made only where there is something deeper.
final class CodingPath: @unchecked Sendable {
  private let key: any CodingKey
  private let parent: CodingPath?

  init(_ key: any CodingKey, in parent: CodingPath?) {
    self.key = key
    self.parent = parent
  }

  var keys: [any CodingKey] { (parent?.keys ?? []) + [key] }
}

/// A key of any name, or a place in an array.
struct AnyKey: CodingKey {
  let stringValue: String
  let intValue: Int?

  init(stringValue: String) { (self.stringValue, intValue) = (stringValue, nil) }
  init(intValue: Int) { (stringValue, self.intValue) = (String(intValue), intValue) }
}
