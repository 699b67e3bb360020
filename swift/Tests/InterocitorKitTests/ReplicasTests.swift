import Foundation
import InterocitorKit
import Testing

/// Further mailboxes that are written to.
@Suite(.timeLimit(.minutes(1))) struct ReplicasTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  @Test func aDeviceIsRestoredFromAMirror() async throws {
    let copy = folder("copy")
    try FileManager.default.createDirectory(at: copy, withIntermediateDirectories: true)
    let replica = Replica.mirror("copy", try .folder(copy))
    let db = try await connected(to: .memory()) { $0.replicas = [replica] }
    var events = db.events.makeAsyncIterator()
    try await db.table("t").put("x", ["v": 1])
    try await db.putFile("a", .data(Data("content".utf8)))
    try await db.sync()
    let done = try await db.replicate("copy", verifies: true)
    #expect(done.files > 3 && done.damaged == 0)
    let state = try #require(try await db.replicas().first)
    #expect(state.id == "copy" && state.isMirror && state.waiting == 0 && state.problem == nil)
    while let event = await events.next() {
      guard case .replicaComplete("copy", let files, let copied, let bytes) = event else { continue }
      #expect(files >= copied && copied > 0 && bytes > 0)
      break
    }
    let restored = try await connected(to: .folder(copy))
    #expect(try await restored.table("t").row("x")?.value == ["v": 1])
    #expect(try await restored.getFile("a").data() == Data("content".utf8))
  }

  @Test func aReplicaOfChangesLiesUnderItsOwnPath() async throws {
    let replica = Replica.changes("copy", try .folder(folder.url), remotePath: "/Copy")
    let db = try await connected(to: .memory()) { $0.replicas = [replica] }
    try await db.table("t").put("x", ["v": 1])
    try await db.flush()
    try await db.replicate("copy")
    #expect(try await db.replicas().map(\.isMirror) == [false])
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder("Copy").path) == ["changes"])
  }

  @Test func oneThatIsDownIsToldAndHoldsNothingUp() async throws {
    let replica = Replica.mirror("gone", try .folder(folder("missing")))
    let db = try await connected(to: .memory()) { $0.replicas = [replica] }
    var events = db.events.makeAsyncIterator()
    try await db.table("t").put("x", ["v": 1])
    try await db.sync()
    #expect(try await db.status().pendingCount == 0)
    var told: InterocitorError.Code?
    while told == nil, let event = await events.next() {
      guard case .replicaError("gone", let code, let reason, _, let retryIn) = event else { continue }
      #expect(!reason.isEmpty && retryIn == nil)
      told = code
    }
    #expect(try await db.replicas().first?.problem?.code == told)
    await expectFailure(try #require(told)) { try await db.replicate("gone") }
  }

  @Test func whatIsWrongWithReplicasIsTold() async throws {
    let copy = Replica.changes("copy", .memory())
    await expectFailure(.invalidArgument) { try await open { $0.replicas = [copy, copy] } }
    await expectFailure(.invalidArgument) { try await open { $0.replicas = [.mirror("", .memory())] } }
    let db = try await open { $0.replicas = [copy] }
    await expectFailure(.invalidArgument) { try await db.replicate("copy") }
    try await db.setRemoteStorage(.memory())
    try await db.connect()
    await expectFailure(.invalidArgument) { try await db.replicate("other") }
    let given = Task {
      withUnsafeCurrentTask { $0?.cancel() }
      return try await db.replicate("copy")
    }
    await #expect(throws: CancellationError.self) { try await given.value }
    try await db.shutdown()
    await expectFailure(.shutDown) { try await db.replicate("copy") }
    await expectFailure(.shutDown) { try await db.replicas() }
  }
}
