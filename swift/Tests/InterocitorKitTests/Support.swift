import Foundation
import InterocitorKit
import Testing

/// The row type of most tests.
struct Todo: Codable, Sendable, Hashable {
  enum Priority: String, Codable, CaseIterable { case low, high }

  var title: String
  var done = false
  var rank = 0
  var note: String?
  var due: Date?
  var priority = Priority.low

  init(_ title: String, done: Bool = false, rank: Int = 0, note: String? = nil) {
    self.title = title
    self.done = done
    self.rank = rank
    self.note = note
  }
}

let passphrase = "1thX6LZfHDZZKUs92febYZhYRcXddmzfzF2NvTkPNE"

/// A configuration of a test: nothing happens by itself.
func configuration(_ store: Configuration.Store = .memory, remotePath: String? = "/Mesh") -> Configuration {
  var configuration = Configuration(appName: "tests", store: store, remotePath: remotePath, passphrase: passphrase)
  configuration.autoSync = false
  return configuration
}

func open(_ change: (inout Configuration) -> Void = { _ in }) async throws -> Interocitor {
  var configuration = configuration()
  change(&configuration)
  return try await Interocitor.open(configuration)
}

/// A database in memory that is connected to a mailbox.
func connected(to mailbox: Mailbox, _ change: (inout Configuration) -> Void = { _ in }) async throws -> Interocitor {
  let db = try await open(change)
  try await db.setRemoteStorage(mailbox)
  #expect(try await db.connect() == .online)
  return db
}

/// A folder that is gone after the test.
final class TemporaryFolder: Sendable {
  let url: URL

  init() throws {
    url = FileManager.default.temporaryDirectory.appendingPathComponent("interocitor-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(at: url) }

  func callAsFunction(_ name: String) -> URL { url.appendingPathComponent(name) }
}

/// Expects the failure with this code, and gives it.
@discardableResult
func expectFailure<T>(
  _ code: InterocitorError.Code, sourceLocation: SourceLocation = #_sourceLocation,
  _ call: () async throws -> T
) async -> InterocitorError? {
  do {
    _ = try await call()
    Issue.record("it did not fail with \(code.rawValue)", sourceLocation: sourceLocation)
  } catch let error as InterocitorError {
    #expect(error.code == code, "\(error)", sourceLocation: sourceLocation)
    #expect(!error.reason.isEmpty, sourceLocation: sourceLocation)
    return error
  } catch {
    Issue.record("it failed with \(error)", sourceLocation: sourceLocation)
  }
  return nil
}

/// Waits until something is so; fails after five seconds.
func eventually(
  _ what: Comment, sourceLocation: SourceLocation = #_sourceLocation, _ check: () async throws -> Bool
) async throws {
  for _ in 0..<500 {
    if try await check() { return }
    try await Task.sleep(for: .milliseconds(10))
  }
  Issue.record(what, sourceLocation: sourceLocation)
}

/// A value that several tasks share.
final class Shared<Value: Sendable>: @unchecked Sendable {
  private let lock = NSLock()
  private var value: Value

  init(_ value: Value) { self.value = value }

  var now: Value { lock.withLock { value } }
  func change<T>(_ change: (inout Value) throws -> T) rethrows -> T {
    lock.lock()
    defer { lock.unlock() }
    return try change(&value)
  }
}

extension Result where Failure == InterocitorError {
  var failure: InterocitorError? { if case .failure(let error) = self { error } else { nil } }
}
