import Foundation

/// A page of rows as it comes from the engine: `[{"id":…,"row":{…}},…]`. Rows become values of the app's type one by one,
/// so that one that does not fit hides none of the others.
struct RowPage {
  private let text: JSONText
  private let rows: [(id: Range<Int>, row: Range<Int>)]
  private let table: String

  init(_ json: Data, of table: String) throws {
    self.table = table
    text = JSONText(json)
    do {
      let elements = try text.elements(of: try text.whole())
      var rows: [(id: Range<Int>, row: Range<Int>)] = []
      rows.reserveCapacity(elements.count)
      var members: [JSONText.Member] = []
      for element in elements {
        members.removeAll(keepingCapacity: true)
        try text.members(of: element, into: &members)
        var (id, row): (Range<Int>?, Range<Int>?) = (nil, nil)
        for member in members {
          switch text.name(member) {
          case "id": id = member.value
          case "row": row = member.value
          default: break
          }
        }
        guard let id, let row else { throw InterocitorError(.internal, reason: "a page of rows is not as agreed") }
        rows.append((id, row))
      }
      self.rows = rows
    } catch let error as DecodingError {
      throw InterocitorError(.internal, reason: "a page of rows is no JSON: \(error)")
    }
  }

  /// All rows; the first that does not fit is thrown.
  func rows<Value: Decodable>(_ type: Value.Type) throws -> [Row<Value>] {
    try rows.map { try Self.row(type, id: text.string($0.id) ?? "", text, $0.row, table: table) }
  }

  /// All rows, each by itself.
  func results<Value: Decodable>(_ type: Value.Type) -> [Result<Row<Value>, InterocitorError>] {
    rows.map { place in
      let id = text.string(place.id) ?? ""
      do throws(InterocitorError) {
        return .success(try Self.row(type, id: id, text, place.row, table: table))
      } catch { return .failure(error) }
    }
  }

  /// One row that was asked for by its id.
  static func row<Value: Decodable>(
    _ type: Value.Type, id: String, json: Data, table: String
  ) throws(InterocitorError) -> Row<Value> {
    let text = JSONText(json)
    do {
      return try row(type, id: id, text, try text.whole(), table: table)
    } catch { throw failure(error, id: id, table: table) }
  }

  private static func row<Value: Decodable>(
    _ type: Value.Type, id: String, _ text: JSONText, _ range: Range<Int>, table: String
  ) throws(InterocitorError) -> Row<Value> {
    do {
      return Row(id: id, value: try RowDecoder(text, range).decode(type))
    } catch { throw failure(error, id: id, table: table) }
  }

  /// `DECODE`, naming table, row and column, and what was expected: never a value.
  private static func failure(_ error: any Error, id: String, table: String) -> InterocitorError {
    if let error = error as? InterocitorError { return error }
    let field: String?
    let why: String
    switch error as? DecodingError {
    case .keyNotFound(_, let context), .valueNotFound(_, let context), .typeMismatch(_, let context),
      .dataCorrupted(let context):
      field = context.codingPath.isEmpty ? nil : context.codingPath.map(\.stringValue).joined(separator: ".")
      why = context.debugDescription
    default:
      // Thrown by the type's own `init(from:)`: its text may hold values.
      field = nil
      why = "its type refused it with \(type(of: error))"
    }
    let column = field.map { ", column \"\($0)\"" } ?? ""
    return InterocitorError(
      .decode, reason: "row \"\(id)\" of table \"\(table)\"\(column): \(why)",
      place: .init(table: table, rowID: id, field: field))
  }
}
