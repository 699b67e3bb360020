import Foundation
import InterocitorKit
import Testing

/// What the app gives to the engine and what it may do wrong: throw, block, call back, go away.
@Suite struct CredentialTests {
  struct Oops: Error { let secret = passphrase }

  /// A keychain that does as it is told.
  final class Keychain: CredentialStore {
    let behaviour: @Sendable (String) async throws -> Void
    let kept = MemoryCredentialStore()
    let calls = Shared<[String]>([])

    init(_ behaviour: @escaping @Sendable (String) async throws -> Void = { _ in }) { self.behaviour = behaviour }

    func load(_ name: String) async throws -> StoredCredentials? {
      calls.change { $0.append("load") }
      try await behaviour("load")
      return await kept.load(name)
    }
    func save(_ name: String, _ credentials: StoredCredentials) async throws {
      calls.change { $0.append("save") }
      try await behaviour("save")
      await kept.save(name, credentials)
    }
    func clear(_ name: String) async throws {
      calls.change { $0.append("clear") }
      try await behaviour("clear")
      await kept.clear(name)
    }
  }

  @Test func thePassphraseIsKeptBetweenRuns() async throws {
    let folder = try TemporaryFolder()
    let mailbox = Mailbox.memory()
    let keychain = Keychain()
    func open() async throws -> Interocitor {
      var configuration = configuration(.file(folder("a.db")))
      (configuration.passphrase, configuration.credentials) = (nil, keychain)
      let db = try await Interocitor.open(configuration)
      try await db.setRemoteStorage(mailbox)
      return db
    }
    let first = try await open()
    try await first.connect()
    let secret = try #require(first.getPassphrase())
    try await first.shutdown()
    let second = try await open()
    #expect(second.getPassphrase() == secret)
    #expect(try await second.connect() == .online)
    try await second.disconnect()
    try await second.clearCredentials()
    #expect(second.getPassphrase() == nil)
    #expect(keychain.calls.now.contains("clear") || keychain.calls.now.filter { $0 == "save" }.count > 1)
    try await second.shutdown()
    #expect(try await open().getPassphrase() == nil)
  }

  @Test func aKeychainThatThrowsIsUnavailable() async throws {
    let thrown = await expectFailure(.credentialsUnavailable) {
      try await open {
        $0.passphrase = nil
        $0.credentials = Keychain { _ in
          throw InterocitorError(.credentialsUnavailable, reason: "the device is locked", cause: .credential)
        }
      }
    }
    #expect(thrown?.reason.contains("the device is locked") == true && thrown?.cause == .credential)

    let other = await expectFailure(.credentialsUnavailable) {
      try await open { ($0.passphrase, $0.credentials) = (nil, Keychain { _ in throw Oops() }) }
    }
    #expect(other?.reason.contains("Oops") == true)
    #expect(other?.reason.contains(passphrase) == false)
  }

  @Test(.timeLimit(.minutes(1))) func aKeychainMayCallTheDatabase() async throws {
    let database = Shared<Interocitor?>(nil)
    let keychain = Keychain { call in
      guard call == "save", let db = database.now else { return }
      try await db.table("t").put("from the keychain", ["v": 1])
      _ = try await db.status()
    }
    let db = try await open { ($0.passphrase, $0.credentials) = (nil, keychain) }
    database.change { $0 = db }
    try await db.setRemoteStorage(.memory())
    #expect(try await db.connect() == .online)
    #expect(try await db.table("t").count() == 1)
    database.change { $0 = nil }
  }

  /// Seals by turning bytes round.
  struct Prompt: BiometricPrompt {
    var error: InterocitorError?
    func seal(_ secret: Data, reason: String) async throws -> Data { Data(secret.reversed()) }
    func unseal(_ sealed: Data, reason: String) async throws -> Data {
      if let error { throw error }
      #expect(reason == "Show the notes")
      return Data(sealed.reversed())
    }
  }

  @Test func biometricsGuardACopyOfThePassphrase() async throws {
    let folder = try TemporaryFolder()
    let keychain = Keychain()
    func open(_ error: InterocitorError? = nil) async throws -> Interocitor {
      var configuration = configuration(.file(folder("a.db")))
      (configuration.credentials, configuration.biometrics) = (keychain, Prompt(error: error))
      if error != nil { configuration.passphrase = nil }
      return try await Interocitor.open(configuration)
    }
    let db = try await open()
    try await db.setRemoteStorage(.memory())
    try await db.connect()
    try await db.secureWithBiometrics(reason: "Secure the notes")
    try await db.disconnect()
    try await db.clearCredentials()
    #expect(db.getPassphrase() == nil)
    try await db.restoreWithBiometrics(reason: "Show the notes")
    #expect(db.getPassphrase() == passphrase)
    try await db.shutdown()

    for code in [InterocitorError.Code.userCancelled, .biometricsUnavailable, .credentialInvalidated] {
      let db = try await open(InterocitorError(code, reason: "as the platform says", cause: .credential))
      let error = await expectFailure(code) { try await db.restoreWithBiometrics(reason: "Show the notes") }
      if code == .userCancelled { #expect(error?.cause == .cancelled) }
      try await db.shutdown()
    }
  }

  @Test func withoutBiometricsThereAreNone() async throws {
    let db = try await open()
    await expectFailure(.biometricsUnavailable) { try await db.secureWithBiometrics(reason: "Secure") }
    await expectFailure(.biometricsUnavailable) { try await db.restoreWithBiometrics(reason: "Restore") }
  }
}

@Suite struct AdapterTests {
  /// A mailbox of the app, in memory.
  actor Files: StorageAdapter {
    private var files: [String: Data] = [:]
    private let behaviour: @Sendable (String) async throws -> Void

    init(_ behaviour: @escaping @Sendable (String) async throws -> Void = { _ in }) { self.behaviour = behaviour }

    private func missing(_ path: String) -> MailboxError { MailboxError(.notFound, reason: "there is no \(path)") }

    func authenticate() async throws -> MailboxCapabilities {
      try await behaviour("authenticate")
      var capabilities = MailboxCapabilities()
      capabilities.exclusiveCreate = true
      return capabilities
    }
    func ensureFolder(_ path: String) async throws { try await behaviour("ensureFolder") }
    func listFiles(_ folder: String) async throws -> [MailboxFile] {
      try await behaviour("listFiles")
      return files.compactMap { path, body in
        let url = URL(fileURLWithPath: path)
        guard url.deletingLastPathComponent().path == folder else { return nil }
        return MailboxFile(name: url.lastPathComponent, path: path, size: body.count, modified: Date(timeIntervalSince1970: 1))
      }
    }
    func listFolders(_ folder: String) async throws -> [String] {
      let prefix = folder == "/" ? "/" : folder + "/"
      let inside = files.keys.filter { $0.hasPrefix(prefix) }.map { $0.dropFirst(prefix.count).split(separator: "/") }
      return Array(Set(inside.filter { $0.count > 1 }.map { String($0[0]) }))
    }
    func readFile(_ path: String) async throws -> Data {
      try await behaviour("readFile")
      guard let body = files[path] else { throw missing(path) }
      return body
    }
    func writeFile(_ path: String, _ body: Data) async throws {
      try await behaviour("writeFile")
      files[path] = body
    }
    func createFile(_ path: String, _ body: Data) async throws {
      guard files[path] == nil else { throw MailboxError(.alreadyExists, reason: "\(path) exists") }
      files[path] = body
    }
    func replaceFile(_ path: String, _ body: Data, etag: String) async throws { files[path] = body }
    func deleteFile(_ path: String) async throws { files[path] = nil }
    func metadata(_ path: String) async throws -> MailboxFile? {
      try await behaviour("metadata")
      return files[path].map { MailboxFile(name: URL(fileURLWithPath: path).lastPathComponent, path: path, size: $0.count) }
    }
  }

  @Test func anAdapterOfTheAppIsAMailbox() async throws {
    let mailbox = Mailbox.custom(Files())
    #expect(mailbox.kind == "custom")
    let a = try await connected(to: mailbox)
    try await a.table("t").put("x", ["v": 1])
    try await a.sync()
    #expect(try await connected(to: mailbox).table("t").row("x")?.value == ["v": 1])
  }

  private func outcome(_ error: any Error & Sendable) async throws -> OfflineReason? {
    let db = try await open { $0.connectStageTimeout = .seconds(2) }
    try await db.setRemoteStorage(.custom(Files { _ in throw error }))
    if case .offline(let why) = try await db.connect() { return why }
    return nil
  }

  @Test func faultsOfAnAdapterAreTold() async throws {
    struct Oops: Error { let secret = passphrase }
    for (fault, code) in [
      (MailboxError.Fault.offline, InterocitorError.Code.offline), (.timeout, .remoteTimeout),
      (.unauthorized, .remoteAccess), (.forbidden, .remoteAccess), (.rateLimited, .remoteAccess),
      (.unavailable, .remoteAccess), (.quotaFull, .quotaFull),
    ] {
      let why = try await outcome(MailboxError(fault, reason: "because", retryAfter: .milliseconds(1)))
      #expect(why?.code == code, "\(fault): \(why?.code.rawValue ?? "online")")
    }
    for fault in [MailboxError.Fault.io, .protocol, .invalidPath, .tooLarge, .conflict, .alreadyExists] {
      let db = try await open()
      try await db.setRemoteStorage(.custom(Files { call in if call == "listFiles" || call == "metadata" { throw MailboxError(fault, reason: "because") } }))
      #expect((try? await db.connect())?.isOnline != true, "\(fault)")
    }
    let why = try await outcome(Oops())
    #expect(why?.reason.contains("Oops") == true && why?.reason.contains(passphrase) == false)
    #expect(try await outcome(CancellationError()) != nil)
  }

  @Test(.timeLimit(.minutes(1))) func anAdapterThatBlocksIsGivenUp() async throws {
    let db = try await open { $0.connectStageTimeout = .milliseconds(200) }
    try await db.setRemoteStorage(.custom(Files { _ in try await Task.sleep(for: .seconds(3600)) }))
    guard case .offline(let why) = try await db.connect() else {
      Issue.record("it connected")
      return
    }
    #expect(why.code == .remoteTimeout)
    try await db.table("t").put("x", ["v": 1])
    try await db.shutdown()
  }

  @Test(.timeLimit(.minutes(1))) func cancellingATaskGivesUpItsCallAndWritesNothing() async throws {
    let reached = Shared(false)
    let adapter = Files { _ in
      reached.change { $0 = true }
      try await Task.sleep(for: .seconds(3600))
    }
    let db = try await open()
    try await db.setRemoteStorage(.custom(adapter))
    let connect = Task { try await db.connect() }
    try await eventually("the adapter was never asked") { reached.now }
    connect.cancel()
    await #expect(throws: CancellationError.self) { try await connect.value }
    #expect(try await db.status().meshID == nil)
    for call in [db.sync, { _ = try await db.pull() }, { try await db.syncOnce(deadline: .seconds(60)) }] as [@Sendable () async throws -> Void] {
      let task = Task {
        withUnsafeCurrentTask { $0?.cancel() }
        try await call()
      }
      await #expect(throws: CancellationError.self) { try await task.value }
    }
    try await eventually("it stays connecting") { db.connectionState == .offline }
  }

  @Test(.timeLimit(.minutes(1))) func aDisconnectBreaksOffWhatIsUnderWay() async throws {
    let (isStuck, isReached) = (Shared(false), Shared(false))
    let db = try await connected(to: .custom(Files { call in
      guard call == "listFiles", isStuck.now else { return }
      isReached.change { $0 = true }
      try await Task.sleep(for: .seconds(20))
    }))
    isStuck.change { $0 = true }
    let pulling = Task { try await db.pull() }
    try await eventually("it never asked") { isReached.now }
    try await db.disconnect()
    await #expect(throws: CancellationError.self) { try await pulling.value }
    #expect(db.connectionState == .offline)
  }

  /// A mailbox with versions, which refuses to overwrite another one than it was told.
  private actor Versioned: StorageAdapter {
    let files = Files()
    private var versions: [String: Int] = [:]
    private(set) var replaced: [String] = []
    private var isTaken = false

    func takeAll() { isTaken = true }

    func authenticate() async throws -> MailboxCapabilities {
      var capabilities = try await files.authenticate()
      capabilities.conditionalReplace = true
      return capabilities
    }
    func replaceFile(_ path: String, _ body: Data, etag: String) async throws {
      guard !isTaken, etag == "v\(versions[path] ?? 0)" else { throw MailboxError(.conflict, reason: "it is another one") }
      replaced.append(path)
      try await writeFile(path, body)
    }
    func writeFile(_ path: String, _ body: Data) async throws {
      versions[path, default: 0] += 1
      try await files.writeFile(path, body)
    }
    func createFile(_ path: String, _ body: Data) async throws {
      versions[path] = 1
      try await files.createFile(path, body)
    }
    func metadata(_ path: String) async throws -> MailboxFile? {
      var file = try await files.metadata(path)
      file?.etag = "v\(versions[path] ?? 0)"
      return file
    }
    func ensureFolder(_ path: String) async throws { try await files.ensureFolder(path) }
    func listFiles(_ folder: String) async throws -> [MailboxFile] { try await files.listFiles(folder) }
    func listFolders(_ folder: String) async throws -> [String] { try await files.listFolders(folder) }
    func readFile(_ path: String) async throws -> Data { try await files.readFile(path) }
    func deleteFile(_ path: String) async throws { try await files.deleteFile(path) }
  }

  @Test func anAdapterThatKnowsVersionsIsAskedToReplaceThem() async throws {
    let adapter = Versioned()
    let db = try await connected(to: .custom(adapter))
    try await db.table("t").put("x", ["v": 1])
    guard case .written(let snapshot) = try await db.compact(grace: .zero) else {
      Issue.record("it was overtaken")
      return
    }
    #expect(snapshot.epoch == 1 && snapshot.deleted >= 1)
    #expect(await adapter.replaced == ["/Mesh/manifest.json"])
    #expect(try await connected(to: .custom(adapter)).table("t").count() == 1)
    await adapter.takeAll()
    #expect(try await db.compact(grace: .zero) == .overtaken)
  }

  @Test(.timeLimit(.minutes(1))) func anAdapterMayCallTheDatabase() async throws {
    let database = Shared<Interocitor?>(nil)
    let db = try await open()
    database.change { $0 = db }
    try await db.setRemoteStorage(.custom(Files { call in
      guard call == "authenticate" else { return }
      try await database.now?.table("t").put("from the adapter", ["v": 1])
      _ = try await database.now?.status()
    }))
    #expect(try await db.connect() == .online)
    #expect(try await db.table("t").count() == 1)
    database.change { $0 = nil }
  }

  @Test(.timeLimit(.minutes(1))) func anAdapterMayShutTheDatabaseDown() async throws {
    let database = Shared<Interocitor?>(nil)
    let db = try await open()
    database.change { $0 = db }
    try await db.setRemoteStorage(.custom(Files { _ in try await database.now?.shutdown() }))
    _ = try? await db.connect()
    await expectFailure(.shutDown) { try await db.table("t").count() }
    database.change { $0 = nil }
  }

  @Test func tokensComeFromTheApp() async throws {
    struct Tokens: TokenProvider {
      let asked: Shared<Int>
      func token(rejected: String?) async throws -> String {
        asked.change { $0 += 1 }
        throw MailboxError(.unauthorized, reason: "sign in again")
      }
    }
    let asked = Shared(0)
    let db = try await open { $0.connectStageTimeout = .seconds(2) }
    try await db.setRemoteStorage(
      .webDAV(URL(string: "http://localhost:1/dav")!, access: .tokens(from: Tokens(asked: asked))))
    #expect(try await db.connect().isOnline == false)
    #expect(asked.now > 0)
  }

  @Test func anAdapterIsLetGo() async throws {
    final class Probe: Sendable {
      let gone: Shared<Bool>
      init(_ gone: Shared<Bool>) { self.gone = gone }
      deinit { gone.change { $0 = true } }
    }
    let gone = Shared(false)
    let db = try await open()
    do {
      let probe = Probe(gone)
      try await db.setRemoteStorage(.custom(Files { _ in _ = probe }))
    }
    try await db.connect()
    try await db.setRemoteStorage(nil)
    try await eventually("the adapter was kept") { gone.now }
  }
}

@Suite struct ListenerTests {
  @Test(.timeLimit(.minutes(1))) func aLoopMayCallTheDatabase() async throws {
    let db = try await open()
    var events = db.events.makeAsyncIterator()
    try await db.table("a").put("x", ["v": 1])
    while let event = await events.next() {
      if case .change("a", _) = event { try await db.table("b").put("x", ["v": 1]) }
      if case .change("b", _) = event { break }
    }
    #expect(try await db.table("b").count() == 1)
  }

  @Test func aMergeFunctionThatThrowsLeavesItToTheLastWriter() async throws {
    struct Oops: Error {}
    let mailbox = Mailbox.memory()
    let rule = MergeRule(table: "notes") { _ in throw Oops() }
    let a = try await connected(to: mailbox) { $0.mergeRules = [rule] }
    let b = try await connected(to: mailbox) { $0.mergeRules = [rule] }
    try await a.table("notes").put("n", ["text": "a"])
    try await Task.sleep(for: .milliseconds(5))
    try await b.table("notes").put("n", ["text": "b"])
    for _ in 0..<2 {
      try await a.sync()
      try await b.sync()
    }
    #expect(try await a.table("notes").row("n")?.value == ["text": "b"])
    #expect(try await b.table("notes").row("n")?.value == ["text": "b"])
  }

  @Test(.timeLimit(.minutes(1))) func aMergeFunctionMayUseTheDatabase() async throws {
    let mailbox = Mailbox.memory()
    let database = Shared<Interocitor?>(nil)
    let rule = MergeRule(table: "notes") { conflict in
      _ = try database.now?.connectedStores.list()
      return conflict.local
    }
    let a = try await connected(to: mailbox)
    let b = try await connected(to: mailbox) { $0.mergeRules = [rule] }
    database.change { $0 = b }
    try await a.table("notes").put("n", ["text": "a"])
    try await a.sync()
    try await b.table("notes").put("n", ["text": "b"])
    try await b.sync()
    #expect(try await b.table("notes").count() == 1)
    database.change { $0 = nil }
  }
}

/// The log sink is one for the process.
@Suite(.serialized) struct LogTests {
  @Test func linesReachTheApp() async throws {
    let lines = Shared<[LogRecord]>([])
    Interocitor.setLogSink(.trace) { line in lines.change { $0.append(line) } }
    let db = try await connected(to: .memory())
    try await db.table("t").put("x", ["v": "a secret value"])
    try await db.sync()
    try await provoke(db)
    try await eventually("nothing was logged") { !lines.now.isEmpty }
    #expect(lines.now.allSatisfy { !$0.message.contains(passphrase) && !$0.message.contains("a secret value") })
    #expect(lines.now.allSatisfy { !$0.target.isEmpty && $0.level <= .trace })
    Interocitor.removeLogSink()
  }

  @Test(.timeLimit(.minutes(1))) func aSinkThatThrowsOrBlocksHarmsNothing() async throws {
    struct Oops: Error {}
    let calls = Shared(0)
    Interocitor.setLogSink(.trace) { _ in
      calls.change { $0 += 1 }
      Thread.sleep(forTimeInterval: 0.05)
      throw Oops()
    }
    let db = try await connected(to: .memory())
    try await provoke(db)
    try await eventually("it was never called") { calls.now > 1 }
    Interocitor.removeLogSink()
    #expect(try await db.table("t").count() == 0)
  }

  /// Does something that is worth a log line.
  func provoke(_ db: Interocitor) async throws {
    struct Oops: Error {}
    let mailbox = Mailbox.memory()
    let rule = MergeRule(table: "notes") { _ in throw Oops() }
    let a = try await connected(to: mailbox) { $0.mergeRules = [rule] }
    let b = try await connected(to: mailbox) { $0.mergeRules = [rule] }
    for _ in 0..<3 {
      for (db, text) in [(a, "a"), (b, "b")] {
        try await db.table("notes").put("n", ["text": .string(text)])
        try await db.sync()
      }
    }
  }
}
