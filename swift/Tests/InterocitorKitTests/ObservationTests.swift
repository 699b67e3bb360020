import Foundation
import InterocitorKit
import Testing

@Suite struct ObservationTests {
  @Test func theFirstStateComesAtOnceAndThenEveryChange() async throws {
    let todos = try await open().table("todos", of: Todo.self)
    var states = todos.query().where(\.done == false).order(by: \.title).observe().makeAsyncIterator()
    #expect(try await states.next()?.isEmpty == true)
    try await todos.put("x", Todo("b"))
    #expect(try await states.next()?.map(\.id) == ["x"])
    try await todos.put("y", Todo("a"))
    #expect(try await states.next()?.map(\.title) == ["a", "b"])
  }

  @Test func onlyTheLastOfManyStatesIsGiven() async throws {
    let todos = try await open().table("todos", of: Todo.self)
    var states = todos.observe().makeAsyncIterator()
    _ = try await states.next()
    for rank in 1...20 { try await todos.put("x", Todo("a", rank: rank)) }
    #expect(try await states.next()?.first?.rank == 20)
  }

  @Test func whatDoesNotChangeTheRowsIsPassedOver() async throws {
    let db = try await open()
    let todos = db.table("todos", of: Todo.self)
    var states = todos.query().where(\.done == true).observe().makeAsyncIterator()
    _ = try await states.next()
    try await todos.put("x", Todo("not done"))
    try await db.table("other").put("x", ["v": 1])
    try await todos.put("y", Todo("done", done: true))
    #expect(try await states.next()?.map(\.id) == ["y"])
  }

  @Test func aLoopEndsWhenTheDatabaseIsShutDown() async throws {
    let db = try await open()
    let todos = db.table("todos", of: Todo.self)
    let seen = Shared(0)
    let loop = Task {
      for try await _ in todos.observe() { seen.change { $0 += 1 } }
    }
    try await eventually("it never began") { seen.now == 1 }
    try await db.shutdown()
    try await loop.value
    #expect(seen.now == 1)
  }

  @Test(.timeLimit(.minutes(1))) func aCancelledLoopThrowsAtOnce() async throws {
    let todos = try await open().table("todos", of: Todo.self)
    let began = Shared(false)
    let task = Task {
      for try await _ in todos.observe() { began.change { $0 = true } }
    }
    try await eventually("it never began") { began.now }
    task.cancel()
    await #expect(throws: CancellationError.self) { try await task.value }
  }

  @Test func aLoopMayBeLeftAndBegunAgain() async throws {
    let todos = try await open().table("todos", of: Todo.self)
    let all = todos.observe()
    for try await _ in all { break }
    try await todos.put("x", Todo("a"))
    for try await rows in all {
      #expect(rows.count == 1)
      break
    }
  }

  @Test func aRowThatDoesNotFitIsThrownAndTheNextStateIsGiven() async throws {
    let db = try await open()
    let todos = db.table("todos", of: Todo.self)
    var states = todos.observe().makeAsyncIterator()
    _ = try await states.next()
    try await db.table("todos").put("bad", ["title": 1])
    await expectFailure(.decode) { try await states.next() }
    try await todos.delete("bad")
    try await todos.put("good", Todo("a"))
    #expect(try await states.next()?.map(\.id) == ["good"])
  }

  @Test func resultsHideNoRow() async throws {
    let db = try await open()
    try await db.table("todos").put("bad", ["title": 1])
    try await db.table("todos", of: Todo.self).put("good", Todo("a"))
    for try await results in db.table("todos", of: Todo.self).query().observeResults() {
      #expect(results.count == 2)
      #expect(results[0].failure?.place?.rowID == "bad")
      #expect((try? results[1].get())?.id == "good")
      break
    }
  }
}

@Suite struct EventTests {
  @Test func changesAreTold() async throws {
    let db = try await open()
    var events = db.events.makeAsyncIterator()
    try await db.table("t").put("x", ["v": 1])
    #expect(await events.next() == .change(table: "t", rowIDs: ["x"]))
    try await db.table("t").delete("x")
    #expect(await events.next() == .delete(table: "t", rowIDs: ["x"]))
  }

  @Test func aConnectIsTold() async throws {
    let db = try await open()
    var events = db.events.makeAsyncIterator()
    try await db.setRemoteStorage(.memory())
    try await db.connect()
    var seen: [Event] = []
    while let event = await events.next() {
      seen.append(event)
      if event == .connectionChanged(state: .idle) { break }
    }
    #expect(seen.contains(.connectionChanged(state: .connecting)))
    #expect(seen.contains { if case .connectState(let path, _, _, _, _, let isEncrypted) = $0 { path == "/Mesh" && isEncrypted } else { false } })
  }

  @Test(.timeLimit(.minutes(1))) func aLoopEndsWithTheDatabase() async throws {
    let db = try await open()
    let loop = Task {
      var count = 0
      for await _ in db.events { count += 1 }
      return count
    }
    try await Task.sleep(for: .milliseconds(20))
    try await db.table("t").put("x", ["v": 1])
    try await db.shutdown()
    #expect(await loop.value >= 1)
    for await _ in db.events { Issue.record("an event after the shutdown") }
  }

  @Test(.timeLimit(.minutes(1))) func aCancelledLoopEnds() async throws {
    let db = try await open()
    let loop = Task { for await _ in db.events {} }
    try await Task.sleep(for: .milliseconds(20))
    loop.cancel()
    await loop.value
  }

  @Test func aSlowLoopIsToldThatItLags() async throws {
    let db = try await open()
    var events = db.events.makeAsyncIterator()
    for index in 0..<1500 { try await db.table("t\(index)").put("x", ["v": 1]) }
    try await Task.sleep(for: .milliseconds(100))
    var seen: [Event] = []
    while seen.last != .change(table: "t1499", rowIDs: ["x"]), seen.count < 2000, let event = await events.next() {
      seen.append(event)
    }
    #expect(seen.contains(.lagged))
    #expect(seen.count < 1500)
  }

  @Test func statesBeginWithTheOneThatIs() async throws {
    let db = try await open()
    #expect(db.connectionState == .offline)
    var states = db.connectionStates.makeAsyncIterator()
    #expect(await states.next() == .offline)
    try await db.setRemoteStorage(.memory())
    try await db.connect()
    var last: ConnectionState?
    while last != .idle { last = await states.next() }
    #expect(db.connectionState == .idle)
    try await db.disconnect()
    #expect(await states.next() == .offline)
    try await db.shutdown()
    #expect(await states.next() == nil)
  }
}
