import Foundation
import InterocitorKit

// The figures of bindings/README.md in Swift, one line of JSON each; bindings/bench.sh runs it beside the same work in
// Rust and Kotlin.

struct Todo: Codable, Sendable {
  var title: String
  var done: Bool
  var rank: Int
  var score: Double
  var note: String?
  var created: String
}

func todo(_ at: Int) -> Todo {
  Todo(
    title: "Todo number \(at)", done: at % 3 == 0, rank: at, score: Double(at) / 7,
    note: at % 4 == 0 ? nil : "a note about \(at)", created: "2026-01-\(at % 28 + 10)T12:00:00.000Z")
}

let rowCount = 10_000, putCount = 1000, changeCount = 50_000
let folder = FileManager.default.temporaryDirectory.appendingPathComponent("bench-\(UUID().uuidString)")
try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)

func open(_ name: String) async throws -> Interocitor {
  var configuration = Configuration(
    appName: "bench", store: .file(folder.appendingPathComponent(name)), remotePath: "/Mesh",
    passphrase: "1thX6LZfHDZZKUs92febYZhYRcXddmzfzF2NvTkPNE")
  configuration.autoSync = false
  return try await Interocitor.open(configuration)
}

func name(_ at: Int) -> String { "row" + String(100_000 + at).dropFirst() }

func now() -> Double { Double(DispatchTime.now().uptimeNanoseconds) / 1e6 }

func report(_ work: String, _ ms: Double, _ more: String = "") {
  print("{\"language\":\"swift\",\"work\":\"\(work)\",\"ms\":\(String(format: "%.3f", ms))\(more)}")
}

func fill(_ db: Interocitor, _ rows: Range<Int>) async throws {
  try await db.batch { batch in
    let todos = batch.table("todos", of: Todo.self)
    for at in rows { try todos.put(name(at), todo(at)) }
  }
}

func query() async throws {
  let db = try await open("query.db")
  try await fill(db, 0..<rowCount)
  let todos = db.table("todos", of: Todo.self)
  var times: [Double] = []
  for _ in 0..<21 {
    let start = now()
    let count = try await todos.rows().count
    times.append(now() - start)
    precondition(count == rowCount)
  }
  report("query", times.sorted()[times.count / 2])
  try await db.shutdown()
}

func puts() async throws {
  var times: [Double] = []
  for round in 0..<7 {
    let db = try await open("puts\(round).db")
    let todos = db.table("todos", of: Todo.self)
    let start = now()
    for at in 0..<putCount { try await todos.put(name(at), todo(at)) }
    times.append(now() - start)
    try await db.shutdown()
  }
  report("puts", times.sorted()[times.count / 2])
}

func storm() async throws {
  let mailbox = folder.appendingPathComponent("mailbox")
  try FileManager.default.createDirectory(at: mailbox, withIntermediateDirectories: true)
  let writer = try await open("writer.db"), reader = try await open("reader.db")
  for db in [writer, reader] {
    try await db.setRemoteStorage(.folder(mailbox))
    try await db.connect()
  }
  for part in 0..<changeCount / 1000 { try await fill(writer, part * 1000..<(part + 1) * 1000) }
  try await writer.sync()
  var events = reader.events.makeAsyncIterator()
  let start = now()
  try await reader.pull()
  var told = 0, heard = 0
  while heard < changeCount, let event = await events.next() {
    if case .change(_, let rows) = event {
      told += 1
      heard += rows.count
    }
  }
  report("storm", now() - start, ",\"events\":\(told),\"rows\":\(heard)")
  try await writer.shutdown()
  try await reader.shutdown()
}

try await query()
try await puts()
try await storm()
try? FileManager.default.removeItem(at: folder)
