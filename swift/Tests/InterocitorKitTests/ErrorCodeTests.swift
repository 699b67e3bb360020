import Foundation
@testable import InterocitorKit
import Testing

/// Codes that need a damaged or foreign mailbox, store or credential. Those that calls of the app provoke are tested
/// beside these calls.
@Suite struct ErrorCodeTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private var mailbox: Mailbox { get throws { try .folder(folder.url) } }

  /// A mesh with one row in the folder; its device has disconnected.
  private func founded(_ change: (inout Configuration) -> Void = { _ in }) async throws -> Interocitor {
    let db = try await connected(to: mailbox, change)
    try await db.table("t").put("x", ["v": 1])
    try await db.sync()
    try await db.disconnect()
    return db
  }

  /// Connects another device, and gives the number of rows that it sees.
  @discardableResult
  private func join(_ change: (inout Configuration) -> Void = { _ in }) async throws -> Int {
    let db = try await open(change)
    try await db.setRemoteStorage(mailbox)
    #expect(try await db.connect() == .online)
    return try await db.table("t").count()
  }

  // MARK: the mailbox

  @Test(arguments: ["manifest.json", "manifest-1.json"]) func aDamagedManifestIsInvalid(_ name: String) async throws {
    let founder = try await founded()
    let file = folder("Mesh/\(name)")
    let whole = try Data(contentsOf: file)
    try whole.prefix(whole.count / 2).write(to: file)
    let error = await expectFailure(.manifestInvalid) { try await join() }
    #expect(error?.cause == .mesh && error?.isRetryable == false && error?.reason.contains(name) == true)
    await expectFailure(.manifestInvalid) { try await founder.connect() }
    #expect(try await founder.table("t").count() == 1)
    // Nothing was changed: with the file restored everything is as before.
    try whole.write(to: file)
    #expect(try await join() == 1)
  }

  @Test func anEditedManifestIsToldByItsHash() async throws {
    let founder = try await founded()
    let meshID = try #require(try await founder.status().meshID)
    let file = folder("Mesh/manifest-1.json")
    let text = try String(contentsOf: file, encoding: .utf8)
    let edited = text.replacingOccurrences(of: meshID, with: "another")
    try #require(edited != text)
    try Data(edited.utf8).write(to: file)
    let error = await expectFailure(.manifestHash) { try await join() }
    #expect(error?.cause == .mesh && error?.isRetryable == false && error?.reason.contains("manifest-1.json") == true)
    try Data(text.utf8).write(to: file)
    #expect(try await join() == 1)
  }

  @Test func aManagedMeshHasOneWriter() async throws {
    _ = try await founded { ($0.serverManaged, $0.serverID) = (true, "a") }
    let error = await expectFailure(.writerMismatch) { try await join { $0.serverID = "b" } }
    #expect(error?.cause == .mesh && error?.isRetryable == false && error?.reason.contains("\"a\"") == true)
    #expect(try await join { $0.serverID = "a" } == 1)
  }

  /// What the mailbox was some time ago comes back.
  private func rollBack(_ db: Interocitor, _ meanwhile: () async throws -> Void) async throws -> [Event] {
    try FileManager.default.copyItem(at: folder("Mesh"), to: folder("Older"))
    try await meanwhile()
    try FileManager.default.removeItem(at: folder("Mesh"))
    try FileManager.default.moveItem(at: folder("Older"), to: folder("Mesh"))
    var events = db.events.makeAsyncIterator()
    try await db.sync()
    var told: [Event] = []
    while let event = await events.next() {
      switch event {
      case .remoteRollback, .remoteRepaired: told.append(event)
      case .connectionChanged(.idle): return told
      default: break
      }
    }
    return told
  }

  @Test(.timeLimit(.minutes(1))) func aMailboxThatWentBackInTimeIsToldAndNothingIsLost() async throws {
    let db = try await founded()
    try await db.connect()
    let told = try await rollBack(db) {
      try await db.table("t").put("y", ["v": 2])
      #expect(try await db.compact(grace: .zero) != .overtaken)
    }
    #expect(told == [.remoteRollback(knownGeneration: 2, generation: 1, knownEpoch: 1, epoch: 0)])
    #expect(try await db.table("t").rows().map(\.id) == ["x", "y"])
    #expect(try await join() == 2)
  }

  @Test(.timeLimit(.minutes(1))) func aManifestThatWasOnlyCoveredUpIsPutBack() async throws {
    let db = try await founded()
    try FileManager.default.moveItem(at: folder("Mesh"), to: folder("Lost"))
    #expect(try await db.rebuildRemote() == .online)
    try FileManager.default.removeItem(at: folder("Mesh"))
    try FileManager.default.moveItem(at: folder("Lost"), to: folder("Mesh"))
    let told = try await rollBack(db) {}
    #expect(told == [.remoteRepaired(generation: 3, foundGeneration: 1)])
    #expect(try await db.status().generation == 3)
    #expect(try await join() == 1)
  }

  /// A mailbox that takes no large bodies: it says so before, or refuses them.
  private struct Narrow: StorageAdapter {
    static let limit = 4000
    let files = AdapterTests.Files()
    let tells: Bool

    func authenticate() async throws -> MailboxCapabilities {
      var capabilities = try await files.authenticate()
      if tells { capabilities.maxBody = Self.limit }
      return capabilities
    }
    func writeFile(_ path: String, _ body: Data) async throws {
      if body.count > Self.limit {
        #expect(!tells, "it was asked all the same")
        throw MailboxError(.tooLarge, reason: "too much")
      }
      try await files.writeFile(path, body)
    }
    func ensureFolder(_ path: String) async throws { try await files.ensureFolder(path) }
    func listFiles(_ folder: String) async throws -> [MailboxFile] { try await files.listFiles(folder) }
    func listFolders(_ folder: String) async throws -> [String] { try await files.listFolders(folder) }
    func readFile(_ path: String) async throws -> Data { try await files.readFile(path) }
    func createFile(_ path: String, _ body: Data) async throws { try await files.createFile(path, body) }
    func replaceFile(_ path: String, _ body: Data, etag: String) async throws {
      try await files.replaceFile(path, body, etag: etag)
    }
    func deleteFile(_ path: String) async throws { try await files.deleteFile(path) }
    func metadata(_ path: String) async throws -> MailboxFile? { try await files.metadata(path) }
  }

  @Test(arguments: [true, false]) func aChangeThatIsTooLargeWaitsAndIsShown(_ tells: Bool) async throws {
    let mailbox = Mailbox.custom(Narrow(tells: tells))
    let db = try await connected(to: mailbox) { $0.batchWindow = .zero }
    try await db.table("t").put("large", ["text": .string(String(repeating: "x", count: 2 * Narrow.limit))])
    try await db.table("t").put("small", ["text": "y"])
    #expect(try await db.flush() == 1)
    let status = try await db.status()
    #expect(status.pendingCount == 1 && status.pendingProblems.count == 1)
    #expect(status.pendingProblems.first?.hasPrefix("ENTRY_TOO_LARGE: ") == true, "\(status.pendingProblems)")
    #expect(try await db.table("t").count() == 2)
    #expect(try await connected(to: mailbox).table("t").rows().map(\.id) == ["small"])
  }

  // MARK: credentials

  /// Keeps one credential, under any name.
  private actor OneCredential: CredentialStore {
    var kept: StoredCredentials?

    init(_ kept: StoredCredentials? = nil) { self.kept = kept }

    // What the engine keeps besides goes under a name of its own.
    func load(_ name: String) -> StoredCredentials? { name.hasSuffix(" keys") ? nil : kept }
    func save(_ name: String, _ credentials: StoredCredentials) { if !name.hasSuffix(" keys") { kept = credentials } }
    func clear(_ name: String) { if !name.hasSuffix(" keys") { kept = nil } }
    func setMesh(_ meshID: String?) { kept?.meshID = meshID }
  }

  @Test func aCredentialOfAnotherMeshIsNotTakenIntoUse() async throws {
    let founder = try await founded()
    let keychain = OneCredential()
    func open(_ secret: String?) async throws -> Interocitor {
      var configuration = configuration(.file(folder("b.db")))
      (configuration.passphrase, configuration.credentials) = (secret, keychain)
      return try await Interocitor.open(configuration)
    }
    let db = try await open(passphrase)
    try await db.setRemoteStorage(mailbox)
    #expect(try await db.connect() == .online)
    try await db.shutdown()
    let meshID = try await founder.status().meshID
    let saved = await keychain.kept
    #expect(saved?.meshID == meshID && meshID != nil)

    // The store knows its mesh, so this is told before anything is asked of a mailbox.
    await keychain.setMesh("another")
    let error = await expectFailure(.meshCredentialMismatch) { try await open(nil) }
    #expect(error?.cause == .credential && error?.isRetryable == false && error?.reason.contains(passphrase) == false)
    await keychain.setMesh(meshID)
    try await open(nil).shutdown()
  }

  @Test func aCredentialOfAnotherMeshIsToldWhenItMeetsTheMesh() async throws {
    _ = try await founded()
    let foreign = OneCredential(.init(passphrase: passphrase, deviceID: "somebody", meshID: "another"))
    let db = try await open { ($0.passphrase, $0.credentials) = (nil, foreign) }
    try await db.setRemoteStorage(mailbox)
    let error = await expectFailure(.meshCredentialMismatch) { try await db.connect() }
    #expect(error?.cause == .credential && error?.isRetryable == false && error?.reason.contains(passphrase) == false)
    #expect(try await db.table("t").count() == 0)
    try await db.clearCredentials()
    try db.setPassphrase(passphrase)
    #expect(try await db.connect() == .online)
    #expect(try await db.table("t").count() == 1)
  }

  @Test func whatBiometricsOpenMustBeAPassphrase() async throws {
    struct Forgetful: BiometricPrompt {
      func seal(_ secret: Data, reason: String) async throws -> Data { secret }
      func unseal(_ sealed: Data, reason: String) async throws -> Data { Data([0xff, 0xfe]) }
    }
    let db = try await open { ($0.credentials, $0.biometrics) = (MemoryCredentialStore(), Forgetful()) }
    await expectFailure(.biometricsUnavailable) { try await db.restoreWithBiometrics(reason: "Show") }
    try await db.secureWithBiometrics(reason: "Secure")
    let error = await expectFailure(.credentialInvalidated) { try await db.restoreWithBiometrics(reason: "Show") }
    #expect(error?.cause == .credential && error?.isRetryable == false)
    #expect(db.getPassphrase() == passphrase)
  }

  // MARK: the store

  /// A store with one row that nobody has open.
  private func closedStore() async throws -> URL {
    let file = folder("a.db")
    let db = try await Interocitor.open(configuration(.file(file)))
    try await db.table("t").put("x", ["v": 1])
    try await db.shutdown()
    return file
  }

  /// Puts a number where the header of an SQLite file has one, and gives the former.
  @discardableResult
  private func setHeader(_ file: URL, at offset: UInt64, to number: UInt32) throws -> UInt32 {
    let handle = try FileHandle(forUpdating: file)
    defer { try? handle.close() }
    try handle.seek(toOffset: offset)
    let former = try #require(try handle.read(upToCount: 4)).reduce(0) { $0 << 8 | UInt32($1) }
    try handle.seek(toOffset: offset)
    try handle.write(contentsOf: withUnsafeBytes(of: number.bigEndian) { Data($0) })
    return former
  }

  @Test func aStoreOfANewerVersionIsLeftAlone() async throws {
    let file = try await closedStore()
    let userVersion: UInt64 = 60
    let ours = try setHeader(file, at: userVersion, to: 99)
    let error = await expectFailure(.storeNewer) { try await Interocitor.open(configuration(.file(file))) }
    #expect(error?.cause == .store && error?.isRetryable == false && error?.reason.contains("99") == true)
    #expect(try setHeader(file, at: userVersion, to: ours) == 99)
    let db = try await Interocitor.open(configuration(.file(file)))
    #expect(try await db.table("t").count() == 1)
    try await db.shutdown()
  }

  /// A file with holes, as large as SQLite lets one become, stands for a disk that is full: no page can be added.
  @Test func aFullDiskIsToldAndNothingIsHalfStored() async throws {
    let file = try await closedStore()
    let (pages, pageSize, pageCount): (UInt32, UInt64, UInt64) = (0xffff_fffe, 4096, 28)
    let size = try #require(try FileManager.default.attributesOfItem(atPath: file.path)[.size] as? UInt64)
    #expect(try UInt64(setHeader(file, at: pageCount, to: pages)) * pageSize == size)
    let handle = try FileHandle(forUpdating: file)
    try handle.truncate(atOffset: UInt64(pages) * pageSize)
    try handle.close()

    let db = try await Interocitor.open(configuration(.file(file)))
    let large = String(repeating: "x", count: 100_000)
    let error = await expectFailure(.diskFull) { try await db.table("t").put("y", ["text": .string(large)]) }
    #expect(error?.cause == .store && error?.isRetryable == true)
    await expectFailure(.diskFull) {
      try await db.batch { batch in
        try batch.table("t").put("z", ["v": 1])
        try batch.table("t").put("y", ["text": .string(large)])
      }
    }
    #expect(try await db.table("t").rows().map(\.id) == ["x"])
    #expect(try await db.status().pendingCount == 1)
    try await db.shutdown()
  }

  #if os(Linux)
    /// Holds the lock that writers of a store take, as another process would: such a lock belongs to the open file, so
    /// SQLite in this process has to wait for it, too. Elsewhere this kind of lock has no public name.
    private final class OtherWriter {
      private let file: FileHandle

      init(of store: URL) throws {
        file = try FileHandle(forUpdating: URL(fileURLWithPath: store.path + "-shm"))
        let (setLockOfOpenFile, writeLock): (Int32, Int) = (37, 120)
        var lock = flock()
        (lock.l_type, lock.l_whence, lock.l_start, lock.l_len) = (Int16(F_WRLCK), Int16(SEEK_SET), writeLock, 1)
        try #require(fcntl(file.fileDescriptor, setLockOfOpenFile, &lock) == 0, "\(String(cString: strerror(errno)))")
      }

      func letGo() throws { try file.close() }
    }

    /// It takes the ten seconds that a write waits for another process.
    @Test(.timeLimit(.minutes(1))) func aStoreThatAnotherProcessWritesToIsBusyUntilThatLetsGo() async throws {
      let db = try await Interocitor.open(configuration(.file(folder("a.db"))))
      let table = db.table("t")
      try await table.put("x", ["v": 1])
      let other = try OtherWriter(of: folder("a.db"))
      let isOver = Shared(false)
      let writing = Task {
        defer { isOver.change { $0 = true } }
        return await expectFailure(.storeBusy) { try await table.put("y", ["v": 2]) }
      }
      // Reads go on all the time.
      var reads = 0
      while !isOver.now {
        let begin = ContinuousClock.now
        #expect(try await table.rows().map(\.id) == ["x"])
        #expect(try await table.row("x")?.value == ["v": 1])
        #expect(ContinuousClock.now - begin < .seconds(2))
        reads += 1
        try await Task.sleep(for: .milliseconds(50))
      }
      #expect(reads > 100)
      let error = await writing.value
      #expect(error?.cause == .store && error?.isRetryable == true)
      try other.letGo()
      try await table.put("y", ["v": 2])
      #expect(try await table.count() == 2)
      try await db.shutdown()
    }
  #endif

  // MARK: the library

  /// A panic, or an interface that broke. Nothing known brings one about, so only the translation is tested.
  @Test func whatTheEngineNeverSaysIsAFaultOfIt() {
    struct Oops: Error {}
    let error = InterocitorError.translated(Oops()) as? InterocitorError
    #expect(error?.code == .internal && error?.isRetryable == false && error?.reason.contains("report") == true)
  }
}
