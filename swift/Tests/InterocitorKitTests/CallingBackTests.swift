import Foundation
import InterocitorKit
import Testing

/// Code of the app that calls the database which waits for it; adapters, keychains and merge functions have theirs beside
/// their other tests.
@Suite(.timeLimit(.minutes(1))) struct CallingBackTests {
  private struct Prompt: BiometricPrompt {
    let database: Shared<Interocitor?>

    func seal(_ secret: Data, reason: String) async throws -> Data {
      try await database.now?.table("t").put("from seal", ["v": 1])
      return secret
    }
    func unseal(_ sealed: Data, reason: String) async throws -> Data {
      try await database.now?.batch { try $0.table("t").put("from unseal", ["v": 1]) }
      _ = try await database.now?.status()
      return sealed
    }
  }

  @Test func aPromptMayCallTheDatabase() async throws {
    let database = Shared<Interocitor?>(nil)
    let db = try await open { ($0.credentials, $0.biometrics) = (MemoryCredentialStore(), Prompt(database: database)) }
    database.change { $0 = db }
    try await db.secureWithBiometrics(reason: "Secure")
    try await db.restoreWithBiometrics(reason: "Show")
    #expect(try await db.table("t").rows().map(\.id) == ["from seal", "from unseal"])
    database.change { $0 = nil }
  }

  private struct Tokens: TokenProvider {
    let database: Shared<Interocitor?>

    func token(rejected: String?) async throws -> String {
      try await database.now?.table("t").put("from the provider", ["v": 1])
      _ = try await database.now?.dump()
      throw MailboxError(.unauthorized, reason: "sign in again")
    }
  }

  @Test func aTokenProviderMayCallTheDatabase() async throws {
    let database = Shared<Interocitor?>(nil)
    let db = try await open()
    database.change { $0 = db }
    let tokens = WebDAVAccess.tokens(from: Tokens(database: database))
    try await db.setRemoteStorage(.webDAV(URL(string: "http://localhost:1/dav")!, access: tokens))
    #expect(try await db.connect().isOnline == false)
    #expect(try await db.table("t").count() == 1)
    database.change { $0 = nil }
  }

  @Test func anythingThatATokenProviderThrowsIsAnAnswer() async throws {
    struct Oops: Error { let secret = passphrase }
    struct Broken: TokenProvider {
      let error: any Error & Sendable
      func token(rejected: String?) async throws -> String { throw error }
    }
    for error in [Oops(), CancellationError(), MailboxError(.forbidden, reason: "not you")] as [any Error & Sendable] {
      let db = try await open()
      let access = WebDAVAccess.tokens(from: Broken(error: error))
      try await db.setRemoteStorage(.webDAV(URL(string: "http://localhost:1/dav")!, access: access))
      guard case .offline(let why) = try await db.connect() else {
        Issue.record("it connected")
        continue
      }
      #expect(why.code == .remoteAccess && !why.reason.contains(passphrase), "\(error): \(why)")
    }
  }

  @Test func anythingThatAPromptThrowsIsAnAnswer() async throws {
    struct Oops: Error { let secret = passphrase }
    struct Broken: BiometricPrompt {
      func seal(_ secret: Data, reason: String) async throws -> Data { throw Oops() }
      func unseal(_ sealed: Data, reason: String) async throws -> Data { throw Oops() }
    }
    let db = try await open { ($0.credentials, $0.biometrics) = (MemoryCredentialStore(), Broken()) }
    let error = await expectFailure(.credentialsUnavailable) { try await db.secureWithBiometrics(reason: "Secure") }
    #expect(error?.reason.contains("Oops") == true && error?.reason.contains(passphrase) == false)
  }
}

/// Here, since the log sink is one for the process and these tests follow one another.
extension LogTests {
  @Test(.timeLimit(.minutes(1))) func aSinkMayCallTheDatabaseAndTakeItselfAway() async throws {
    let db = try await open()
    let calls = Shared(0)
    Interocitor.setLogSink(.trace) { _ in
      try db.connectedStores.put(["id": "from the sink"])
      #expect(db.getPassphrase() == passphrase && db.connectionState == .offline)
      Interocitor.removeLogSink()
      calls.change { $0 += 1 }
    }
    try await provoke(open())
    try await eventually("it was never called") { calls.now > 0 }
    #expect(try db.connectedStores.list().count == 1)
    Interocitor.removeLogSink()
  }
}

/// What the app gave is let go with the database, so that nothing of the app is kept alive by it.
@Suite struct LettingGoTests {
  /// Counts those that are alive.
  private final class Probe: Sendable {
    let alive: Shared<Int>

    init(_ alive: Shared<Int>) {
      self.alive = alive
      alive.change { $0 += 1 }
    }

    deinit { alive.change { $0 -= 1 } }
  }

  private struct Prompt: BiometricPrompt {
    let probe: Probe
    func seal(_ secret: Data, reason: String) async throws -> Data { secret }
    func unseal(_ sealed: Data, reason: String) async throws -> Data { sealed }
  }

  private struct Tokens: TokenProvider {
    let probe: Probe
    func token(rejected: String?) async throws -> String { "token" }
  }

  @Test func nothingOfTheAppIsKept() async throws {
    let alive = Shared(0)
    func use() async throws {
      func probe() -> Probe { Probe(alive) }
      let (keychain, rule, adapter) = (probe(), probe(), probe())
      let db = try await open {
        $0.credentials = CredentialTests.Keychain { _ in _ = keychain }
        $0.biometrics = Prompt(probe: probe())
        $0.mergeRules = [MergeRule(table: "t") { [rule] conflict in withExtendedLifetime(rule) { conflict.local } }]
      }
      try await db.setRemoteStorage(.custom(AdapterTests.Files { _ in _ = adapter }))
      #expect(try await db.connect() == .online)
      try await db.secureWithBiometrics(reason: "Secure")
      let access = WebDAVAccess.tokens(from: Tokens(probe: probe()))
      try await db.setRemoteStorage(.webDAV(URL(string: "http://localhost:1/dav")!, access: access))
      _ = try await db.connect()
      #expect(alive.now == 5)
      try await db.shutdown()
    }
    try await use()
    try await eventually("something is kept") { alive.now == 0 }
  }
}
