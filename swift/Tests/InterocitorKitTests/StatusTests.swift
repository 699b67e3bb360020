import Foundation
import InterocitorKit
import Testing

/// How things stand, as a value and as a sequence.
@Suite(.timeLimit(.minutes(1))) struct StatusTests {
  @Test func theSequenceGivesThePresentStatusThenEachNewOneAndEnds() async throws {
    let db = try await open()
    var statuses = db.statuses.makeAsyncIterator()
    let first = try #require(try await statuses.next())
    #expect(try await db.status() == first)
    #expect(first.connection == .offline && first.background == .nowhere && first.operation == nil)
    #expect(first.hasNetwork && first.quarantinedItems.isEmpty)
    try await db.table("t").put("a", ["v": 1])
    #expect(try await statuses.next()?.pendingCount == 1)
    db.setNetwork(false)
    #expect(try await statuses.next()?.hasNetwork == false)
    // While the database is suspended a loop waits.
    try await db.suspend()
    let late = Task {
      for try await status in db.statuses where status.hasNetwork { return true }
      return false
    }
    try await db.resume()
    db.setNetwork(true)
    #expect(try await late.value)
    #expect(try await statuses.next()?.hasNetwork == true)
    try await db.shutdown()
    #expect(try await statuses.next() == nil)
    await expectFailure(.shutDown) { for try await _ in db.statuses {} }
  }

  @Test func aCancelledLoopEnds() async throws {
    let db = try await open()
    let started = Shared(0)
    let loop = Task { for try await _ in db.statuses { started.change { $0 += 1 } } }
    try await eventually("it does not begin") { started.now == 1 }
    loop.cancel()
    await #expect(throws: CancellationError.self) { try await loop.value }
    for try await status in db.statuses {
      #expect(status.pendingCount == 0)
      break
    }
  }

  @Test func whatGoesOnAndWhatIsPutAsideIsTold() async throws {
    let folder = try TemporaryFolder()
    let db = try await connected(to: .folder(folder.url))
    try Data("{".utf8).write(to: folder("Mesh/changes/001795352695000-0000-peer-chg_damaged.json"))
    try await db.sync()
    let status = try await db.status()
    #expect(try await db.quarantined() == status.quarantinedItems)
    #expect(status.quarantined == 1 && status.quarantinedItems.first?.tries == 1)
    for id in 0..<300 { try await db.batch { try $0.table("t").put("\(id)", ["v": 1]) } }
    #expect(try await db.status().pendingSince != nil)
    let isDone = Shared(false)
    let flushing = Task {
      defer { isDone.change { $0 = true } }
      return try await db.flush()
    }
    var operations: [Status.Operation] = []
    while !isDone.now {
      if let operation = try await db.status().operation { operations.append(operation) }
    }
    #expect(try await flushing.value == 300)
    let publishing = operations.filter { $0.phase == .publishing }
    #expect(publishing.contains { $0.filesTotal == 300 }, "\(operations)")
    #expect(zip(publishing, publishing.dropFirst()).allSatisfy { $0.files <= $1.files && $0.bytes <= $1.bytes })
    #expect(publishing.allSatisfy { (0...1).contains($0.fraction ?? 0) })
    #expect(try await db.status().operation == nil)
  }

  @Test func theDoctorTellsWhatItFoundAndMendsItWhenItIsAskedTo() async throws {
    let folder = try TemporaryFolder()
    let db = try await connected(to: .folder(folder.url))
    try await db.table("t").put("a", ["v": 1])
    try await db.sync()
    let sound = try await db.doctor()
    #expect(sound.findings.isEmpty && sound.worst == nil && sound.rowsChecked == 1 && sound.filesChecked > 0)
    let (head, older) = (folder("Mesh/changes/head.json"), Data(#"{"latestHlc":"000000000000001-0000-x"}"#.utf8))
    try older.write(to: head)
    try Data("x".utf8).write(to: folder("Mesh/stranger.txt"))
    for mends in [false, true] {
      let diagnosis = try await db.doctor(mends: mends)
      #expect(diagnosis.findings.map(\.code) == ["HEAD_BEHIND", "UNKNOWN_FILE"])
      let (behind, unknown) = (diagnosis.findings[0], diagnosis.findings[1])
      #expect(behind.severity == .warning && behind.isMendable && behind.isMended == mends)
      #expect(unknown.severity == .info && !unknown.isMendable && !unknown.isMended)
      #expect(diagnosis.worst == (mends ? .info : .warning))
      #expect(unknown.place.hasSuffix("stranger.txt") && !behind.meaning.isEmpty && !behind.advice.isEmpty)
      #expect(try (Data(contentsOf: head) == older) == !mends)
    }
    try await db.shutdown()
    await expectFailure(.shutDown) { try await db.doctor() }
  }
}

/// What a database does by itself, and how an app learns that it is done.
@Suite(.timeLimit(.minutes(1))) struct BackgroundTests {
  @Test func aMarkIsPublishedAndThenSeen() async throws {
    let mailbox = Mailbox.memory()
    let db = try await connected(to: mailbox)
    try await db.table("t").put("a", ["v": 1])
    let mark = try await db.writeMark()
    let waiting = Task { try await db.awaitPublished(mark) }
    try await Task.sleep(for: .milliseconds(50))
    waiting.cancel()
    await #expect(throws: CancellationError.self) { try await waiting.value }
    async let published: Void = db.awaitPublished(mark)
    try await db.sync()
    try await published
    let other = try await connected(to: mailbox)
    #expect(try await db.seen(by: other.deviceID, upTo: mark), "it came later")
    try await db.table("t").put("b", ["v": 1])
    try await db.sync()
    #expect(try await !db.seen(by: other.deviceID, upTo: db.writeMark()))
    #expect(try await db.seen(by: other.deviceID, upTo: mark))
    await expectFailure(.invalidArgument) { try await db.seen(by: "nobody", upTo: mark) }
    try await db.shutdown()
    await expectFailure(.shutDown) { try await db.writeMark() }
    await expectFailure(.shutDown) { try await db.awaitPublished(mark) }
    await expectFailure(.shutDown) { try await db.seen(by: "nobody", upTo: mark) }
  }

  @Test func aPushIsFollowedAndWithoutANetworkNothingIsTried() async throws {
    let mailbox = Mailbox.memory()
    let writer = try await connected(to: mailbox)
    let reader = try await connected(to: mailbox) { $0.autoSync = true }
    try await writer.table("t").put("a", ["v": 1])
    try await writer.sync()
    #expect(try await reader.table("t").count() == 0)
    // The next poll is half a minute away.
    reader.poke()
    try await eventually("what was pushed is not pulled") { try await reader.table("t").count() == 1 }
    reader.setNetwork(false)
    try await writer.table("t").put("b", ["v": 1])
    try await writer.sync()
    reader.poke()
    try await Task.sleep(for: .milliseconds(1500))
    #expect(try await reader.table("t").count() == 1)
    #expect(reader.connectionState == .offline)
    reader.setNetwork(true)
    try await eventually("the network brings nothing") { try await reader.table("t").count() == 2 }
    #expect(try await reader.status().background == .here)
  }

  @Test func itCompactsWhenItIsToldToAndNeverWhenItIsNot() async throws {
    func busy(_ policy: AutoCompaction?) async throws -> Interocitor {
      let db = try await connected(to: .memory()) {
        ($0.autoSync, $0.autoCompact, $0.batchWindow, $0.flushDebounce) = (true, policy, .zero, .zero)
      }
      try await db.table("t").put("a", ["v": 1])
      try await db.awaitPublished(db.writeMark())
      return db
    }
    var policy = AutoCompaction()
    (policy.batches, policy.compactors) = (1, 1)
    let (eagerly, never) = (try await busy(policy), try await busy(nil))
    try await eventually("no snapshot is written") { try await eagerly.status().epoch > 0 }
    #expect(try await never.status().epoch == 0)
    policy.jitter = .seconds(-1)
    await expectFailure(.invalidArgument) { try await busy(policy) }
  }
}
