import Foundation
internal import InterocitorBindings

/// What is remembered for one store.
public struct StoredCredentials: Hashable, Sendable {
  /// The mesh passphrase; nil for a mesh without encryption, or where only biometrics open it.
  public var passphrase: String?
  /// The device that saved it.
  public var deviceID: String
  /// The mesh that it opens, once that is known.
  public var meshID: String?
  /// The passphrase once more, as ``BiometricPrompt/seal(_:reason:)`` gave it.
  public var sealed: Data?

  /// Credentials.
  public init(passphrase: String? = nil, deviceID: String, meshID: String? = nil, sealed: Data? = nil) {
    self.passphrase = passphrase
    self.deviceID = deviceID
    self.meshID = meshID
    self.sealed = sealed
  }
}

extension StoredCredentials: CustomStringConvertible, CustomReflectable {
  /// Without secrets.
  public var description: String { "StoredCredentials(deviceID: \(deviceID))" }
  /// Without secrets.
  public var customMirror: Mirror { Mirror(self, children: ["deviceID": deviceID]) }
}

/// A safe place for credentials: a keychain.
///
/// Where it cannot be used now, throw an ``InterocitorError`` with ``InterocitorError/Code/credentialsUnavailable``, where it
/// is locked with ``InterocitorError/Code/credentialsLocked``; of any other error only the type is told. Methods are called from several tasks at once. They may block a thread; before iOS 18
/// and macOS 15 it is one of the few that all tasks share, so hand what takes long to a queue of your own there.
public protocol CredentialStore: Sendable {
  /// What was saved under a name.
  func load(_ name: String) async throws -> StoredCredentials?
  /// Saves under a name, replacing what was there.
  func save(_ name: String, _ credentials: StoredCredentials) async throws
  /// Removes what was saved under a name.
  func clear(_ name: String) async throws
}

/// The platform's biometrics: a key in secure hardware that only works while the user shows face or finger.
///
/// Throw an ``InterocitorError`` with ``InterocitorError/Code/userCancelled``,
/// ``InterocitorError/Code/biometricsUnavailable``, ``InterocitorError/Code/biometricsNotEnrolled``,
/// ``InterocitorError/Code/biometricsLockedOut`` or ``InterocitorError/Code/credentialInvalidated``.
public protocol BiometricPrompt: Sendable {
  /// Seals a secret, so that only ``unseal(_:reason:)`` on this device gives it back.
  func seal(_ secret: Data, reason: String) async throws -> Data
  /// Opens what was sealed.
  func unseal(_ sealed: Data, reason: String) async throws -> Data
  /// What was sealed is not wanted any more, since the secret was sealed anew: a prompt that keeps something for it lets
  /// go of that. Most keep nothing, and need not have this method.
  func discard(_ sealed: Data) async throws
}

extension BiometricPrompt {
  /// Nothing.
  public func discard(_ sealed: Data) async throws {}
}

/// Credentials in memory, for tests and previews.
public actor MemoryCredentialStore: CredentialStore {
  private var saved: [String: StoredCredentials] = [:]

  /// An empty store.
  public init() {}
  /// What was saved under a name.
  public func load(_ name: String) -> StoredCredentials? { saved[name] }
  /// Saves under a name.
  public func save(_ name: String, _ credentials: StoredCredentials) { saved[name] = credentials }
  /// Removes what was saved under a name.
  public func clear(_ name: String) { saved[name] = nil }
}

/// Asks a credential store or a prompt of the app.
private func asked<T>(_ call: () async throws -> T) async throws -> T {
  do { return try await appWork(call) } catch { throw InterocitorError.failure(error) }
}

/// A credential store of the app as the engine calls it.
final class CredentialBridge: InterocitorBindings.CredentialStore {
  private let store: any CredentialStore

  init(_ store: any CredentialStore) { self.store = store }

  func load(name: String) async throws -> InterocitorBindings.StoredCredentials? {
    try await asked { try await store.load(name) }.map {
      .init(passphrase: $0.passphrase, deviceId: $0.deviceID, meshId: $0.meshID, sealed: $0.sealed)
    }
  }

  func save(name: String, credentials: InterocitorBindings.StoredCredentials) async throws {
    let credentials = StoredCredentials(
      passphrase: credentials.passphrase, deviceID: credentials.deviceId, meshID: credentials.meshId,
      sealed: credentials.sealed)
    try await asked { try await store.save(name, credentials) }
  }

  func clear(name: String) async throws { try await asked { try await store.clear(name) } }
}

/// A prompt of the app as the engine calls it.
final class BiometricBridge: InterocitorBindings.BiometricPrompt {
  private let prompt: any BiometricPrompt

  init(_ prompt: any BiometricPrompt) { self.prompt = prompt }

  func seal(secret: Data, reason: String) async throws -> Data {
    try await asked { try await prompt.seal(secret, reason: reason) }
  }

  func unseal(sealed: Data, reason: String) async throws -> Data {
    try await asked { try await prompt.unseal(sealed, reason: reason) }
  }

  func discard(sealed: Data) async throws { try await asked { try await prompt.discard(sealed) } }
}
