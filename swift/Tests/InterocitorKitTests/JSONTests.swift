import Foundation
import Testing

@testable import InterocitorKit

/// The decoder and encoder of rows, which are ours: Foundation's refuses a whole page for one odd character.
@Suite struct JSONTests {
  private func decode<T: Decodable>(_ type: T.Type, _ json: String) throws -> T {
    let text = JSONText(Data(json.utf8))
    return try RowDecoder(text, try text.whole()).decode(type)
  }

  @Test func numbers() throws {
    #expect(try decode([Int].self, "[0, -1, 1.0, 1e3, 9223372036854775807, -9223372036854775808]")
      == [0, -1, 1, 1000, .max, .min])
    #expect(try decode([UInt8].self, "[0,255]") == [0, 255])
    #expect(try decode([UInt64].self, "[18446744073709551615]") == [.max])
    #expect(try decode([Double].self, "[1,-2.5,1e-7,0.1,123456789012345678]")
      == [1, -2.5, 1e-7, 0.1, 1.2345678901234568e17])
    #expect(try decode([Double].self, "[-0]")[0].sign == .minus || decode([Double].self, "[-0]")[0] == 0)
    #expect(try decode([Float].self, "[0.5]") == [0.5])
    #expect(try decode([Decimal].self, "[0.1,12345678901234567890.12]") == [Decimal(string: "0.1")!, Decimal(string: "12345678901234567890.12")!])
    for bad in ["256", "-1", "1.5", "true", "\"1\"", "null", "[]"] {
      #expect(throws: DecodingError.self) { try decode(UInt8.self, bad) }
    }
    #expect(throws: DecodingError.self) { try decode(Int.self, "9223372036854775808") }
    #expect(throws: DecodingError.self) { try decode(Double.self, "1e999") }
  }

  @Test func texts() throws {
    #expect(try decode([String].self, #"["", "a", "é\u00e9\ud83e\udd80", "\"\\\/\b\f\n\r\t", "\u0000"]"#)
      == ["", "a", "éé\u{1f980}", "\"\\/\u{8}\u{c}\n\r\t", "\0"])
    #expect(try decode([String].self, #"["\ud800", "a\udc00b", "\ud800\ud800", "\ud83eX"]"#)
      == ["\u{fffd}", "a\u{fffd}b", "\u{fffd}\u{fffd}", "\u{fffd}X"])
    #expect(throws: DecodingError.self) { try decode(String.self, "1") }
  }

  struct Named: Codable, Equatable {
    var a = 0, b = 0
    var c: String?
    enum CodingKeys: String, CodingKey { case a, b = "b \"quoted\"", c = "é" }
  }

  @Test func membersInAnyOrderAndNamesWithEscapes() throws {
    #expect(try decode(Named.self, #"{"é":"x","b \"quoted\"":2,"more":{"a":9},"a":1}"#) == Named(a: 1, b: 2, c: "x"))
    #expect(try decode(Named.self, #"{"\u0061":1,"b \u0022quoted\"":2,"\u00e9":null}"#) == Named(a: 1, b: 2))
    #expect(throws: DecodingError.self) { try decode(Named.self, #"{"a":1}"#) }
    #expect(throws: DecodingError.self) { try decode(Named.self, "[]") }
  }

  @Test func deepValuesSayWhereTheyAre() throws {
    struct Deep: Decodable { var list: [[String: Int]] }
    do {
      _ = try decode(Deep.self, #"{"list":[{"x":1},{"y":"no"}]}"#)
      Issue.record("it was read")
    } catch DecodingError.typeMismatch(_, let context) {
      #expect(context.codingPath.map(\.stringValue) == ["list", "1", "y"])
    }
  }

  @Test func datesBytesAndAddresses() throws {
    let dates = [
      ("2026-01-02T03:04:05.678Z", 1_767_323_045.678), ("1970-01-01T00:00:00.000Z", 0),
      ("1969-12-31T23:59:59.999Z", -0.001), ("2000-02-29T12:00:00.000Z", 951_825_600),
      ("0000-01-01T00:00:00.000Z", -62_167_219_200), ("9999-12-31T23:59:59.999Z", 253_402_300_799.999),
    ]
    for (text, seconds) in dates {
      #expect(try decode(Date.self, "\"\(text)\"") == Date(timeIntervalSince1970: seconds))
      #expect(try RowEncoder.encode(Date(timeIntervalSince1970: seconds)) == .string(text))
    }
    #expect(try decode(Date.self, "1500").timeIntervalSince1970 == 1.5)
    #expect(try decode(Date.self, "\"2026-01-02\"").timeIntervalSince1970 == 1_767_312_000)
    #expect(try decode(Date.self, "\"2026-01-02T05:04+02:00\"").timeIntervalSince1970 == 1_767_323_040)
    #expect(try decode(Date.self, "\"2026-01-02T01:34:00-01:30\"").timeIntervalSince1970 == 1_767_323_040)
    for bad in ["soon", "2026-13-01", "2025-02-29", "2026-01-02T25:00Z", "2026-01-02T03:04:05", "2026-01-02T03:04Zx", ""] {
      #expect(throws: DecodingError.self, "\(bad)") { try decode(Date.self, "\"\(bad)\"") }
    }
    #expect(try decode(Data.self, "\"AQID\"") == Data([1, 2, 3]))
    #expect(throws: DecodingError.self) { try decode(Data.self, "\"?\"") }
    #expect(try decode(URL.self, #""https:\/\/example.org/a""#) == URL(string: "https://example.org/a"))
    #expect(throws: EncodingError.self) { try RowEncoder.encode(Date(timeIntervalSince1970: 1e12)) }
  }

  @Test func everyDayOfFourCenturiesIsTheSameAsThePlatformHasIt() throws {
    let platform = ISO8601DateFormatter()
    for day in stride(from: -60_000, to: 90_000, by: 37) {
      let date = Date(timeIntervalSince1970: Double(day) * 86_400 + 12_345)
      let text = try #require(ISODate.text(date))
      #expect(platform.date(from: text.replacingOccurrences(of: ".000Z", with: "Z")) == date, "\(text)")
      #expect(ISODate.date(text) == date)
    }
  }

  @Test func whatIsNoJSONIsRefused() {
    for bad in [
      "", " ", "{", "[", "[1", "[1,", "[1,]", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,}", "{a:1}", "\"", "\"\\", "[1]]",
      "1 2", "nul", "[1 2]", "{\"a\" 1}", "-", "+", "[\"a\u{0}\"]",
    ] {
      #expect(throws: (any Error).self, "\(bad)") { try JSONValue(json: Data(bad.utf8)) }
    }
    // Every beginning of a page ends in an error, never beyond its bytes.
    let page = Data(#"[{"id":"a","row":{"title":"x\ud83e\udd80","n":[1.5e3,{"b":null}]}}]"#.utf8)
    for length in 0..<page.count {
      #expect(throws: (any Error).self) { try RowPage(page.prefix(length), of: "t").rows(JSONValue.self) }
    }
  }

  @Test func valuesAreEqualByMeaning() throws {
    #expect(try JSONValue(json: Data(#" {"a" : [ 1.0 , "x" , null , true ] , "b":{}} "#.utf8))
      == ["b": [:], "a": [1, "x", nil, true]])
    #expect(JSONValue.number(1).hashValue == JSONValue.integer(1).hashValue)
    #expect(JSONValue.integer(1) != "1" && JSONValue.integer(1) != true && JSONValue.bool(false) != nil)
    #expect(JSONValue.string("e\u{301}") != .string("é"))
    #expect(JSONValue.number(0.5) != 0 && JSONValue.number(-0.0) == 0)
    #expect(try JSONValue(json: Data("1e999".utf8)).double == .greatestFiniteMagnitude)
  }

  @Test func valuesAreReadByKind() throws {
    let value: JSONValue = ["s": "x", "b": true, "i": 3, "d": 1.5, "a": [1], "o": ["k": nil]]
    #expect(value["s"]?.string == "x" && value["b"]?.bool == true && value["i"]?.int == 3 && value["d"]?.double == 1.5)
    #expect(value["a"]?.array == [1] && value["o"]?.object == ["k": nil] && value["o"]?["k"]?.isNull == true)
    #expect(value["s"]?.int == nil && value["i"]?.string == nil && value["i"]?.double == 3 && value["d"]?.int == nil)
    #expect(try JSONValue(encoding: Named(a: 1, b: 2)) == ["a": 1, "b \"quoted\"": 2])
  }

  @Test func valuesPassThroughFoundation() throws {
    let value: JSONValue = ["s": "x", "b": true, "i": 3, "d": 1.5, "a": [1, nil], "o": ["k": "v"]]
    #expect(try JSONDecoder().decode(JSONValue.self, from: JSONEncoder().encode(value)) == value)
  }

  @Test func textIsWrittenAsJSONHasIt() throws {
    let value: JSONValue = ["b": 1, "a": "\u{1}\n\"\\/é\u{1f980}", "c": .number(1e21), "d": .number(2.0)]
    #expect(String(decoding: value.json, as: UTF8.self) == #"{"a":"\u0001\u000a\"\\/é"# + "\u{1f980}" + #"","b":1,"c":1e+21,"d":2}"#)
    #expect(try JSONValue(json: value.json) == value)
  }

  @Test func whatJSONCannotSayIsRefused() {
    #expect(throws: EncodingError.self) { try RowEncoder.encode(Double.nan) }
    #expect(throws: EncodingError.self) { try RowEncoder.encode([Float.infinity]) }
    #expect(throws: EncodingError.self) { try RowEncoder.encode(UInt64.max) }
    #expect(throws: EncodingError.self) { try RowEncoder.encode(JSONValue.array([.number(.nan)])) }
  }

  class Animal: Codable {
    var legs = 4
  }
  final class Dog: Animal {
    var name = "Rex"
    enum CodingKeys: CodingKey { case name }
    override init() { super.init() }
    required init(from decoder: any Decoder) throws {
      let container = try decoder.container(keyedBy: CodingKeys.self)
      name = try container.decode(String.self, forKey: .name)
      try super.init(from: container.superDecoder())
    }
    override func encode(to encoder: any Encoder) throws {
      var container = encoder.container(keyedBy: CodingKeys.self)
      try container.encode(name, forKey: .name)
      try super.encode(to: container.superEncoder())
    }
  }

  @Test func classesWithASuperclass() throws {
    let dog = Dog()
    dog.legs = 3
    let json = try RowEncoder.encode(dog)
    #expect(json == ["name": "Rex", "super": ["legs": 3]])
  }

  struct Nested: Codable, Equatable {
    var pairs = [[1, 2], []]
    var map = [1: "a"]
    var optional: [Int?] = [1, nil]
    var either: Result = .text("x")
    enum Result: Codable, Equatable { case text(String), number(Int) }
  }

  @Test func nestedValuesComeBack() throws {
    let value = Nested()
    #expect(try decode(Nested.self, String(decoding: try RowEncoder.encode(value).json, as: UTF8.self)) == value)
  }
}
