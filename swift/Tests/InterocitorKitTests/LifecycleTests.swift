import Foundation
import InterocitorKit
import Testing

@Suite struct LifecycleTests {
  @Test func rowsAreThereAfterReopening() async throws {
    let folder = try TemporaryFolder()
    let first = try await Interocitor.open(configuration(.file(folder("a.db"))))
    try await first.table("todos", of: Todo.self).put("x", Todo("kept"))
    try await first.shutdown()
    let again = try await Interocitor.open(configuration(.file(folder("a.db"))))
    #expect(try await again.table("todos", of: Todo.self).row("x")?.title == "kept")
    #expect(again.deviceID == first.deviceID)
    try await again.shutdown()
  }

  @Test func afterShutdownEveryCallSaysSo() async throws {
    let db = try await connected(to: .memory())
    let todos = db.table("todos", of: Todo.self)
    try await db.shutdown()
    try await db.shutdown()
    await expectFailure(.shutDown) { try await todos.add(Todo("a")) }
    await expectFailure(.shutDown) { try await todos.put("x", Todo("a")) }
    await expectFailure(.shutDown) { try await todos.patch("x", .set(\.done, to: true)) }
    await expectFailure(.shutDown) { try await todos.replace("x", Todo("a")) }
    await expectFailure(.shutDown) { try await todos.delete("x") }
    await expectFailure(.shutDown) { try await todos.row("x") }
    await expectFailure(.shutDown) { try await todos.rows() }
    await expectFailure(.shutDown) { try await todos.count() }
    await expectFailure(.shutDown) { try await db.batch { _ in } }
    await expectFailure(.shutDown) { try db.configureMesh(.init(remotePath: "/Mesh")) }
    await expectFailure(.shutDown) { try await db.setRemoteStorage(.memory()) }
    await expectFailure(.shutDown) { try await db.connect() }
    await expectFailure(.shutDown) { try await db.disconnect() }
    await expectFailure(.shutDown) { try await db.pull() }
    await expectFailure(.shutDown) { try await db.flush() }
    await expectFailure(.shutDown) { try await db.sync() }
    await expectFailure(.shutDown) { try await db.compact() }
    await expectFailure(.shutDown) { try await db.syncOnce(deadline: .seconds(1)) }
    await expectFailure(.shutDown) { try await db.join(.init(remotePath: "/Mesh")) }
    await expectFailure(.shutDown) { try await db.rebuildRemote() }
    await expectFailure(.shutDown) { try await db.status() }
    await expectFailure(.shutDown) { try await db.devices() }
    await expectFailure(.shutDown) { try await db.retireDevice("x") }
    await expectFailure(.shutDown) { try await db.quarantined() }
    await expectFailure(.shutDown) { try await db.restoreQuarantined("x") }
    await expectFailure(.shutDown) { try await db.discardQuarantined("x") }
    await expectFailure(.shutDown) { try await db.dump() }
    await expectFailure(.shutDown) { try await db.tableNames() }
    await expectFailure(.shutDown) { try await db.suspend() }
    await expectFailure(.shutDown) { try await db.resume() }
    await expectFailure(.shutDown) { try db.setPassphrase(passphrase) }
    await expectFailure(.shutDown) { try await db.secureWithBiometrics(reason: "Secure") }
    await expectFailure(.shutDown) { try await db.restoreWithBiometrics(reason: "Restore") }
    await expectFailure(.shutDown) { try await db.clearCredentials() }
    await expectFailure(.shutDown) { try db.connectedStores.list() }
    await expectFailure(.shutDown) { try db.connectedStores.get("x") }
    await expectFailure(.shutDown) { try db.connectedStores.put(["id": "x"]) }
    await expectFailure(.shutDown) { try db.connectedStores.remove("x") }
    await expectFailure(.shutDown) { try await todos.query().results() }
    await expectFailure(.shutDown) { for try await _ in todos.observe() {} }
    let error = await expectFailure(.shutDown) { try await todos.count() }
    #expect(error?.cause == .closed)
    db.setForeground(true)
    #expect(db.connectionState == .offline)
  }

  @Test func whileSuspendedEveryCallSaysSo() async throws {
    let folder = try TemporaryFolder()
    let db = try await Interocitor.open(configuration(.file(folder("a.db"))))
    let todos = db.table("todos", of: Todo.self)
    try await todos.put("x", Todo("a"))
    try await db.suspend()
    await expectFailure(.suspended) { try await todos.count() }
    await expectFailure(.suspended) { try await todos.put("y", Todo("b")) }
    try await db.resume()
    #expect(try await todos.count() == 1)
  }

  @Test func anObservationWaitsWhileSuspended() async throws {
    let folder = try TemporaryFolder()
    let db = try await Interocitor.open(configuration(.file(folder("a.db"))))
    let todos = db.table("todos", of: Todo.self)
    var states = todos.observe().makeAsyncIterator()
    _ = try await states.next()
    try await db.suspend()
    let observing = Task { [states] in
      var states = states
      return try await states.next()?.count
    }
    try await db.resume()
    try await todos.put("x", Todo("a"))
    #expect(try await observing.value == 1)
  }

  @Test func storesThatCannotBeOpenedAreToldByTheirCode() async throws {
    let folder = try TemporaryFolder()
    let error = await expectFailure(.storeOpen) {
      try await Interocitor.open(configuration(.file(folder("missing/a.db"))))
    }
    #expect(error?.cause == .store)
    try Data(repeating: 7, count: 4096).write(to: folder("bad.db"))
    await expectFailure(.storeCorrupt) { try await Interocitor.open(configuration(.file(folder("bad.db")))) }
    let aside = try await Interocitor.setAsideStore(at: folder("bad.db"))
    #expect(FileManager.default.fileExists(atPath: aside.path))
    #expect(!FileManager.default.fileExists(atPath: folder("bad.db").path))
    try await Interocitor.open(configuration(.file(folder("bad.db")))).shutdown()
    await expectFailure(.storeOpen) { try await Interocitor.setAsideStore(at: folder("nothing.db")) }
  }

  @Test func configurationsAreChecked() async throws {
    await expectFailure(.invalidArgument) { try await open { $0.store = .file(URL(string: "https://example.org/a.db")!) } }
    await expectFailure(.invalidArgument) { try await open { $0.schema = Schema(json: "{") } }
    await expectFailure(.invalidArgument) { try await open { $0.pollInterval = .seconds(-1) } }
    await expectFailure(.invalidArgument) { try await open { $0.flushThreshold = -1 } }
    await expectFailure(.invalidArgument) {
      try await open { $0.schema = Schema(tables: ["t": .init(fields: ["x": .string.indexed().optional()])]) }
    }
  }

  @Test func schemasDeclareEveryKindOfField() async throws {
    let schema = Schema(
      version: 4,
      tables: [
        "t": .init(
          fields: [
            "text": .string.indexed(), "number": .number.merging(.remoteWins), "yes": .boolean, "day": .date,
            "any": .json.optional(), "photo": .file.optional(), "state": .oneOf(["open", "done"]),
          ], merge: .lastWriterWins)
      ], merge: .localWins)
    let db = try await open { $0.schema = schema }
    try await db.table("t").put("x", ["text": "b", "state": "open"])
    #expect(try await db.table("t").query().where("text", .equals("b")).count() == 1)
  }

  @Test func secretsAreNotShown() {
    let configuration = configuration()
    let mesh = MeshConfiguration(remotePath: "/Mesh", passphrase: passphrase)
    let stored = StoredCredentials(passphrase: passphrase, deviceID: "d", sealed: Data("sealed".utf8))
    let access = WebDAVAccess.password(user: "ada", passphrase)
    for value in [configuration, mesh, stored, access] as [Any] {
      var text = "\(value) \(String(reflecting: value))"
      dump(value, to: &text)
      #expect(!text.contains(passphrase), "\(type(of: value))")
    }
  }

  @Test func aForgottenHandleLetsGoOfItsStore() async throws {
    let folder = try TemporaryFolder()
    for index in 0..<3 {
      let db = try await Interocitor.open(configuration(.file(folder("a.db"))))
      try await db.table("t").put("x\(index)", ["v": 1])
      #expect(try await db.table("t").count() == index + 1)
    }
  }

  @Test func connectedStoresAreKept() async throws {
    let stores = try await open().connectedStores
    #expect(try stores.list().isEmpty)
    try stores.put(["id": "s1", "kind": "webdav"])
    #expect(try stores.get("s1")?["kind"] == "webdav")
    #expect(try stores.get("s1")?["createdAt"] != nil)
    #expect(try stores.get("nobody") == nil)
    #expect(try stores.list().count == 1)
    await expectFailure(.invalidArgument) { try stores.put(["kind": "no id"]) }
    #expect(try stores.remove("s1"))
    #expect(try stores.remove("s1") == false)
  }
}
