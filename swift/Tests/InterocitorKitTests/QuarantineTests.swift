import Foundation
import InterocitorKit
import Testing

@Suite struct QuarantineTests {
  @Test func aDamagedFileIsTriedAgainOrLetGo() async throws {
    let folder = try TemporaryFolder()
    let db = try await connected(to: .folder(folder.url))
    let damaged = folder("Mesh/changes/001795352695000-0000-peer-chg_damaged.json")
    try Data("{".utf8).write(to: damaged)
    try await db.sync()
    let item = try #require(try await db.quarantined().first)
    #expect(item.code == .decode && item.tries == 1 && item.write == nil && damaged.path.hasSuffix(item.name))
    try await db.restoreQuarantined(item.name)
    #expect(try await db.quarantined().first?.tries == 0)
    try await db.sync()
    #expect(try await db.quarantined().first?.tries == 1, "it was not read again")
    try await db.discardQuarantined(item.id)
    try await db.sync()
    #expect(try await db.quarantined().isEmpty)
    #expect(FileManager.default.fileExists(atPath: damaged.path))
    await expectFailure(.invalidArgument) { try await db.restoreQuarantined("nothing") }
    await expectFailure(.invalidArgument) { try await db.discardQuarantined("writes/7") }
  }

  @Test(.timeLimit(.minutes(1))) func aWriteThatCameTooLateWaitsForADecision() async throws {
    let mailbox = Mailbox.memory()
    let (a, b) = (try await connected(to: mailbox), try await connected(to: mailbox))
    for id in ["back", "gone"] { try await a.table("t").put(id, ["v": 1]) }
    for db in [a, b, a, b] { try await db.sync() }
    for id in ["back", "gone"] {
      try await b.table("t").put(id, ["w": "late"])
      try await a.table("t").delete(id)
    }
    try await a.compact(grace: .zero)
    await expectFailure(.invalidArgument) { try await a.retireDevice("nobody") }
    try await a.retireDevice(b.deviceID)
    #expect(try await a.devices().filter(\.isRetired).map(\.id) == [b.deviceID])
    try await a.compact(grace: .zero)

    var events = b.events.makeAsyncIterator()
    try await b.sync()
    while let event = await events.next(), event != .writeQuarantined(table: "t", rowID: "back") {}
    let items = try await b.quarantined()
    #expect(items.count == 2)
    #expect(try await b.status().quarantined == 2)
    for item in items {
      let write = try #require(item.write)
      #expect(item.code.rawValue == "ROW_DELETED" && !item.reason.isEmpty && write.table == "t")
      // Of a row all columns are published.
      #expect(write.columns == ["v": 1, "w": "late"])
      if write.rowID == "back" {
        try await b.restoreQuarantined(item.name)
      } else {
        try await b.discardQuarantined(item.name)
      }
    }
    #expect(try await b.quarantined().isEmpty)
    for db in [b, a] {
      try await db.sync()
      #expect(try await db.table("t").rows().map(\.id) == ["back"])
      #expect(try await db.table("t").row("back")?.value == ["v": 1, "w": "late"])
    }
  }
}
