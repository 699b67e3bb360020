import Foundation
import InterocitorKit
import Testing

@Suite struct RecoveryTests {
  private let folder: TemporaryFolder
  private let mailbox = Mailbox.memory()

  init() throws { folder = try TemporaryFolder() }

  private func vault(_ master: String = "master") throws -> FileCredentialStore {
    try FileCredentialStore(folder("keys.json"), masterPassphrase: master)
  }

  @Test func everyFormOfAKitBringsTheKeyBack() async throws {
    let kit = try await connected(to: mailbox).recoveryKit()
    #expect(kit.passphrase == passphrase && kit.words.count == 24 && "\(kit)" == "RecoveryKit")
    for form in [kit.text, kit.qr, kit.words.joined(separator: " ")] {
      let db = try await open { $0.passphrase = nil }
      try await db.setRemoteStorage(mailbox)
      await expectFailure(.passphraseRequired) { try await db.connect() }
      try db.recover(form)
      #expect(try await db.connect() == .online)
      #expect(try RecoveryKit(form).passphrase == passphrase)
    }
    let asked = kit.quiz(3)
    #expect(asked.count == 3)
    #expect(asked.allSatisfy { kit.isWord($0, kit.words[$0 - 1].uppercased()) && !kit.isWord($0, "nonsense") })
    #expect(!kit.isWord(0, kit.words[0]) && !kit.isWord(-1, kit.words[0]))
    #expect(kit.quiz(99) == Array(1...24))
    await expectFailure(.invalidArgument) { try RecoveryKit("nonsense") }
  }

  @Test func credentialsTravelAsText() async throws {
    let text = try await connected(to: mailbox).exportCredentials()
    #expect(try JSONValue(json: Data(text.utf8))["passphrase"] == .string(passphrase))
    let db = try await open { $0.passphrase = nil }
    try await db.setRemoteStorage(mailbox)
    try db.importCredentials(text)
    #expect(try await db.connect() == .online)
    await expectFailure(.invalidArgument) { try db.importCredentials("{}") }
  }

  @Test func aFileUnderAMasterPassphraseKeepsKeysAndThoseThatWereReplaced() async throws {
    let (store, next) = (Configuration.Store.file(folder("t.db")), Mailbox.memory())
    var db = try await connected(to: mailbox) { ($0.store, $0.passphrase, $0.credentials) = (store, nil, try? vault()) }
    let founded = try #require(db.getPassphrase())
    #expect(try await db.supersededKeys() == [])
    try await db.shutdown()
    #expect(try !String(contentsOf: folder("keys.json"), encoding: .utf8).contains(founded))
    _ = try await connected(to: next)
    db = try await connected(to: next) { ($0.store, $0.credentials) = (store, try? vault()) }
    try await db.disconnect()
    let key = try #require(try await db.supersededKeys().first)
    #expect(!"\(key)".contains(founded))
    try await db.restoreSupersededKey(key.id)
    #expect(db.getPassphrase() == founded)
    #expect(try await db.discardSupersededKey(key.id))
    #expect(try await !db.discardSupersededKey(key.id))

    await expectFailure(.masterPassphraseWrong) { try await vault("another").load("any") }
    await expectFailure(.invalidArgument) { try vault("") }
    let saved = StoredCredentials(passphrase: passphrase, deviceID: "dev-1", meshID: "mesh", sealed: Data([1]))
    try await vault().save("any", saved)
    #expect(try await vault().load("any") == saved)
    try await vault().clear("any")
    #expect(try await vault().load("any") == nil)
  }

  #if !canImport(Security)
    @Test func thereIsNoAppleKeychainElsewhere() async throws {
      let keychain = KeychainCredentialStore(service: "app", accessGroup: "group")
      await expectFailure(.credentialsUnavailable) { try await keychain.load("any") }
      await expectFailure(.credentialsUnavailable) { try await open { $0.credentials = keychain } }
      let biometrics = KeychainBiometrics(service: "app")
      await expectFailure(.biometricsUnavailable) { try await biometrics.unseal(Data(), reason: "please") }
      await expectFailure(.biometricsUnavailable) { try await open { $0.biometrics = biometrics } }
    }
  #endif

  @Test func aLibraryWithoutACipherSaysSo() async throws {
    await expectFailure(.invalidArgument) {
      try await open {
        ($0.store, $0.credentials, $0.storeEncryption) = (.file(folder("sealed.db")), try? vault(), StoreEncryption())
      }
    }
  }

  /// A prompt that wants to know what it need not keep.
  private struct Tidy: BiometricPrompt {
    let discarded: Shared<[Data]>
    func seal(_ secret: Data, reason: String) async throws -> Data { Data(secret.reversed()) }
    func unseal(_ sealed: Data, reason: String) async throws -> Data { Data(sealed.reversed()) }
    func discard(_ sealed: Data) async throws { discarded.change { $0.append(sealed) } }
  }

  @Test func aPromptIsToldOfWhatItNeedNotKeep() async throws {
    let discarded = Shared<[Data]>([])
    let db = try await connected(to: mailbox) {
      ($0.credentials, $0.biometrics) = (MemoryCredentialStore(), Tidy(discarded: discarded))
    }
    #expect(try await !db.isSecuredWithBiometrics())
    for _ in 0..<2 { try await db.secureWithBiometrics(reason: "please") }
    #expect(try await db.isSecuredWithBiometrics())
    #expect(discarded.now.count == 1)
  }

  @Test func connectedStoresOfTheJavaScriptClientAreTakenOver() async throws {
    let stores = try await open().connectedStores
    let records: [JSONObject] = [["id": "a", "createdAt": "2020-01-01T00:00:00.000Z"], ["id": "b"]]
    #expect(try stores.importAll(records) == 2)
    #expect(try stores.get("a")?["createdAt"] == "2020-01-01T00:00:00.000Z")
    await expectFailure(.invalidArgument) { try stores.importAll(records + [[:]]) }
  }
}
