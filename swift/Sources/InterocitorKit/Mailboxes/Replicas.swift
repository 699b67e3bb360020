internal import InterocitorBindings

/// A further mailbox that is written to and never read for merging: ``Configuration/replicas``.
///
/// ```swift
/// configuration.replicas = [.mirror("backup", try .folder(backupURL))]
/// ```
///
/// One that is down holds nothing up: it is told by ``Event/replicaError(replica:code:reason:isRetryable:retryIn:)``, and
/// caught up later, or at once by ``Interocitor/replicate(_:verifies:)``.
public struct Replica: Sendable {
  /// What the app calls it: 1 to 128 bytes, another name for each.
  public let name: String
  /// The mailbox. It must not be the main one.
  public let mailbox: Mailbox
  /// Whether a device can be restored from it.
  public let isMirror: Bool
  /// The mesh's folder there; nil: as in the main mailbox.
  public let remotePath: String?

  /// A replica that gets everything: change files, snapshot, device records and durable files. A device that uses it as its
  /// mailbox has the whole mesh.
  public static func mirror(_ name: String, _ mailbox: Mailbox, remotePath: String? = nil) -> Self {
    Self(name: name, mailbox: mailbox, isMirror: true, remotePath: remotePath)
  }

  /// A replica that gets change files alone, as those of the JavaScript client do: no device can be restored from it by
  /// itself.
  public static func changes(_ name: String, _ mailbox: Mailbox, remotePath: String? = nil) -> Self {
    Self(name: name, mailbox: mailbox, isMirror: false, remotePath: remotePath)
  }

  var engine: InterocitorBindings.Replica {
    .init(name: name, mailbox: mailbox.engine, mirror: isMirror, remotePath: remotePath)
  }
}

/// What a replica was given: ``Interocitor/replicate(_:verifies:)``.
public struct Replicated: Hashable, Sendable {
  /// Files that it should have, as far as this device can tell.
  public let files: Int
  /// Those of them that were written now.
  public let copied: Int
  /// Bytes written.
  public let bytes: Int
  /// Files of the main mailbox that are damaged, and were not copied; ``Interocitor/doctor(mends:)`` tells which.
  public let damaged: Int
}

/// How a replica stands: ``Interocitor/replicas()``.
public struct ReplicaState: Hashable, Sendable, Identifiable {
  /// Its name.
  public let name: String
  /// Whether a device can be restored from it.
  public let isMirror: Bool
  /// Change files of this device that it lacks.
  public let waiting: Int
  /// Why it lacks them: the last failure since this database was opened, until the next success.
  public let problem: Problem?

  /// The name.
  public var id: String { name }
}

extension Interocitor {
  /// Brings a replica up to date with the main mailbox, whatever it lacks; connect first. What is there already is not
  /// written again, so that a call that was given up is continued by the next.
  /// ``Event/replicaProgress(replica:files:filesTotal:bytes:)`` tells how far it is.
  ///
  /// - Parameters:
  ///   - replica: Its name.
  ///   - verifies: Whether what is there is read on both sides and compared, and copied again where it differs.
  @discardableResult
  public func replicate(_ replica: String, verifies: Bool = false) async throws -> Replicated {
    Replicated(
      try await cancellable { try await self.engine.replicate(replica: replica, verifies: verifies, cancel: $0) })
  }

  /// How the replicas stand.
  public func replicas() async throws -> [ReplicaState] {
    try await InterocitorKit.engine { try await engine.replicas() }.map(ReplicaState.init)
  }
}

// MARK: - as the engine has them

extension Replicated {
  init(_ done: InterocitorBindings.Replicated) {
    (files, copied) = (Int(done.files), Int(done.copied))
    (bytes, damaged) = (Int(done.bytes), Int(done.damaged))
  }
}

extension ReplicaState {
  init(_ state: InterocitorBindings.ReplicaState) {
    (name, isMirror, waiting) = (state.name, state.mirror, Int(state.waiting))
    problem = state.problem.map { Problem(code: .init(rawValue: $0.code), reason: $0.reason) }
  }
}
