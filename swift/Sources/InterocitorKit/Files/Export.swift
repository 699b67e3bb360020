import Foundation
internal import InterocitorBindings

/// How an export is written: ``Interocitor/export(to:as:)``.
public enum ExportFormat: Hashable, Sendable {
  /// A folder with readable files, for its owner's eyes only. Nothing in it is encrypted.
  case folder
  /// One file, encrypted under a key of this passphrase. Any text; a long one, since whoever has the file can guess.
  case archive(passphrase: String)
  /// One file, encrypted under the key of the mesh: who has the mesh's passphrase reads it.
  case meshArchive
}

extension ExportFormat: CustomStringConvertible, CustomReflectable {
  /// Without the passphrase.
  public var description: String {
    switch self {
    case .folder: "folder"
    case .archive: "archive"
    case .meshArchive: "meshArchive"
    }
  }
  /// Without the passphrase.
  public var customMirror: Mirror { Mirror(self, children: EmptyCollection<(label: String?, value: Any)>()) }
}

/// What was exported: ``Interocitor/export(to:as:)``.
public struct Exported: Hashable, Sendable {
  /// Tables.
  public let tables: Int
  /// Rows, deleted ones included.
  public let rows: Int
  /// Durable files.
  public let files: Int
  /// Files in the mailbox whose paths this device cannot know, and which are therefore missing: get them by path once,
  /// then export again.
  public let unnamed: Int
  /// Bytes of everything.
  public let bytes: Int
}

/// What was imported: ``Interocitor/import(from:passphrase:)``.
public struct Imported: Hashable, Sendable {
  /// Rows in the export, deleted ones included.
  public let rows: Int
  /// Those of them that changed something here.
  public let changed: Int
  /// Files that were put; those whose paths are known here stay as they are.
  public let files: Int
}

extension Interocitor {
  /// Writes all rows, with deletions, and all durable files into a folder or an archive, which can be read without this
  /// library. It shows there when it is whole; where the call fails or is given up, nothing is left.
  ///
  /// ```swift
  /// let exported = try await db.export(to: url, as: .archive(passphrase: passphrase))
  /// ```
  ///
  /// Rows are of one moment. Files that lie in the mailbox alone are fetched: connect first.
  /// ``Event/exportProgress(rows:files:bytes:)`` tells how far it is.
  ///
  /// - Parameter url: Must not exist yet; an empty folder may.
  @discardableResult
  public func export(to url: URL, as format: ExportFormat = .folder) async throws -> Exported {
    let path = try filePath(url)
    let format: InterocitorBindings.ExportFormat =
      switch format {
      case .folder: .folder
      case .archive(let passphrase): .archive(passphrase: passphrase)
      case .meshArchive: .meshArchive
      }
    return Exported(
      try await cancellable { try await self.engine.exportTo(path: path, format: format, cancel: $0) })
  }

  /// Takes over an export. All of it is read and proven first, then taken over in one step, or nothing is changed
  /// (``InterocitorError/Code/exportInvalid``, ``InterocitorError/Code/exportNewer``,
  /// ``InterocitorError/Code/passphraseWrong``). ``Event/importProgress(rows:files:bytes:)`` tells how far it is.
  ///
  /// Into a new store it is a restore: in an empty mailbox the store founds a fresh mesh under a key of its own, since an
  /// export holds none; with the passphrase of the mesh that was exported it joins that again. Into a store of the same mesh
  /// it is a merge, in which whatever is newer stays. One of another mesh is refused.
  ///
  /// - Parameter passphrase: That of the archive; of one under the key of a mesh that mesh's, unless it is this database's
  ///   own.
  @discardableResult
  public func `import`(from url: URL, passphrase: String? = nil) async throws -> Imported {
    let path = try filePath(url)
    return Imported(
      try await cancellable { try await self.engine.importFrom(path: path, passphrase: passphrase, cancel: $0) })
  }
}

// MARK: - as the engine has them

extension Exported {
  init(_ done: InterocitorBindings.Exported) {
    (tables, rows, files) = (Int(done.tables), Int(done.rows), Int(done.files))
    (unnamed, bytes) = (Int(done.unnamed), Int(done.bytes))
  }
}

extension Imported {
  init(_ done: InterocitorBindings.Imported) {
    (rows, changed, files) = (Int(done.rows), Int(done.changed), Int(done.files))
  }
}
