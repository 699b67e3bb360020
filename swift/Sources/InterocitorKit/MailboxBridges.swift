import Foundation
internal import InterocitorBindings

/// An adapter of the app as the engine calls it.
final class AdapterBridge: InterocitorBindings.StorageAdapter {
  private let adapter: any StorageAdapter

  init(_ adapter: any StorageAdapter) { self.adapter = adapter }

  private func asked<T>(_ call: () async throws -> T) async throws -> T {
    do { return try await appWork(call) } catch { throw MailboxError.failure(error) }
  }

  func authenticate() async throws -> InterocitorBindings.MailboxCapabilities {
    let found = try await asked { try await adapter.authenticate() }
    return .init(
      exclusiveCreate: found.exclusiveCreate, conditionalReplace: found.conditionalReplace,
      maxBody: found.maxBody.map(Int64.init))
  }
  func ensureFolder(path: String) async throws { try await asked { try await adapter.ensureFolder(path) } }
  func listFiles(folder: String) async throws -> [InterocitorBindings.MailboxFile] {
    try await asked { try await adapter.listFiles(folder) }.map(\.engine)
  }
  func listFolders(folder: String) async throws -> [String] {
    try await asked { try await adapter.listFolders(folder) }
  }
  func readFile(path: String) async throws -> Data { try await asked { try await adapter.readFile(path) } }
  func writeFile(path: String, body: Data) async throws {
    try await asked { try await adapter.writeFile(path, body) }
  }
  func createFile(path: String, body: Data) async throws {
    try await asked { try await adapter.createFile(path, body) }
  }
  func replaceFile(path: String, body: Data, etag: String) async throws {
    try await asked { try await adapter.replaceFile(path, body, etag: etag) }
  }
  func deleteFile(path: String) async throws { try await asked { try await adapter.deleteFile(path) } }
  func metadata(path: String) async throws -> InterocitorBindings.MailboxFile? {
    try await asked { try await adapter.metadata(path) }?.engine
  }
}

/// A token provider of the app as the engine calls it.
final class TokenBridge: InterocitorBindings.TokenProvider {
  private let provider: any TokenProvider

  init(_ provider: any TokenProvider) { self.provider = provider }

  func token(rejected: String?) async throws -> String {
    do { return try await appWork { try await provider.token(rejected: rejected) } } catch { throw MailboxError.failure(error) }
  }
}

extension MailboxFile {
  fileprivate var engine: InterocitorBindings.MailboxFile {
    .init(
      name: name, path: path, size: size.map(Int64.init),
      modifiedMs: modified.map { Int64(($0.timeIntervalSince1970 * 1000).rounded()) }, etag: etag)
  }
}

extension MailboxError {
  /// What an adapter threw, for the engine.
  static func failure(_ error: any Error, of who: String = "adapter") -> MailboxFailure {
    guard let error = error as? MailboxError else {
      if error is CancellationError {
        return .Failed(fault: .unavailable, reason: "the app's \(who) was cancelled", retryAfterMs: nil)
      }
      return .Failed(fault: .io, reason: "the app's \(who) threw \(type(of: error))", retryAfterMs: nil)
    }
    let fault: MailboxFault =
      switch error.fault {
      case .notFound: .notFound
      case .alreadyExists: .alreadyExists
      case .conflict: .conflict
      case .unauthorized: .unauthorized
      case .forbidden: .forbidden
      case .rateLimited: .rateLimited
      case .unavailable: .unavailable
      case .timeout: .timeout
      case .offline: .offline
      case .quotaFull: .quotaFull
      case .tooLarge: .tooLarge
      case .invalidPath: .invalidPath
      case .protocol: .protocol
      case .io: .io
      }
    return .Failed(fault: fault, reason: error.reason, retryAfterMs: error.retryAfter?.milliseconds)
  }
}
