import Foundation
import InterocitorKit
import Testing

/// Key paths of every kind of property, and of those that name no column.
@Suite struct ColumnNameTests {
  enum Colour: Int, Codable, CaseIterable { case red, green }
  enum Closed: String, Codable { case only }
  struct Place: Codable, Sendable { var city = "", street = "" }
  struct Tree: Codable, Sendable { var children: [Tree] = [] }

  struct Everything: Codable, Sendable {
    var flag = false
    var text = ""
    var count = 0
    var small: UInt8 = 0
    var wide: UInt64 = 0
    var real = 0.0
    var float: Float = 0
    var day = Date(timeIntervalSince1970: 0)
    var bytes = Data()
    var link = URL(string: "https://example.org")!
    var id = UUID()
    var price = Decimal(0)
    var colour = Colour.red
    var place = Place()
    var list: [String] = []
    var map: [String: Int] = [:]
    var tree = Tree()
    var any = JSONValue.null
    var maybe: Int?
    var maybeText: String?
    var maybeDay: Date?
    var maybeColour: Colour?
    var maybePlace: Place?
    var renamed = ""
    var unstored = 5

    var computed: String { text + "!" }

    enum CodingKeys: String, CodingKey {
      case flag, text, count, small, wide, real, float, day, bytes, link, id, price, colour, place, list, map, tree, any
      case maybe, maybeText, maybeDay, maybeColour, maybePlace
      case renamed = "other name"
    }
  }

  /// The columns that a query orders by, as the engine would get them: a row with these columns is found in order.
  private func column<Value: Codable & Sendable, Member: Encodable>(
    _ path: KeyPath<Value, Member>, is name: String
  ) async throws -> Bool {
    let db = try await open()
    try await db.table("t").put("x", [name: .string("b")])
    try await db.table("t").put("y", [name: .string("a")])
    let page = try JSONValue(json: try await db.table("t", of: Value.self).query().order(by: path).json())
    return page.array?.map { $0["id"] } == ["y", "x"]
  }

  @Test func everyKindOfPropertyHasItsColumn() async throws {
    #expect(try await column(\Everything.flag, is: "flag"))
    #expect(try await column(\Everything.text, is: "text"))
    #expect(try await column(\Everything.count, is: "count"))
    #expect(try await column(\Everything.small, is: "small"))
    #expect(try await column(\Everything.wide, is: "wide"))
    #expect(try await column(\Everything.real, is: "real"))
    #expect(try await column(\Everything.float, is: "float"))
    #expect(try await column(\Everything.day, is: "day"))
    #expect(try await column(\Everything.bytes, is: "bytes"))
    #expect(try await column(\Everything.link, is: "link"))
    #expect(try await column(\Everything.id, is: "id"))
    #expect(try await column(\Everything.price, is: "price"))
    #expect(try await column(\Everything.colour, is: "colour"))
    #expect(try await column(\Everything.place, is: "place"))
    #expect(try await column(\Everything.list, is: "list"))
    #expect(try await column(\Everything.map, is: "map"))
    #expect(try await column(\Everything.tree, is: "tree"))
    #expect(try await column(\Everything.any, is: "any"))
    #expect(try await column(\Everything.maybe, is: "maybe"))
    #expect(try await column(\Everything.maybeText, is: "maybeText"))
    #expect(try await column(\Everything.maybeDay, is: "maybeDay"))
    #expect(try await column(\Everything.maybeColour, is: "maybeColour"))
    #expect(try await column(\Everything.maybePlace, is: "maybePlace"))
    #expect(try await column(\Everything.renamed, is: "other name"))
  }

  private func refusal<Value: Codable & Sendable, Member: Encodable>(
    _ path: KeyPath<Value, Member>
  ) async throws -> String? {
    let table = try await open().table("t", of: Value.self)
    return await expectFailure(.invalidArgument) { try await table.query().order(by: path).rows() }?.reason
  }

  @Test func whatIsNoColumnIsRefused() async throws {
    #expect(try await refusal(\Everything.computed)?.contains("no stored property") == true)
    #expect(try await refusal(\Everything.text.count)?.contains("no stored property") == true)
    #expect(try await refusal(\Everything.place.city)?.contains("no column changes it") == true)
    #expect(try await refusal(\Everything.unstored)?.contains("no column changes it") == true)
  }

  struct Unknown: Codable, Sendable { var closed = Closed.only, title = "" }

  @Test func aTypeWithoutSamplesSaysWhatItLacks() async throws {
    #expect(try await refusal(\Unknown.title)?.contains("no sample of Closed") == true)
  }

  struct Checked: Codable, Sendable {
    struct TooShort: Error {}
    var title: String
    enum CodingKeys: CodingKey { case title }
    init(from decoder: any Decoder) throws {
      title = try decoder.container(keyedBy: CodingKeys.self).decode(String.self, forKey: .title)
      if title.count < 3 { throw TooShort() }
    }
  }

  @Test func aTypeThatRefusesSamplesSaysSo() async throws {
    #expect(try await refusal(\Checked.title)?.contains("refuses samples") == true)
  }

  struct Named: Codable, Sendable, NamedColumns {
    var closed = Closed.only
    var title = ""
    enum CodingKeys: String, CodingKey { case closed, title = "name" }
    static var columns: [PartialKeyPath<Named>: String] { [\.title: "name"] }
  }

  final class Shared: Codable, Sendable {
    let first: String
    let second: String
    init() { (first, second) = ("", "") }
  }

  @Test func aTypeMayNameItsColumns() async throws {
    #expect(try await column(\Named.title, is: "name"))
  }

  @Test func aClassIsARowTypeToo() async throws {
    #expect(try await column(\Shared.second, is: "second"))
  }

  struct Twice: Codable, Sendable {
    var sum: Int
    enum CodingKeys: CodingKey { case a, b }
    init(from decoder: any Decoder) throws {
      let container = try decoder.container(keyedBy: CodingKeys.self)
      sum = try container.decode(Int.self, forKey: .a) + container.decode(Int.self, forKey: .b)
    }
    func encode(to encoder: any Encoder) throws {}
  }

  @Test func aPropertyOfTwoColumnsIsRefused() async throws {
    #expect(try await refusal(\Twice.sum)?.contains("a, b all change it") == true)
  }
}
