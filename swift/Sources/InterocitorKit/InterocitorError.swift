import Foundation
internal import InterocitorBindings

/// Why a call failed.
///
/// ``code`` is stable and the same in every language, ``reason`` says what happened and what to do. A call that was
/// given up because its `Task` was cancelled throws `CancellationError` instead.
///
/// ```swift
/// do {
///   try await db.sync()
/// } catch let error as InterocitorError where error.isRetryable {
///   // Nothing is lost: what was written waits and is published later.
/// }
/// ```
public struct InterocitorError: Error, Hashable, Sendable {
  /// A stable name for a cause. New ones may come with new versions, so a `switch` over them needs a `default`.
  public struct Code: RawRepresentable, Hashable, Sendable {
    /// The name, as it stands in the field guide.
    public let rawValue: String

    /// A code by its name.
    public init(rawValue: String) { self.rawValue = rawValue }
  }

  /// What an app can do about it.
  public enum Cause: Hashable, Sendable {
    /// The mailbox cannot be reached or used now.
    case remote
    /// The mesh cannot be taken part in.
    case mesh
    /// Passphrase, keychain or biometrics.
    case credential
    /// The local store.
    case store
    /// What was given or found does not fit.
    case rejected
    /// The user broke it off.
    case cancelled
    /// The database was shut down or is suspended.
    case closed
  }

  /// Which value could not be read, where ``InterocitorError/code`` is ``Code/decode``.
  public struct Place: Hashable, Sendable {
    /// The table.
    public let table: String
    /// The row.
    public let rowID: String
    /// The column, with dots before what lies deeper; nil where the row as a whole does not fit.
    public let field: String?

    /// A place.
    public init(table: String, rowID: String, field: String?) {
      (self.table, self.rowID, self.field) = (table, rowID, field)
    }
  }

  /// What happened, by its stable name.
  public let code: Code
  /// What happened and what to do, for people. Never holds values, keys or passphrases.
  public let reason: String
  /// Whether the same call may succeed later by itself.
  public let isRetryable: Bool
  /// What an app can do about it.
  public let cause: Cause
  /// The row and column of a ``Code/decode`` failure.
  public let place: Place?

  /// A failure, also for what a credential store, a prompt or a merge function of the app throws.
  public init(
    _ code: Code, reason: String, isRetryable: Bool = false, cause: Cause = .rejected, place: Place? = nil
  ) {
    self.code = code
    self.reason = reason
    self.isRetryable = isRetryable
    self.cause = cause
    self.place = place
  }
}

extension InterocitorError: LocalizedError, CustomStringConvertible {
  /// ``reason``.
  public var errorDescription: String? { reason }
  /// The code and the reason.
  public var description: String { "\(code.rawValue): \(reason)" }
}

extension InterocitorError.Code {
  /// The mailbox cannot be reached.
  public static let offline = Self(rawValue: "OFFLINE")
  /// The mailbox did not answer in time.
  public static let remoteTimeout = Self(rawValue: "REMOTE_TIMEOUT")
  /// The mailbox refused, throttled or failed.
  public static let remoteAccess = Self(rawValue: "REMOTE_ACCESS")
  /// The mailbox is full.
  public static let quotaFull = Self(rawValue: "QUOTA_FULL")
  /// A mesh that this store knows is gone from the mailbox.
  public static let remoteMissing = Self(rawValue: "REMOTE_MISSING")
  /// The mailbox shows an older state than before.
  public static let remoteRollback = Self(rawValue: "REMOTE_ROLLBACK")
  /// Pointer or manifest cannot be read.
  public static let manifestInvalid = Self(rawValue: "MANIFEST_INVALID")
  /// The manifest is not the one that the pointer names.
  public static let manifestHash = Self(rawValue: "MANIFEST_HASH")
  /// The mesh exists and no passphrase was given.
  public static let passphraseRequired = Self(rawValue: "PASSPHRASE_REQUIRED")
  /// The passphrase opens nothing of this mesh, or is none.
  public static let passphraseWrong = Self(rawValue: "PASSPHRASE_WRONG")
  /// The mesh is encrypted and this device is not, or the other way round.
  public static let meshEncryptionMismatch = Self(rawValue: "MESH_ENCRYPTION_MISMATCH")
  /// The saved credential belongs to another mesh.
  public static let meshCredentialMismatch = Self(rawValue: "MESH_CREDENTIAL_MISMATCH")
  /// The app declares another schema version than the mesh has.
  public static let schemaMismatch = Self(rawValue: "SCHEMA_MISMATCH")
  /// A managed mesh is written by another server.
  public static let writerMismatch = Self(rawValue: "WRITER_MISMATCH")
  /// The local file cannot be opened.
  public static let storeOpen = Self(rawValue: "STORE_OPEN")
  /// The local file was written by a newer version.
  public static let storeNewer = Self(rawValue: "STORE_NEWER")
  /// The local file is damaged or something else.
  public static let storeCorrupt = Self(rawValue: "STORE_CORRUPT")
  /// The local file is encrypted, and the credential store has no key that opens it.
  public static let storeLocked = Self(rawValue: "STORE_LOCKED")
  /// Another process holds the store.
  public static let storeBusy = Self(rawValue: "STORE_BUSY")
  /// The local disk is full.
  public static let diskFull = Self(rawValue: "DISK_FULL")
  /// A value or name is too large.
  public static let limit = Self(rawValue: "LIMIT")
  /// One change is larger than the mailbox accepts.
  public static let entryTooLarge = Self(rawValue: "ENTRY_TOO_LARGE")
  /// Another row holds that value in a unique field.
  public static let uniqueViolation = Self(rawValue: "UNIQUE_VIOLATION")
  /// Something given is unusable.
  public static let invalidArgument = Self(rawValue: "INVALID_ARGUMENT")
  /// Something read does not fit: a row into the app's type, a file of the mailbox, or what is no image that can be decoded.
  public static let decode = Self(rawValue: "DECODE")
  /// The keychain cannot be used now.
  public static let credentialsUnavailable = Self(rawValue: "CREDENTIALS_UNAVAILABLE")
  /// The keychain is locked, as before the first unlock of a device.
  public static let credentialsLocked = Self(rawValue: "CREDENTIALS_LOCKED")
  /// A saved credential is lost: face or finger were enrolled anew, or the keychain was emptied or damaged.
  public static let credentialInvalidated = Self(rawValue: "CREDENTIAL_INVALIDATED")
  /// The master passphrase does not open the file of credentials.
  public static let masterPassphraseWrong = Self(rawValue: "MASTER_PASSPHRASE_WRONG")
  /// No biometrics, none configured, or nothing secured yet.
  public static let biometricsUnavailable = Self(rawValue: "BIOMETRICS_UNAVAILABLE")
  /// The device has biometrics, but no face or finger is enrolled.
  public static let biometricsNotEnrolled = Self(rawValue: "BIOMETRICS_NOT_ENROLLED")
  /// Too many failed tries: unlock the device with its code first.
  public static let biometricsLockedOut = Self(rawValue: "BIOMETRICS_LOCKED_OUT")
  /// The devices were not paired: what was scanned is no code, a used one, or not for this app.
  public static let pairingRejected = Self(rawValue: "PAIRING_REJECTED")
  /// The other device did not do its part of a pairing in time.
  public static let pairingTimeout = Self(rawValue: "PAIRING_TIMEOUT")
  /// There is no durable file under this path.
  public static let fileNotFound = Self(rawValue: "FILE_NOT_FOUND")
  /// A durable file is not what it should be; nothing of it was given out.
  public static let fileIntegrity = Self(rawValue: "FILE_INTEGRITY")
  /// What was to be imported is no export, or not whole; nothing was changed.
  public static let exportInvalid = Self(rawValue: "EXPORT_INVALID")
  /// What was to be imported was written by a newer version; nothing was changed.
  public static let exportNewer = Self(rawValue: "EXPORT_NEWER")
  /// The user dismissed a prompt.
  public static let userCancelled = Self(rawValue: "USER_CANCELLED")
  /// The database is suspended: resume it first.
  public static let suspended = Self(rawValue: "SUSPENDED")
  /// The database was shut down.
  public static let shutDown = Self(rawValue: "SHUT_DOWN")
  /// A fault of the engine itself. Please report it.
  public static let `internal` = Self(rawValue: "INTERNAL")
}

extension InterocitorError {
  static func invalid(_ what: String, _ why: String) -> Self {
    Self(.invalidArgument, reason: "\(what): \(why)")
  }

  /// The engine's failure in the words of this module; `CancellationError` where somebody gave up the call.
  static func translated(_ error: any Error) -> any Error {
    guard let failure = error as? Failure else {
      if error is InterocitorError || error is CancellationError { return error }
      return InterocitorError(.internal, reason: "the engine failed, please report this: \(error)")
    }
    let (cause, code, reason, isRetryable): (Cause, String, String, Bool) =
      switch failure {
      case .Remote(let code, let reason, let retryable): (.remote, code, reason, retryable)
      case .Mesh(let code, let reason, let retryable): (.mesh, code, reason, retryable)
      case .Credential(let code, let reason, let retryable): (.credential, code, reason, retryable)
      case .Store(let code, let reason, let retryable): (.store, code, reason, retryable)
      case .Rejected(let code, let reason, let retryable): (.rejected, code, reason, retryable)
      case .Cancelled(let code, let reason, let retryable): (.cancelled, code, reason, retryable)
      case .Closed(let code, let reason, let retryable): (.closed, code, reason, retryable)
      }
    if code == "CANCELLED" { return CancellationError() }
    return InterocitorError(Code(rawValue: code), reason: reason, isRetryable: isRetryable, cause: cause)
  }

  /// What code of the app threw, for the engine. Of an error that is not ours only its type is told: its text might
  /// hold what must not be logged.
  static func failure(_ error: any Error) -> Failure {
    guard let error = error as? InterocitorError else {
      let reason =
        error is CancellationError ? "the app's code was cancelled" : "the app's code threw \(type(of: error))"
      return .Credential(code: Code.credentialsUnavailable.rawValue, reason: reason, retryable: true)
    }
    let (code, reason, retryable) = (error.code.rawValue, error.reason, error.isRetryable)
    return switch error.cause {
    case .remote: .Remote(code: code, reason: reason, retryable: retryable)
    case .mesh: .Mesh(code: code, reason: reason, retryable: retryable)
    case .credential: .Credential(code: code, reason: reason, retryable: retryable)
    case .store: .Store(code: code, reason: reason, retryable: retryable)
    case .rejected: .Rejected(code: code, reason: reason, retryable: retryable)
    case .cancelled: .Cancelled(code: code, reason: reason, retryable: retryable)
    case .closed: .Closed(code: code, reason: reason, retryable: retryable)
    }
  }
}

/// Runs a call of the engine and translates what it throws.
func engine<T>(_ call: () throws -> T) throws -> T {
  do { return try call() } catch { throw InterocitorError.translated(error) }
}

/// The same for calls that wait.
func engine<T: Sendable>(_ call: @Sendable () async throws -> T) async throws -> T {
  do { return try await call() } catch { throw InterocitorError.translated(error) }
}

/// The same for calls that can be given up: cancelling the `Task` reaches the engine.
func cancellable<T: Sendable>(_ call: @Sendable (CancelToken) async throws -> T) async throws -> T {
  try Task.checkCancellation()
  let token = CancelToken()
  return try await withTaskCancellationHandler {
    try await engine { try await call(token) }
  } onCancel: {
    token.cancel()
  }
}
