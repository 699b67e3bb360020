import Foundation
internal import InterocitorBindings

/// What to look for in a table. A value: each call gives a new query, and nothing is asked until it runs.
///
/// ```swift
/// let open = todos.query().where(\.done, .equals(false)).order(by: \.title).limit(20)
/// for row in try await open.rows() { print(row.title) }
/// ```
///
/// A key path that means no column, or a value that cannot be encoded, is an error when the query runs.
public struct RowQuery<Value: Codable & Sendable>: Sendable {
  let table: EngineTable
  private var filters: [(column: String, condition: Condition<JSONValue>.Kind)] = []
  private var order: [(column: String, descending: Bool)] = []
  private var most: Int?
  private var leftOut = 0
  private var problem: InterocitorError?

  init(_ table: EngineTable) { self.table = table }

  // MARK: what to look for

  /// Only rows whose column meets the condition, besides all that was asked before.
  public func `where`<Member: Encodable>(
    _ column: KeyPath<Value, Member>, _ condition: Condition<Member>
  ) -> Self {
    adding(condition.kind.map(\.erased)) { table throws(InterocitorError) in
      try ColumnNames.name(of: column, in: table)
    }
  }

  /// Only rows that meet it: `where(\.rank >= 3)`.
  public func `where`(_ condition: Where<Value>) -> Self { adding(condition.condition, to: condition.column.name) }

  /// Only rows whose column, named as it is stored, meets the condition.
  public func `where`<Member: Encodable>(_ column: String, _ condition: Condition<Member>) -> Self {
    adding(condition.kind.map(\.erased)) { _ in column }
  }

  /// Only rows whose column, named as it is stored, meets the condition on texts.
  public func `where`(_ column: String, _ condition: Condition<String>) -> Self {
    adding(condition.kind.map(\.erased)) { _ in column }
  }

  /// In the order of a column, after what was ordered by before. Equals are ordered by id.
  public func order<Member: Encodable>(by column: KeyPath<Value, Member>, descending: Bool = false) -> Self {
    changed { query throws(InterocitorError) in
      query.order.append((try ColumnNames.name(of: column, in: query.table.name), descending))
    }
  }

  /// In the order of a column, named as it is stored.
  public func order(by column: String, descending: Bool = false) -> Self {
    changed { $0.order.append((column, descending)) }
  }

  /// At most so many rows.
  public func limit(_ rows: Int) -> Self { changed { $0.most = rows } }

  /// So many rows are left out at the start.
  public func offset(_ rows: Int) -> Self { changed { $0.leftOut = rows } }

  // MARK: asking

  /// The rows. One that does not decode is thrown: `DECODE`, naming row and column.
  public func rows() async throws -> [Row<Value>] {
    try RowPage(try await json(), of: table.name).rows(Value.self)
  }

  /// The rows, each by itself: one that does not decode hides none of the others.
  public func results() async throws -> [Result<Row<Value>, InterocitorError>] {
    try RowPage(try await json(), of: table.name).results(Value.self)
  }

  /// The first row, or nil.
  public func first() async throws -> Row<Value>? {
    try await limit(min(most ?? 1, 1)).rows().first
  }

  /// How many rows there are.
  public func count() async throws -> Int {
    let query = try engineQuery()
    return Int(try await engine { try await query.count() })
  }

  /// The rows as JSON text, `[{"id":…,"row":{…}},…]`, exactly as they are stored.
  public func json() async throws -> Data {
    let query = try engineQuery()
    return try await cancellable { try await query.rows(cancel: $0) }
  }

  // MARK: observing

  /// The rows now, and again whenever they have changed, here or on another device.
  ///
  /// ```swift
  /// for try await rows in todos.query().observe() { show(rows) }
  /// ```
  ///
  /// Of many changes during one turn of the loop only the last state is given. It ends with the loop, however that ends,
  /// with the `Task`, and when the database is shut down. A row that does not decode is thrown; the sequence may be asked
  /// again then.
  public func observe() -> RowObservation<[Row<Value>]> {
    RowObservation(self) { try RowPage($0, of: $1).rows(Value.self) }
  }

  /// As ``observe()``, with each row by itself.
  public func observeResults() -> RowObservation<[Result<Row<Value>, InterocitorError>]> {
    RowObservation(self) { try RowPage($0, of: $1).results(Value.self) }
  }

  // MARK: -

  func engineQuery() throws -> Query {
    if let problem { throw problem }
    let options = QueryOptions(
      filters: filters.map { Filter(field: $0.column, condition: $0.condition.engine) },
      order: order.map { Order(field: $0.column, descending: $0.descending) },
      limit: most.map(Int64.init), offset: Int64(leftOut))
    return try engine { try table.table.query(options: options) }
  }

  private func adding(
    _ condition: Result<Condition<JSONValue>.Kind, InterocitorError>,
    to column: (String) throws(InterocitorError) -> String
  ) -> Self {
    changed { query throws(InterocitorError) in
      query.filters.append((try column(query.table.name), try condition.get()))
    }
  }

  /// A changed copy. The first problem is kept for when the query runs.
  private func changed(_ change: (inout Self) throws(InterocitorError) -> Void) -> Self {
    var copy = self
    do throws(InterocitorError) { try change(&copy) } catch { copy.problem = copy.problem ?? error }
    return copy
  }
}

/// A table of the engine with its name.
final class EngineTable: Sendable {
  let name: String
  let table: InterocitorBindings.Table

  init(_ name: String, _ table: InterocitorBindings.Table) {
    self.name = name
    self.table = table
  }
}
