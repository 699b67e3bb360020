import Foundation
import InterocitorKit
import Testing

@Suite struct SyncTests {
  @Test func twoDevicesShareRows() async throws {
    let mailbox = Mailbox.memory()
    #expect(mailbox.kind == "memory")
    let a = try await connected(to: mailbox) { $0.deviceName = "Ada's phone" }
    try await a.table("todos", of: Todo.self).put("x", Todo("Buy milk"))
    #expect(try await a.status().pendingCount > 0)
    #expect(try await a.flush() == 1)
    #expect(try await a.status().pendingCount == 0)

    let b = try await connected(to: mailbox)
    #expect(try await b.table("todos", of: Todo.self).row("x")?.title == "Buy milk")
    try await b.table("todos", of: Todo.self).patch("x", .set(\.done, to: true))
    try await b.sync()
    #expect(try await a.pull() == 1)
    #expect(try await a.table("todos", of: Todo.self).row("x")?.done == true)

    let devices = try await b.devices()
    #expect(devices.map(\.id).sorted() == [a.deviceID, b.deviceID].sorted())
    #expect(devices.first { !$0.isThisDevice }?.name == "Ada's phone")
    let status = try await a.status()
    #expect(status.connection == .idle && status.meshID != nil && status.encrypted && status.remotePath == "/Mesh")
    #expect(status.deviceID == a.deviceID && status.lastSync != nil && status.problem == nil && status.quarantined == 0)
    #expect(a.appName == "tests")
    #expect(!Interocitor.libraryVersion.isEmpty)
  }

  @Test func anObservationSeesWhatAPeerWrites() async throws {
    let mailbox = Mailbox.memory()
    let (a, b) = (try await connected(to: mailbox), try await connected(to: mailbox))
    var states = b.table("todos", of: Todo.self).observe().makeAsyncIterator()
    _ = try await states.next()
    try await a.table("todos", of: Todo.self).put("x", Todo("from a"))
    try await a.sync()
    try await b.sync()
    #expect(try await states.next()?.first?.title == "from a")
  }

  @Test func aFolderIsAMailbox() async throws {
    let folder = try TemporaryFolder()
    let mailbox = try Mailbox.folder(folder.url)
    #expect(mailbox.kind == "folder")
    let db = try await connected(to: mailbox)
    try await db.table("t").put("x", ["v": 1])
    try await db.sync()
    let text = try String(contentsOf: folder("Mesh/manifest.json"), encoding: .utf8)
    #expect(!text.contains(passphrase))
    await expectFailure(.invalidArgument) { try Mailbox.folder(URL(string: "https://example.org")!) }
  }

  @Test func aMissingFolderIsOffline() async throws {
    let db = try await open()
    try await db.setRemoteStorage(.folder(URL(fileURLWithPath: "/nowhere/at/all")))
    guard case .offline(let why) = try await db.connect() else {
      Issue.record("it connected")
      return
    }
    #expect(why.code == .remoteAccess)
    #expect(!why.stage.isEmpty && !why.reason.isEmpty)
    let error = await expectFailure(.remoteAccess) { try await db.syncOnce(deadline: .seconds(5)) }
    #expect(error?.isRetryable == true && error?.cause == .remote && error?.errorDescription == error?.reason)
    #expect("\(try #require(error))".hasPrefix("REMOTE_ACCESS: "))
  }

  @Test func aJoinTakesThePassphraseAndNeverFounds() async throws {
    let folder = try TemporaryFolder()
    let mailbox = try Mailbox.folder(folder.url)
    let founder = try await connected(to: mailbox) { $0.passphrase = nil }
    let secret = try #require(founder.getPassphrase())
    try await founder.table("t").put("x", ["v": 1])
    try await founder.sync()

    let db = try await Interocitor.open(configuration(remotePath: nil))
    try await db.setRemoteStorage(mailbox)
    await expectFailure(.remoteMissing) { try await db.join(.init(remotePath: "/Other", passphrase: secret)) }
    await expectFailure(.passphraseWrong) { try await db.join(.init(remotePath: "/Mesh", passphrase: passphrase)) }
    await expectFailure(.passphraseWrong) { try db.setPassphrase("nonsense 0OIl") }
    #expect(try await db.join(.init(remotePath: "/Mesh", passphrase: secret)).isOnline)
    #expect(try await db.table("t").count() == 1)
  }

  @Test func whatDoesNotFitTheMeshIsToldByItsCode() async throws {
    let mailbox = Mailbox.memory()
    _ = try await connected(to: mailbox) { $0.schema = Schema(version: 2, tables: [:]) }
    func connect(_ change: (inout Configuration) -> Void) async throws {
      let db = try await open(change)
      try await db.setRemoteStorage(mailbox)
      try await db.connect()
    }
    await expectFailure(.passphraseRequired) { try await connect { $0.passphrase = nil } }
    await expectFailure(.meshEncryptionMismatch) { try await connect { ($0.encrypted, $0.passphrase) = (false, nil) } }
    let error = await expectFailure(.schemaMismatch) { try await connect { $0.schema = Schema(version: 1, tables: [:]) } }
    #expect(error?.cause == .mesh)
    try await connect { ($0.schema, $0.schemaPolicy) = (Schema(version: 3, tables: [:]), .migrate) }
  }

  @Test func aLostMeshIsRebuiltOnRequest() async throws {
    let folder = try TemporaryFolder()
    let db = try await connected(to: .folder(folder.url))
    try await db.table("t").put("x", ["v": 1])
    try await db.sync()
    try await db.disconnect()
    try FileManager.default.removeItem(at: folder("Mesh"))
    await expectFailure(.remoteMissing) { try await db.connect() }
    #expect(try await db.rebuildRemote() == .online)
    let peer = try await connected(to: .folder(folder.url))
    #expect(try await peer.table("t").count() == 1)
  }

  @Test func damagedFilesAreListed() async throws {
    let folder = try TemporaryFolder()
    let a = try await connected(to: .folder(folder.url))
    try await a.table("t").put("x", ["v": 1])
    try await a.sync()
    let changes = folder("Mesh/changes")
    let name = try #require(try FileManager.default.contentsOfDirectory(atPath: changes.path).first { $0.contains("-chg_") })
    try Data("{".utf8).write(to: changes.appendingPathComponent(name))
    let b = try await connected(to: .folder(folder.url))
    let files = try await b.quarantined()
    #expect(files.count == 1 && files.first?.id.contains(name) == true && files.first?.tries ?? 0 > 0)
    #expect(files.first?.code == .decode && files.first?.reason.isEmpty == false)
    #expect(files.first.map { $0.first <= $0.last && abs($0.last.timeIntervalSinceNow) < 60 } == true)
  }

  @Test func aMeshMayBeConfiguredLater() async throws {
    let db = try await Interocitor.open(configuration(remotePath: nil))
    try await db.setRemoteStorage(.memory())
    await expectFailure(.invalidArgument) { try await db.connect() }
    try db.configureMesh(MeshConfiguration(remotePath: "/Later", passphrase: passphrase))
    #expect(try await db.connect() == .online)
    #expect(try await db.status().remotePath == "/Later")
    try await db.setRemoteStorage(nil)
    #expect(db.connectionState == .offline)
  }

  @Test func syncOnceConnectsAndExchanges() async throws {
    let mailbox = Mailbox.memory()
    let a = try await open()
    try await a.setRemoteStorage(mailbox)
    try await a.table("t").put("x", ["v": 1])
    try await a.syncOnce(deadline: .seconds(5))
    #expect(try await connected(to: mailbox).table("t").count() == 1)
    await expectFailure(.invalidArgument) { try await a.syncOnce(deadline: .seconds(-1)) }
  }

  @Test func aWebDAVAddressIsChecked() async throws {
    #expect(try Mailbox.webDAV(URL(string: "http://localhost:1/dav")!).kind == "webdav")
    #expect(try Mailbox.webDAV(URL(string: "https://localhost/dav")!, access: .token("secret")).kind == "webdav")
    await expectFailure(.invalidArgument) { try Mailbox.webDAV(URL(string: "ftp://localhost/")!) }
    await expectFailure(.invalidArgument) {
      try Mailbox.webDAV(URL(string: "https://localhost/dav")!, authorities: "no certificate")
    }
    await expectFailure(.invalidArgument) {
      try Mailbox.webDAV(URL(string: "https://localhost/dav")!, timeout: .seconds(-1))
    }
    let db = try await open { $0.connectStageTimeout = .seconds(2) }
    try await db.setRemoteStorage(
      .webDAV(URL(string: "http://localhost:1/dav")!, access: .password(user: "ada", "secret"), timeout: .seconds(1)))
    #expect(try await db.connect().isOnline == false)
  }

  @Test func rowsMergeByTheFunctionOfTheApp() async throws {
    let mailbox = Mailbox.memory()
    let rule = MergeRule(table: "notes", field: "tags") { conflict in
      #expect(conflict.rowID == "n" && conflict.table == "notes" && conflict.field == "tags")
      let tags = Set((conflict.local.array ?? []) + (conflict.remote.array ?? []))
      return .array(tags.sorted { ($0.string ?? "") < ($1.string ?? "") })
    }
    let a = try await connected(to: mailbox) { $0.mergeRules = [rule] }
    let b = try await connected(to: mailbox) { $0.mergeRules = [rule] }
    try await a.table("notes").put("n", ["tags": ["red"]])
    try await b.table("notes").put("n", ["tags": ["blue"]])
    for _ in 0..<3 {
      try await a.sync()
      try await b.sync()
    }
    let merged: JSONObject = ["tags": ["blue", "red"]]
    #expect(try await a.table("notes").row("n")?.value == merged)
    #expect(try await b.table("notes").row("n")?.value == merged)
  }

  @Test(.timeLimit(.minutes(1))) func aDatabaseThatSyncsByItselfDoes() async throws {
    let mailbox = Mailbox.memory()
    func device() async throws -> Interocitor {
      try await connected(to: mailbox) {
        $0.autoSync = true
        $0.pollInterval = .milliseconds(50)
        ($0.flushDebounce, $0.batchWindow) = (.zero, .zero)
      }
    }
    let (a, b) = (try await device(), try await device())
    b.setForeground(true)
    try await a.table("t").put("x", ["v": 1])
    try await eventually("it never came") { try await b.table("t").count() == 1 }
    try await a.shutdown()
    try await b.shutdown()
  }
}
