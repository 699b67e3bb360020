import Foundation
internal import InterocitorBindings

/// A credential store that the engine brings with it, and uses itself where it is configured.
protocol EngineCredentials: CredentialStore {
  var store: Result<any InterocitorBindings.CredentialStore, any Error> { get }
}

extension EngineCredentials {
  /// What was saved under a name.
  public func load(_ name: String) async throws -> StoredCredentials? {
    let store = try store.get()
    return try await engine { try await store.load(name: name) }.map {
      StoredCredentials(passphrase: $0.passphrase, deviceID: $0.deviceId, meshID: $0.meshId, sealed: $0.sealed)
    }
  }

  /// Saves under a name, replacing what was there.
  public func save(_ name: String, _ credentials: StoredCredentials) async throws {
    let store = try store.get()
    try await engine {
      try await store.save(
        name: name,
        credentials: .init(
          passphrase: credentials.passphrase, deviceId: credentials.deviceID, meshId: credentials.meshID,
          sealed: credentials.sealed))
    }
  }

  /// Removes what was saved under a name.
  public func clear(_ name: String) async throws {
    let store = try store.get()
    try await engine { try await store.clear(name: name) }
  }
}

/// Credentials in the keychain of iOS and macOS: for this device only, never in a backup or in iCloud, readable after its
/// first unlock.
///
/// ```swift
/// configuration.credentials = KeychainCredentialStore(service: "com.example.todo", accessGroup: "TEAM.com.example")
/// configuration.biometrics = KeychainBiometrics(service: "com.example.todo")
/// ```
///
/// On other platforms every use of it fails with ``InterocitorError/Code/credentialsUnavailable``.
public struct KeychainCredentialStore: EngineCredentials {
  let store: Result<any InterocitorBindings.CredentialStore, any Error>

  /// Items are kept apart by the service, for instance the bundle identifier. With an access group the app's extensions
  /// see them, too; both need the entitlement.
  public init(service: String, accessGroup: String? = nil) {
    store = Result {
      try engine { try InterocitorBindings.keychainCredentials(service: service, accessGroup: accessGroup) }
    }
  }
}

/// Credentials in one file under a master passphrase, for servers and CI.
///
/// The passphrase is stretched by Argon2id, the content encrypted. Who has the file can guess at a short one, so let a
/// generator make it. A wrong one is found by the first use: ``InterocitorError/Code/masterPassphraseWrong``.
public struct FileCredentialStore: EngineCredentials {
  let store: Result<any InterocitorBindings.CredentialStore, any Error>

  /// The file, which is made by the first save; its folder must be there.
  public init(_ url: URL, masterPassphrase: String) throws {
    guard url.isFileURL else { throw InterocitorError.invalid("credentials", "it is no file URL") }
    let file = try engine {
      try InterocitorBindings.fileCredentials(path: url.path, masterPassphrase: masterPassphrase)
    }
    store = .success(file)
  }
}

/// Face ID and Touch ID over the keychain: a secret is an item that only the faces and fingers of today open.
///
/// Apps declare `NSFaceIDUsageDescription`, which iOS shows with the prompt; the reason of a call is not shown. On other
/// platforms every use of it fails with ``InterocitorError/Code/biometricsUnavailable``.
public struct KeychainBiometrics: BiometricPrompt {
  let prompt: Result<any InterocitorBindings.BiometricPrompt, any Error>

  /// As ``KeychainCredentialStore``.
  public init(service: String, accessGroup: String? = nil) {
    prompt = Result {
      try engine { try InterocitorBindings.keychainBiometrics(service: service, accessGroup: accessGroup) }
    }
  }

  /// Seals a secret, so that only ``unseal(_:reason:)`` on this device gives it back.
  public func seal(_ secret: Data, reason: String) async throws -> Data {
    let prompt = try prompt.get()
    return try await engine { try await prompt.seal(secret: secret, reason: reason) }
  }

  /// Opens what was sealed.
  public func unseal(_ sealed: Data, reason: String) async throws -> Data {
    let prompt = try prompt.get()
    return try await engine { try await prompt.unseal(sealed: sealed, reason: reason) }
  }

  /// Lets go of the item.
  public func discard(_ sealed: Data) async throws {
    let prompt = try prompt.get()
    try await engine { try await prompt.discard(sealed: sealed) }
  }
}

extension Configuration {
  /// The credential store as the engine takes it.
  func engineCredentials() throws -> (any InterocitorBindings.CredentialStore)? {
    switch credentials {
    case nil: nil
    case let own as any EngineCredentials: try own.store.get()
    case let app?: CredentialBridge(app)
    }
  }

  /// The prompt as the engine takes it.
  func engineBiometrics() throws -> (any InterocitorBindings.BiometricPrompt)? {
    switch biometrics {
    case nil: nil
    case let own as KeychainBiometrics: try own.prompt.get()
    case let app?: BiometricBridge(app)
    }
  }
}
