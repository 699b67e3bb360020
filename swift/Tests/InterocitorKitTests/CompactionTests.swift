import Foundation
import InterocitorKit
import Testing

@Suite struct CompactionTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private var mailbox: Mailbox { get throws { try .folder(folder.url) } }

  private func changes() throws -> Int {
    try FileManager.default.contentsOfDirectory(atPath: folder("Mesh/changes").path).filter { $0.contains("-chg_") }.count
  }

  @Test func aSnapshotStandsForTheChangesThatItCovers() async throws {
    let (a, b) = (try await connected(to: mailbox), try await connected(to: mailbox))
    try await a.table("t").put("a", ["v": 1])
    try await b.table("t").put("b", ["v": 1])
    try await b.sync()
    // What `a` did not publish yet goes out first. Within the grace, a day, nothing is deleted.
    guard case .written(let kept) = try await a.compact() else {
      Issue.record("it was overtaken")
      return
    }
    #expect(kept.epoch == 1 && kept.rows == 2 && kept.covered == 2 && kept.deleted == 0, "\(kept)")
    #expect(try changes() == 2)
    guard case .written(let swept) = try await b.compact(grace: .zero) else {
      Issue.record("it was overtaken")
      return
    }
    // The changes, and what else nobody needs any more.
    #expect(swept.epoch == 2 && swept.rows == 2 && swept.covered == 2 && swept.deleted >= 2, "\(swept)")
    #expect(try changes() == 0)

    let fresh = try await connected(to: mailbox)
    #expect(try await fresh.status().epoch == 2)
    #expect(try await fresh.dump() == b.dump())
    try await fresh.table("t").put("a", ["v": 2])
    try await fresh.sync()
    try await a.sync()
    #expect(try await a.table("t").row("a")?.value == ["v": 2])
  }

  @Test func anotherCompactorIsGivenWay() async throws {
    let db = try await connected(to: mailbox)
    try await db.table("t").put("x", ["v": 1])
    // Another device is at the next manifest.
    try Data("{}".utf8).write(to: folder("Mesh/manifest-2.json"))
    #expect(try await db.compact(grace: .zero) == .overtaken)
    #expect(try await db.status().epoch == 0)
    #expect(try changes() == 1)
  }

  @Test func whereItCannotBeItIsToldWhy() async throws {
    func member(_ id: String) async throws -> Interocitor {
      try await connected(to: mailbox) { ($0.deviceID, $0.serverManaged, $0.serverID) = (id, true, "server") }
    }
    let (server, phone) = (try await member("server"), try await member("phone"))
    let error = await expectFailure(.writerMismatch) { try await phone.compact() }
    #expect(error?.cause == .mesh && error?.isRetryable == false && error?.reason.contains("server") == true)
    await expectFailure(.invalidArgument) { try await server.compact(grace: .seconds(-1)) }
    #expect(try await server.compact() != .overtaken)
    try await server.disconnect()
    await expectFailure(.invalidArgument) { try await server.compact() }
  }

  @Test(.timeLimit(.minutes(1))) func aCompactionThatIsGivenUpLeavesTheMeshAsItWas() async throws {
    let (isStuck, isReached) = (Shared(false), Shared(false))
    let files = AdapterTests.Files { call in
      guard call == "writeFile", isStuck.now else { return }
      isReached.change { $0 = true }
      try await Task.sleep(for: .seconds(20))
    }
    let db = try await connected(to: .custom(files))
    try await db.table("t").put("x", ["v": 1])
    try await db.sync()
    isStuck.change { $0 = true }
    let compacting = Task { try await db.compact(grace: .zero) }
    try await eventually("it writes no snapshot") { isReached.now }
    compacting.cancel()
    await #expect(throws: CancellationError.self) { try await compacting.value }
    isStuck.change { $0 = false }
    #expect(try await connected(to: .custom(files)).table("t").count() == 1)
    #expect(try await db.status().epoch == 0)
    try await eventually("it cannot be done again") {
      guard case .written(let snapshot) = try await db.compact(grace: .zero) else { return false }
      return snapshot.epoch == 1
    }
  }
}
