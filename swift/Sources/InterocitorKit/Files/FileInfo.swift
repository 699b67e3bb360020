import Foundation
internal import InterocitorBindings

/// A durable file.
public struct FileInfo: Hashable, Identifiable, Sendable {
  /// Its path.
  public var id: String { path }
  /// Its path.
  public let path: String
  /// Length in bytes, where it is known.
  public let size: Int?
  /// SHA-256 of its content, lowercase hex, where it is known. Kept in a row, it makes sure that
  /// ``Interocitor/getFile(_:digest:prefersCache:)`` gives this content and no other.
  public let digest: String?
  /// Media type, where one was given and is kept.
  public let contentType: String?
  /// When it was last changed, where that is known.
  public let modified: Date?
  /// Whether its content lies on this device.
  public let isHere: Bool
  /// Whether it stays here whatever the size of the cache.
  public let isPinned: Bool
  /// What is still to be done about it.
  public let transfer: FileTransfer?
}

/// Something that is to be done about a file. It survives restarts.
public struct FileTransfer: Hashable, Sendable {
  /// What can be done about a file.
  public enum Kind: Hashable, Sendable {
    /// The mailbox is to get the content.
    case upload
    /// This device is to get the content.
    case download
    /// The mailbox is to lose the file.
    case delete
  }

  /// Where a transfer stands.
  public enum State: Hashable, Sendable {
    /// It waits for its turn, for the mailbox, or for the next try.
    case waiting
    /// It is under way.
    case running
    /// It waits for ``Interocitor/resumeFile(_:)``.
    case paused
    /// Another try would end as the last one did. ``Interocitor/resumeFile(_:)`` tries all the same.
    case failed
  }

  /// What.
  public let kind: Kind
  /// Where it stands.
  public let state: State
  /// Bytes on their way so far; encrypted ones, about a third more than the file has.
  public let bytes: Int
  /// Bytes in all, where that is known.
  public let bytesTotal: Int?
  /// Tries that failed.
  public let attempts: Int
  /// When it is tried again.
  public let retryAt: Date?
  /// Why the last try failed.
  public let problem: Problem?

  /// How much of it is done, from 0 to 1, for a progress bar; nil where that is not known.
  public var fraction: Double? {
    guard let bytesTotal, bytesTotal > 0 else { return nil }
    return min(1, Double(bytes) / Double(bytesTotal))
  }
}

/// The files of a mesh, as far as their paths are known.
public struct FileListing: Hashable, Sendable {
  /// In the order of their paths.
  public let files: [FileInfo]
  /// Files in the mailbox whose paths are hidden, and which this device has not met yet. Whoever knows a path gets the
  /// file; rows are the place to keep paths.
  public let unnamed: Int
}

/// What ``Interocitor/syncFiles()`` did.
public struct FilesSynced: Hashable, Sendable {
  /// Files that were uploaded, downloaded or deleted.
  public let done: Int
  /// Tries that failed; ``Interocitor/fileTransfers()`` says which and why.
  public let failed: Int
  /// Why the mailbox cannot be used now, where it cannot: the rest was not tried.
  public let problem: Problem?
}

/// How durable files lie in a mailbox.
public enum FileForm: Hashable, Sendable {
  /// Under the path of the app: the mailbox sees paths and, on WebDAV, media types, and a swap of two files is told only by
  /// whoever knows the digest.
  case plain
  /// Under a hidden name, with digest, media type and path inside: a swap is always told.
  case hashed
}

// MARK: - as the engine has them

extension FileInfo {
  init(_ file: InterocitorBindings.FileInfo) {
    path = file.path
    size = file.size.map { Int($0) }
    digest = file.digest
    contentType = file.contentType
    modified = file.modifiedMs.map(Date.init(milliseconds:))
    isHere = file.isHere
    isPinned = file.isPinned
    transfer = file.transfer.map(FileTransfer.init)
  }
}

extension FileTransfer.Kind {
  init(_ kind: TransferKind) {
    self =
      switch kind {
      case .upload: .upload
      case .download: .download
      case .delete: .delete
      }
  }
}

extension FileTransfer.State {
  init(_ state: TransferState) {
    self =
      switch state {
      case .waiting: .waiting
      case .running: .running
      case .paused: .paused
      case .failed: .failed
      }
  }
}

extension FileTransfer {
  fileprivate init(_ transfer: InterocitorBindings.FileTransfer) {
    kind = Kind(transfer.kind)
    state = State(transfer.state)
    bytes = Int(transfer.bytes)
    bytesTotal = transfer.bytesTotal.map { Int($0) }
    attempts = Int(transfer.attempts)
    retryAt = transfer.retryAtMs.map(Date.init(milliseconds:))
    problem = transfer.problem.map(Problem.init)
  }
}

extension FileListing {
  init(_ listing: InterocitorBindings.FileListing) {
    files = listing.files.map(FileInfo.init)
    unnamed = Int(listing.unnamed)
  }
}

extension FilesSynced {
  init(_ synced: InterocitorBindings.FilesSynced) {
    done = Int(synced.done)
    failed = Int(synced.failed)
    problem = synced.problem.map(Problem.init)
  }
}

extension FileForm {
  var engine: InterocitorBindings.FileForm {
    switch self {
    case .plain: .plain
    case .hashed: .hashed
    }
  }
}
