import Foundation
import InterocitorKit
import Testing

/// Code of the app that stands still: whatever does not need its answer goes on meanwhile.
@Suite(.serialized, .timeLimit(.minutes(1))) struct BlockingTests {
  @Test func aKeychainThatBlocksHoldsUpNothingElse() async throws {
    let gate = Gate()
    let keychain = CredentialTests.Keychain { if $0 == "save" { gate.pass() } }
    let db = try await open { ($0.passphrase, $0.credentials) = (nil, keychain) }
    try await db.setRemoteStorage(.memory())
    #expect(try await gate.meanwhile(db) { try await db.connect() } == .online)
  }

  @Test func openingWaitsForTheKeychainAlone() async throws {
    let gate = Gate()
    let other = try await open()
    let db = try await gate.meanwhile(other) {
      try await open { ($0.passphrase, $0.credentials) = (nil, CredentialTests.Keychain { _ in gate.pass() }) }
    }
    try await db.table("t").put("x", ["v": 1])
  }

  @Test func aPromptThatBlocksHoldsUpNothingElse() async throws {
    struct Slow: BiometricPrompt {
      let sealing = Gate()
      let opening = Gate()
      func seal(_ secret: Data, reason: String) async throws -> Data {
        sealing.pass()
        return Data(secret.reversed())
      }
      func unseal(_ sealed: Data, reason: String) async throws -> Data {
        opening.pass()
        return Data(sealed.reversed())
      }
    }
    let prompt = Slow()
    let db = try await open { ($0.credentials, $0.biometrics) = (MemoryCredentialStore(), prompt) }
    try await prompt.sealing.meanwhile(db) { try await db.secureWithBiometrics(reason: "Secure") }
    try await prompt.opening.meanwhile(db) { try await db.restoreWithBiometrics(reason: "Show") }
    #expect(db.getPassphrase() == passphrase)
  }

  @Test func aMergeFunctionThatBlocksHoldsUpNothingElse() async throws {
    let gate = Gate()
    let mailbox = Mailbox.memory()
    let rule = MergeRule(table: "notes") { conflict in
      gate.pass()
      return .string([conflict.local.string, conflict.remote.string].compactMap { $0 }.max() ?? "")
    }
    let a = try await connected(to: mailbox)
    let b = try await connected(to: mailbox) { $0.mergeRules = [rule] }
    try await a.table("notes").put("n", ["text": "a"])
    try await a.sync()
    try await b.table("notes").put("n", ["text": "b"])
    try await gate.meanwhile(b) { try await b.sync() }
    #expect(try await b.table("notes").row("n")?.value == ["text": "b"])
  }

  /// A row that is written while its conflict is being decided is never overwritten by the answer.
  @Test func aWriteDuringAMergeIsKept() async throws {
    let gate = Gate()
    let mailbox = Mailbox.memory()
    let rule = MergeRule(table: "notes") { conflict in
      gate.pass()
      return conflict.remote
    }
    let a = try await connected(to: mailbox)
    let b = try await connected(to: mailbox) { $0.mergeRules = [rule] }
    try await a.table("notes").put("n", ["text": "a"])
    try await a.sync()
    try await b.table("notes").put("n", ["text": "b"])
    let syncing = Task { try await b.sync() }
    try await eventually("it was never asked") { gate.isReached }
    try await b.table("notes").put("n", ["more": "written meanwhile"])
    gate.open()
    try await syncing.value
    #expect(!gate.gaveUp)
    #expect(try await b.table("notes").row("n")?.value["more"] == "written meanwhile")
  }

  @Test func anAdapterThatBlocksHoldsUpNothingElse() async throws {
    let gate = Gate()
    let db = try await open()
    try await db.setRemoteStorage(.custom(AdapterTests.Files { if $0 == "authenticate" { gate.pass() } }))
    #expect(try await gate.meanwhile(db) { try await db.connect() } == .online)
  }

  /// Code of the app that stands still does not keep a database from ending.
  @Test func aShutdownWaitsForNoCodeOfTheApp() async throws {
    let gates = (0..<4).map { _ in Gate() }
    let keychain = CredentialTests.Keychain { if $0 == "save" { gates[0].pass() } }
    let mailbox = Mailbox.memory()
    let rule = MergeRule(table: "notes") { conflict in
      gates[3].pass()
      return conflict.local
    }
    let peer = try await connected(to: mailbox)
    try await peer.table("notes").put("n", ["text": "theirs"])
    try await peer.sync()
    let devices = [
      try await open { ($0.passphrase, $0.credentials) = (nil, keychain) }, try await open(), try await open(),
      try await connected(to: mailbox) { $0.mergeRules = [rule] },
    ]
    try await devices[0].setRemoteStorage(.memory())
    try await devices[1].setRemoteStorage(.custom(AdapterTests.Files { if $0 == "listFiles" { gates[1].pass() } }))
    try await devices[2].setRemoteStorage(.custom(AdapterTests.Files { if $0 == "authenticate" { gates[2].pass() } }))
    try await devices[3].table("notes").put("n", ["text": "ours"])
    try await peer.table("notes").put("n", ["text": "theirs again"])
    try await peer.sync()
    let calls = devices.enumerated().map { index, db in
      Task { if index == 3 { try await db.sync() } else { try await db.connect() } }
    }
    for (gate, db) in zip(gates, devices) {
      try await eventually("it was never asked") { gate.isReached }
      let begin = ContinuousClock.now
      try await db.shutdown()
      #expect(ContinuousClock.now - begin < .seconds(3))
      #expect(!gate.gaveUp)
      await expectFailure(.shutDown) { try await db.status() }
    }
    gates.forEach { $0.open() }
    for call in calls { _ = await call.result }
  }

  /// More of them than tasks have threads, in every place where code of the app may wait.
  @Test func codeOfTheAppBlocksNoThreadThatTasksShare() async throws {
    struct Prompt: BiometricPrompt {
      let gate: Gate
      func seal(_ secret: Data, reason: String) async throws -> Data {
        gate.pass()
        return secret
      }
      func unseal(_ sealed: Data, reason: String) async throws -> Data { sealed }
    }
    struct Tokens: TokenProvider {
      let gate: Gate
      func token(rejected: String?) async throws -> String {
        gate.pass()
        throw MailboxError(.unauthorized, reason: "sign in again")
      }
    }
    let gates = (0...ProcessInfo.processInfo.activeProcessorCount).map { _ in (0..<4).map { _ in Gate() } }
    let db = try await open()
    try await db.table("t").put("x", ["v": 1])
    try await withThrowingTaskGroup(of: Void.self) { group in
      for gate in gates {
        let keychain = CredentialTests.Keychain { if $0 == "save" { gate[0].pass() } }
        let devices = [
          try await open { ($0.passphrase, $0.credentials) = (nil, keychain) }, try await open(), try await open(),
          try await open { ($0.credentials, $0.biometrics) = (MemoryCredentialStore(), Prompt(gate: gate[3])) },
        ]
        try await devices[0].setRemoteStorage(.memory())
        try await devices[1].setRemoteStorage(.custom(AdapterTests.Files { if $0 == "listFiles" { gate[1].pass() } }))
        let url = URL(string: "http://localhost:1/dav")!
        try await devices[2].setRemoteStorage(.webDAV(url, access: .tokens(from: Tokens(gate: gate[2]))))
        for device in devices[..<3] { group.addTask { try await device.connect() } }
        group.addTask { try await devices[3].secureWithBiometrics(reason: "Secure") }
      }
      let all = gates.flatMap { $0 }
      try await eventually("not all were asked") { all.allSatisfy(\.isReached) }
      for round in 0..<50 {
        try await db.table("t").put("x", ["v": .integer(Int64(round))])
        #expect(try await db.table("t").rows().count == 1)
        await Task.yield()
      }
      #expect(all.allSatisfy { !$0.gaveUp }, "what should have gone on waited for them")
      all.forEach { $0.open() }
      try await group.waitForAll()
    }
  }

  @Test func aTokenProviderThatBlocksHoldsUpNothingElse() async throws {
    struct Slow: TokenProvider {
      let gate = Gate()
      func token(rejected: String?) async throws -> String {
        gate.pass()
        throw MailboxError(.unauthorized, reason: "sign in again")
      }
    }
    let tokens = Slow()
    let db = try await open()
    try await db.setRemoteStorage(.webDAV(URL(string: "http://localhost:1/dav")!, access: .tokens(from: tokens)))
    let outcome = try await tokens.gate.meanwhile(db) { try await db.connect() }
    #expect(!outcome.isOnline)
  }
}

/// Here, since the log sink is one for the process and these tests follow one another.
extension LogTests {
  @Test(.timeLimit(.minutes(1))) func aSinkThatStandsStillHoldsUpNothing() async throws {
    struct Oops: Error {}
    let gate = Gate()
    let mailbox = Mailbox.memory()
    let rule = MergeRule(table: "notes") { _ in throw Oops() }
    let a = try await connected(to: mailbox)
    let b = try await connected(to: mailbox) { $0.mergeRules = [rule] }
    try await a.table("notes").put("n", ["text": "a"])
    try await a.sync()
    try await b.table("notes").put("n", ["text": "b"])
    Interocitor.setLogSink(.trace) { _ in gate.pass() }
    // What the merge function throws is logged.
    try await b.sync()
    try await eventually("nothing was logged") { gate.isReached }
    try await b.table("notes").put("n", ["text": "c"])
    try await b.sync()
    Interocitor.removeLogSink()
    try await a.sync()
    #expect(!gate.gaveUp, "what should have gone on waited for it")
    gate.open()
    #expect(try await a.table("notes").row("n")?.value == ["text": "c"])
  }
}

/// Where code of the app stands still until a test lets it go on.
private final class Gate: Sendable {
  private let opening = DispatchSemaphore(value: 0)
  private let state = Shared((isReached: false, gaveUp: false))

  var isReached: Bool { state.now.isReached }
  /// Whether it was not opened in time: what should have gone on waited for it.
  var gaveUp: Bool { state.now.gaveUp }

  /// Blocks the thread, as a keychain does, but not for ever.
  func pass() {
    state.change { $0.isReached = true }
    if opening.wait(timeout: .now() + 5) == .timedOut { state.change { $0.gaveUp = true } }
    // Whoever comes later walks through.
    opening.signal()
  }

  func open() { opening.signal() }

  /// Makes the call, expects that everything else goes on while it stands at the gate, and lets it go on.
  func meanwhile<T: Sendable>(
    _ db: Interocitor, sourceLocation: SourceLocation = #_sourceLocation,
    _ call: @escaping @Sendable () async throws -> T
  ) async throws -> T {
    let isDone = Shared(false)
    let task = Task {
      defer { isDone.change { $0 = true } }
      return try await call()
    }
    try await eventually("it was never asked", sourceLocation: sourceLocation) { isReached }
    try await db.table("meanwhile").put("x", ["v": 1])
    let rows = try await db.table("meanwhile").rows().map(\.id)
    #expect(rows == ["x"], sourceLocation: sourceLocation)
    let status = try await db.status()
    #expect(status.pendingCount > 0, sourceLocation: sourceLocation)
    let another = try await InterocitorKitTests.open()
    try await another.table("t").put("x", ["v": 1])
    try await another.shutdown()
    #expect(!isDone.now, "it did not wait", sourceLocation: sourceLocation)
    open()
    let answer = try await task.value
    #expect(!gaveUp, "what should have gone on waited for it", sourceLocation: sourceLocation)
    return answer
  }
}
