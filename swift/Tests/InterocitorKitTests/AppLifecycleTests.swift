import Foundation
import InterocitorKit
import Testing

/// What an operating system does to an app, on a store and a mailbox that are really there.
@Suite struct AppLifecycleTests {
  private let folder: TemporaryFolder
  private let mailbox = Mailbox.memory()

  init() throws { folder = try TemporaryFolder() }

  private func device() async throws -> Interocitor {
    let db = try await Interocitor.open(configuration(.file(folder("a.db"))))
    try await db.setRemoteStorage(mailbox)
    try await db.connect()
    return db
  }

  @Test func outOfSightItPublishesAndLetsGoOfItsFiles() async throws {
    let db = try await device()
    let lifecycle = AppLifecycle(db)
    await lifecycle.enterForeground()
    try await db.table("t").put("x", ["v": 1])
    await lifecycle.enterBackground()
    await expectFailure(.suspended) { try await db.table("t").count() }
    #expect(try await connected(to: mailbox).table("t").count() == 1)
    await lifecycle.enterForeground()
    #expect(try await db.table("t").count() == 1)
    try await db.shutdown()
  }

  @Test func aRefreshBringsWhatIsNewAndLetsGoAgain() async throws {
    let db = try await device()
    let lifecycle = AppLifecycle(db)
    await lifecycle.enterBackground()
    let peer = try await connected(to: mailbox)
    try await peer.table("t").put("x", ["v": 1])
    try await peer.sync()
    #expect(await lifecycle.refresh(deadline: .seconds(5)))
    await expectFailure(.suspended) { try await db.table("t").count() }
    await lifecycle.enterForeground()
    #expect(try await db.table("t").count() == 1)
    try await db.shutdown()
    #expect(await lifecycle.refresh() == false)
  }

  @Test(.timeLimit(.minutes(1))) func expiringEndsTheWaitAndStillLetsGo() async throws {
    let isBlocking = Shared(false)
    let adapter = AdapterTests.Files { _ in
      if isBlocking.now { try await Task.sleep(for: .seconds(3600)) }
    }
    let db = try await Interocitor.open(configuration(.file(folder("b.db"))))
    try await db.setRemoteStorage(.custom(adapter))
    try await db.connect()
    try await db.table("t").put("x", ["v": 1])
    isBlocking.change { $0 = true }
    let lifecycle = AppLifecycle(db, grace: .seconds(3600))
    let leaving = Task { await lifecycle.enterBackground() }
    try await Task.sleep(for: .milliseconds(100))
    await lifecycle.expire()
    await leaving.value
    await expectFailure(.suspended) { try await db.table("t").count() }
    await lifecycle.enterForeground()
    #expect(try await db.table("t").count() == 1)
  }

  @Test(.timeLimit(.minutes(1))) func comingBackWhileLeavingStaysInUse() async throws {
    let db = try await device()
    let lifecycle = AppLifecycle(db)
    let leaving = Task { await lifecycle.enterBackground() }
    await lifecycle.enterForeground()
    await leaving.value
    await lifecycle.enterForeground()
    #expect(try await db.table("t").count() == 0)
  }
}
