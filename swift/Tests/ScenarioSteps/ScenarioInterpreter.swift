import Foundation
import InterocitorKit

/// Why a step failed: a stable code, or `DRIVER` where the interpreter did not understand it.
public struct Fault: Error, Sendable, CustomStringConvertible {
  public let code: String
  public let reason: String

  public init(code: String, reason: String) { (self.code, self.reason) = (code, reason) }
  public static func driver(_ reason: String) -> Fault { Fault(code: "DRIVER", reason: reason) }
  public var description: String { "\(code): \(reason)" }
}

/// Plays the steps of devices, as tests/scenarios/README.md describes them, through the Swift package.
public actor ScenarioInterpreter {
  /// A handle stays after its shutdown, since it must answer `SHUT_DOWN`.
  private var handles: [String: Interocitor] = [:]
  private var isOpen: Set<String> = []
  private var pairings: [String: ScenarioPairings] = [:]

  public init() {}

  /// Plays one step and gives its answer, null where it has none.
  public func play(_ step: JSONObject) async throws(Fault) -> JSONValue {
    do { return try await answer(Step(step)) } catch let fault as Fault { throw fault } catch let error
      as InterocitorError
    {
      throw Fault(code: error.code.rawValue, reason: error.reason)
    } catch is CancellationError {
      throw Fault(code: "CANCELLED", reason: "the call was cancelled")
    } catch { throw .driver("\(error)") }
  }

  /// Shuts down what is still open.
  public func end() async throws {
    for name in isOpen.sorted() { try await handles[name]?.shutdown() }
    isOpen = []
    pairings = [:]
  }

  private func answer(_ step: Step) async throws -> JSONValue {
    let device = try step.text("device")
    if try step.text("do") == "open" {
      guard !isOpen.contains(device) else { throw Fault.driver("device \(device) is open: shut it down first") }
      handles[device] = try await Self.open(step)
      isOpen.insert(device)
      return .null
    }
    guard let db = handles[device] else { throw Fault.driver("device \(device) was never opened") }
    if try step.text("do") == "shutdown" { isOpen.remove(device) }
    let what = try step.text("do")
    if ScenarioPairings.steps.contains(what) {
      let pairing = pairings[device] ?? ScenarioPairings()
      pairings[device] = pairing
      return try await pairing.play(what, step.members, db)
    }
    if let answer = try await ScenarioFiles.play(what, step.members, db) { return answer }
    return try await Self.answer(step, db)
  }

  private static func open(_ step: Step) async throws -> Interocitor {
    let settings = Step(try step.object("settings"))
    var configuration = Configuration(
      appName: "scenarios", store: .file(URL(fileURLWithPath: try step.text("store"))),
      remotePath: try settings.maybeText("remotePath"), passphrase: try settings.maybeText("passphrase"))
    configuration.autoSync = false
    configuration.deviceName = try step.text("deviceName")
    configuration.deviceID = try settings.maybeText("deviceId")
    configuration.encrypted = try settings.bool("encrypted")
    if let schema = settings.members["schema"], !schema.isNull {
      configuration.schema = Schema(json: String(decoding: schema.json, as: UTF8.self))
    }
    configuration.schemaPolicy = try settings.one("schemaPolicy", ["exact": .exact, "migrate": .migrate])
    configuration.merge = try settings.one(
      "mergeStrategy", ["lww": .lastWriterWins, "remote-wins": .remoteWins, "local-wins": .localWins])
    configuration.joinPolicy = try settings.one(
      "joinPolicy", ["reset-to-remote": .resetToRemote, "merge-with-remote": .mergeWithRemote])
    configuration.publish = try settings.one(
      "publish", ["full-rows": .fullRows, "changed-columns": .changedColumns])
    if try settings.maybeText("fileForm") != nil {
      configuration.fileForm = try settings.one("fileForm", ["plain": .plain, "hashed": .hashed])
    }
    let db = try await Interocitor.open(configuration)
    try await db.setRemoteStorage(try mailbox(try step.text("mailbox")))
    return db
  }

  /// A folder by its path, or a WebDAV collection by its address with user and password.
  private static func mailbox(_ place: String) throws -> Mailbox {
    guard place.hasPrefix("http"), var address = URLComponents(string: place) else {
      return try .folder(URL(fileURLWithPath: place))
    }
    let (user, password) = (address.user ?? "", address.password ?? "")
    (address.user, address.password) = (nil, nil)
    guard let url = address.url else { throw Fault.driver("no address: \(place)") }
    return try .webDAV(url, access: .password(user: user, password))
  }

  private static func answer(_ step: Step, _ db: Interocitor) async throws -> JSONValue {
    switch try step.text("do") {
    case "shutdown": try await db.shutdown()
    case "disconnect": try await db.disconnect()
    case "sync": try await db.sync()
    case "pull": try await db.pull()
    case "flush": try await db.flush()
    case "connect": try online(try await db.connect())
    case "rebuildRemote": try online(try await db.rebuildRemote())
    case "compact":
      guard case .written(let snapshot) = try await db.compact(grace: .seconds(try step.int("grace"))) else { break }
      return [
        "epoch": .integer(Int64(snapshot.epoch)), "rows": .integer(Int64(snapshot.rows)),
        "covered": .integer(Int64(snapshot.covered)), "deleted": .integer(Int64(snapshot.deleted)),
      ]
    case "awaitPublished": try await db.awaitPublished(db.writeMark())
    case "doctor":
      let findings = try await db.doctor(mends: try step.maybeBool("mends") ?? false).findings
      return .array(findings.map { ["code": .string($0.code), "mended": .bool($0.isMended)] })
    case "configureMesh": try db.configureMesh(try mesh(step))
    case "join": try online(try await db.join(try mesh(step)))
    case "setPassphrase": try db.setPassphrase(try step.text("passphrase"))
    case "passphrase": return db.getPassphrase().map(JSONValue.string) ?? .null
    case "add":
      // `put` and `patch` take any value here, so that what is no row is refused by the engine.
      let table = try db.table(step.text("table"), of: JSONValue.self)
      return .string(try await table.add(try step.value("row"), prefix: step.maybeText("prefix")))
    case "put", "patch":
      try await db.table(step.text("table"), of: JSONValue.self).put(step.text("id"), try step.value("row"))
    case "putText":
      try await db.table(step.text("table")).put(step.text("id"), json: Data(try step.text("text").utf8))
    case "replace":
      try await db.table(step.text("table"), of: JSONValue.self).replace(step.text("id"), try step.value("row"))
    case "delete": try await db.table(step.text("table")).delete(step.text("id"))
    case "batch":
      let writes = try step.list("writes").map { $0.object ?? [:] }
      let staged = try await ScenarioFiles.stage(writes, db)
      let answers = try await db.batch { batch in
        try writes.enumerated().map { at, write -> JSONValue in
          guard let file = staged[at] else { return try Self.write(Step(write), batch) }
          try batch.putFile(file)
          return .string(file.digest)
        }
      }
      return .array(answers)
    default: return try await look(step, db)
    }
    return .null
  }

  /// A step that changes nothing.
  private static func look(_ step: Step, _ db: Interocitor) async throws -> JSONValue {
    switch try step.text("do") {
    case "row":
      return try await db.table(step.text("table"), of: JSONValue.self).row(step.text("id"))?.value ?? .null
    case "rowText":
      let json = try await db.table(step.text("table")).json(step.text("id"))
      return json.map { .string(String(decoding: $0, as: UTF8.self)) } ?? .null
    case "query":
      return .array(try await query(step, db).rows().map { ["id": .string($0.id), "row": .object($0.value)] })
    case "queryIds": return .array(try await query(step, db).rows().map { .string($0.id) })
    case "count": return .integer(Int64(try await query(step, db).count()))
    case "tables":
      let names = try await db.tableNames()
      return .array(names.sorted { $0.utf16.lexicographicallyPrecedes($1.utf16) }.map(JSONValue.string))
    case "dump":
      let dump = try JSONValue(json: try await db.dump())
      return ["tables": dump["tables"] ?? .null, "tombstones": dump["tombstones"] ?? .null]
    case "status":
      let status = try await db.status()
      return [
        "connection": .string(status.connection.rawValue), "encrypted": .bool(status.encrypted),
        "member": .bool(status.meshID != nil), "pending": .integer(Int64(status.pendingCount)),
        "files": .integer(Int64(status.pendingFiles)),
        "problem": status.problem.map { .string($0.code.rawValue) } ?? .null,
        "quarantined": .integer(Int64(status.quarantined)),
      ]
    case "quarantine":
      return .array(
        try await db.quarantined().map { ["name": .string($0.name), "code": .string($0.code.rawValue)] })
    case "devices":
      return .array(try await db.devices().map { $0.name ?? "" }.sorted().map(JSONValue.string))
    case "seenBy":
      let name = try step.text("other")
      guard let other = try await db.devices().first(where: { $0.name == name }) else {
        throw Fault.driver("no device is called \(name)")
      }
      return .bool(try await db.seen(by: other.id, upTo: db.writeMark()))
    case let other: throw Fault.driver("there is no step \(other)")
    }
  }

  /// A step within a batch.
  private static func write(_ step: Step, _ batch: Batch) throws -> JSONValue {
    let table = batch.table(try step.text("table"), of: JSONValue.self)
    switch try step.text("do") {
    case "add": return .string(try table.add(try step.value("row"), prefix: step.maybeText("prefix")))
    case "put", "patch": try table.put(step.text("id"), try step.value("row"))
    case "putText": try table.put(step.text("id"), json: Data(try step.text("text").utf8))
    case "replace": try table.replace(step.text("id"), try step.value("row"))
    case "delete": try table.delete(step.text("id"))
    case "row": return try table.row(step.text("id"))?.value ?? .null
    case let other: throw Fault.driver("there is no step \(other) in a batch")
    }
    return .null
  }

  private static func mesh(_ step: Step) throws -> MeshConfiguration {
    MeshConfiguration(
      remotePath: try step.text("remotePath"), passphrase: try step.maybeText("passphrase"),
      encrypted: try step.members["encrypted"] == nil ? true : step.bool("encrypted"))
  }

  /// A connect that ends offline has failed for its reason.
  private static func online(_ connection: Connection) throws {
    if case .offline(let why) = connection { throw Fault(code: why.code.rawValue, reason: why.reason) }
  }

  private static func query(_ step: Step, _ db: Interocitor) throws -> RowQuery<JSONObject> {
    var query = db.table(try step.text("table")).query()
    for filter in try step.maybeList("where").map({ Step($0.object ?? [:]) }) {
      query = query.where(try filter.text("field"), try condition(filter))
    }
    for order in try step.maybeList("orderBy").map({ Step($0.object ?? [:]) }) {
      query = query.order(by: try order.text("field"), descending: try order.maybeText("direction") == "desc")
    }
    if let limit = step.members["limit"]?.int { query = query.limit(limit) }
    if let offset = step.members["offset"]?.int { query = query.offset(offset) }
    return query
  }

  private static func condition(_ filter: Step) throws -> Condition<JSONValue> {
    switch try filter.text("op") {
    case "equals": .equals(try filter.value("value"))
    case "above": .above(try filter.value("value"))
    case "aboveOrEqual": .aboveOrEqual(try filter.value("value"))
    case "below": .below(try filter.value("value"))
    case "belowOrEqual": .belowOrEqual(try filter.value("value"))
    case "startsWith": .startsWith(try filter.text("value"))
    case "anyOf": .anyOf(try filter.list("values"))
    case "between":
      .between(
        try filter.value("low"), try filter.value("high"),
        lowOpen: filter.members["lowOpen"]?.bool ?? false, highOpen: filter.members["highOpen"]?.bool ?? false)
    case let other: throw Fault.driver("there is no operator \(other)")
    }
  }
}

/// The members of a step, each of the kind that it must be.
private struct Step {
  let members: JSONObject

  init(_ members: JSONObject) { self.members = members }

  func value(_ name: String) throws -> JSONValue {
    guard let value = members[name] else { throw Fault.driver("\(name) is missing") }
    return value
  }
  func text(_ name: String) throws -> String {
    guard let text = try value(name).string else { throw Fault.driver("\(name) is no text") }
    return text
  }
  func maybeText(_ name: String) throws -> String? {
    guard let value = members[name], !value.isNull else { return nil }
    guard let text = value.string else { throw Fault.driver("\(name) is no text") }
    return text
  }
  func int(_ name: String) throws -> Int {
    guard let number = try value(name).int else { throw Fault.driver("\(name) is no whole number") }
    return number
  }
  func bool(_ name: String) throws -> Bool {
    guard let bool = try value(name).bool else { throw Fault.driver("\(name) is neither true nor false") }
    return bool
  }
  func maybeBool(_ name: String) throws -> Bool? { members[name] == nil ? nil : try bool(name) }
  func object(_ name: String) throws -> JSONObject {
    guard let object = try value(name).object else { throw Fault.driver("\(name) is no object") }
    return object
  }
  func list(_ name: String) throws -> [JSONValue] {
    guard let list = try value(name).array else { throw Fault.driver("\(name) is no list") }
    return list
  }
  func maybeList(_ name: String) throws -> [JSONValue] { members[name] == nil ? [] : try list(name) }
  func one<Choice>(_ name: String, _ choices: [String: Choice]) throws -> Choice {
    guard let choice = choices[try text(name)] else { throw Fault.driver("\(name) is none of \(choices.keys.sorted())") }
    return choice
  }
}
