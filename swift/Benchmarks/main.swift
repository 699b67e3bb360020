import Foundation
import InterocitorKit

// What the Swift package costs on top of the engine. Use a release build of both:
//
//   cargo build --release -p interocitor-ffi
//   swift run -c release -Xlinker -Ltarget/release interocitor-bench

/// Six columns, as rows of apps have them.
struct Item: Codable, Sendable {
  var title: String
  var done: Bool
  var rank: Int
  var price: Double
  var note: String?
  var changed: String
}

func item(_ index: Int) -> Item {
  Item(
    title: "Item number \(index)", done: index % 2 == 0, rank: index, price: Double(index) / 4,
    note: index % 3 == 0 ? nil : "a note that is somewhat longer", changed: "2026-01-02T03:04:05.678Z")
}

func configuration() -> Configuration {
  var configuration = Configuration(
    appName: "bench", store: .memory, remotePath: "/Mesh",
    passphrase: "1thX6LZfHDZZKUs92febYZhYRcXddmzfzF2NvTkPNE")
  configuration.autoSync = false
  return configuration
}

/// The best of several runs, in milliseconds.
func measure(_ what: String, runs: Int = 5, _ work: () async throws -> Void) async throws {
  var best = Double.infinity
  for _ in 0..<runs {
    let start = DispatchTime.now().uptimeNanoseconds
    try await work()
    best = min(best, Double(DispatchTime.now().uptimeNanoseconds - start) / 1e6)
  }
  print(what.padding(toLength: 58, withPad: " ", startingAt: 0), String(format: "%9.1f ms", best))
}

func check(_ count: Int, _ expected: Int) {
  precondition(count == expected, "\(count) rows instead of \(expected)")
}

func fill(_ db: Interocitor, _ count: Int) async throws {
  for start in stride(from: 0, to: count, by: 5000) {
    try await db.batch { batch in
      let items = batch.table("items", of: Item.self)
      for index in start..<min(start + 5000, count) { try items.put("i\(index)", item(index)) }
    }
  }
}

let db = try await Interocitor.open(configuration())
try await fill(db, 10_000)
let items = db.table("items", of: Item.self)
try await measure("10,000 rows of 6 columns, as stored (the engine alone)") { _ = try await items.query().json() }
try await measure("10,000 rows of 6 columns, typed") {
  check(try await items.rows().count, 10_000)
}
let page = try await items.query().json()
struct Entry: Codable { var id: String, row: Item }
try await measure("the same page through Foundation's JSONDecoder") {
  check(try JSONDecoder().decode([Entry].self, from: page).count, 10_000)
}
try await measure("10,000 rows, untyped") { check(try await db.table("items").rows().count, 10_000) }
try await measure("10,000 puts in a batch", runs: 3) { try await fill(db, 10_000) }
let file = FileManager.default.temporaryDirectory.appendingPathComponent("bench-\(UUID().uuidString).db")
var onDisk = configuration()
onDisk.store = .file(file)
let disk = try await Interocitor.open(onDisk)
let single = disk.table("items", of: Item.self)
try await measure("1,000 single puts, on disk", runs: 3) {
  for index in 0..<1000 { try await single.put("i\(index)", item(index)) }
}
try await disk.shutdown()
for suffix in ["", "-wal", "-shm"] { try? FileManager.default.removeItem(atPath: file.path + suffix) }

let mailbox = Mailbox.memory()
let source = try await Interocitor.open(configuration())
try await source.setRemoteStorage(mailbox)
try await source.connect()
try await fill(source, 50_000)
try await source.sync()
try await measure("50,000 changed rows in one pull, with a listener", runs: 1) {
  let peer = try await Interocitor.open(configuration())
  var events = peer.events.makeAsyncIterator()
  try await peer.setRemoteStorage(mailbox)
  try await peer.connect()
  var (told, isLagging) = (0, false)
  while told < 50_000, !isLagging, let event = await events.next() {
    if case .change(_, let rows) = event { told += rows.count }
    if event == .lagged { isLagging = true }
  }
  print("  told of \(told) rows\(isLagging ? ", then that it lags" : "")")
  try await peer.shutdown()
}
try await source.shutdown()
try await db.shutdown()
