import Foundation
internal import InterocitorBindings

/// Credentials of sub-stores that an app keeps beside its rows. Never synced.
public struct ConnectedStores: Sendable {
  private let stores: InterocitorBindings.ConnectedStores

  init(_ stores: InterocitorBindings.ConnectedStores) { self.stores = stores }

  /// All records by id.
  public func list() throws -> [JSONObject] {
    try engine { try stores.list() }.map(Self.record)
  }

  /// One record.
  public func get(_ id: String) throws -> JSONObject? {
    try engine { try stores.get(id: id) }.map(Self.record)
  }

  /// Puts a record, which has an `id`. Stamps `createdAt` once and `updatedAt` each time.
  public func put(_ record: JSONObject) throws {
    let text = String(decoding: try RowEncoder.operand(record, for: "a connected store").json, as: UTF8.self)
    try engine { try stores.put(record: text) }
  }

  /// Puts all of these records, or none, as the JavaScript client keeps them, with the times that it gave them; gives
  /// their number.
  @discardableResult
  public func importAll(_ records: [JSONObject]) throws -> Int {
    let text = String(
      decoding: try RowEncoder.operand(records, for: "connected stores").json, as: UTF8.self)
    return Int(try engine { try stores.importAll(records: text) })
  }

  /// Removes a record; tells whether it was there.
  @discardableResult
  public func remove(_ id: String) throws -> Bool {
    try engine { try stores.remove(id: id) }
  }

  private static func record(_ text: String) throws -> JSONObject {
    try JSONValue(json: Data(text.utf8)).object ?? [:]
  }
}
