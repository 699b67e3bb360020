import Foundation
internal import InterocitorBindings

/// Durable files: content of any size beside the rows, encrypted as they are. Files are found under paths of the app, such as
/// `receipts/may.pdf`: segments between slashes, without `.`, `..`, backslashes and control characters, up to 1024 bytes in
/// all. They are not merged: the last upload under a path wins.
extension Interocitor {
  /// Puts a file. When this returns, the content lies on this device and will be uploaded, whatever happens to the source; a
  /// connected database does so by itself, others with ``sync()``.
  ///
  /// ```swift
  /// let receipt = try await db.putFile("receipts/may.pdf", .file(scan), contentType: "application/pdf")
  /// ```
  ///
  /// - Parameter contentType: A media type; in the plain form only WebDAV keeps it.
  @discardableResult
  public func putFile(_ path: String, _ source: FileSource, contentType: String? = nil) async throws -> FileInfo {
    let source = try source.engine()
    return FileInfo(
      try await cancellable {
        try await self.engine.putFile(path: path, source: source, contentType: contentType, cancel: $0)
      })
  }

  /// Takes content over from its source for ``Batch/putFile(_:)``, which puts it together with the rows that name it.
  public func stageFile(_ path: String, _ source: FileSource, contentType: String? = nil) async throws -> StagedFile {
    let source = try source.engine()
    return StagedFile(
      try await cancellable {
        try await self.engine.stageFile(path: path, source: source, contentType: contentType, cancel: $0)
      })
  }

  /// The content of a file. A copy on this device is given where the mailbox has no newer one or cannot be asked; otherwise
  /// the file is downloaded, and kept as long as there is space.
  ///
  /// - Parameters:
  ///   - digest: The SHA-256 that a row holds: no other content is given, and a copy on this device without asking.
  ///   - prefersCache: Whether a copy on this device is given without asking whether it is still current.
  public func getFile(_ path: String, digest: String? = nil, prefersCache: Bool = false) async throws -> FileContent {
    FileContent(
      try await cancellable {
        try await self.engine.getFile(path: path, digest: digest, prefersCache: prefersCache, cancel: $0)
      })
  }

  /// What is known of a file, or nil where there is none. In the hashed form everything lies inside the file, which is
  /// downloaded for it; without a connection what this device knows is told.
  public func getFileMetadata(_ path: String) async throws -> FileInfo? {
    try await cancellable { try await self.engine.getFileMetadata(path: path, cancel: $0) }.map(FileInfo.init)
  }

  /// Deletes a file: here at once, in the mailbox as soon as it can be reached. One that does not exist counts as deleted.
  /// Rows of a batch that waited for its upload are published without it.
  public func deleteFile(_ path: String) async throws {
    try await InterocitorKit.engine { try await engine.deleteFile(path: path) }
  }

  /// The files whose paths begin with a prefix. Connected, the mailbox is listed.
  public func listFiles(_ prefix: String = "") async throws -> FileListing {
    FileListing(try await cancellable { try await self.engine.listFiles(prefix: prefix, cancel: $0) })
  }

  /// Keeps a file on this device, whatever the size of the cache, and downloads it if it is not here.
  public func pinFile(_ path: String) async throws {
    try await InterocitorKit.engine { try await engine.pinFile(path: path) }
  }

  /// Lets a pinned file go when the cache needs the space.
  public func unpinFile(_ path: String) async throws {
    try await InterocitorKit.engine { try await engine.unpinFile(path: path) }
  }

  /// Gives up the copy of a file on this device, also of a pinned one. The mailbox must have it, and keeps it.
  public func evictFile(_ path: String) async throws {
    try await InterocitorKit.engine { try await engine.evictFile(path: path) }
  }

  /// Stops what is to be done about a file, also across restarts, until ``resumeFile(_:)``. Then it begins anew.
  public func pauseFile(_ path: String) async throws {
    try await InterocitorKit.engine { try await engine.pauseFile(path: path) }
  }

  /// Goes on with what is to be done about a file, at once: after a pause, or after it failed.
  public func resumeFile(_ path: String) async throws {
    try await InterocitorKit.engine { try await engine.resumeFile(path: path) }
  }

  /// Gives up what is to be done about a file. Content that waited to be uploaded is gone; what the mailbox has stays.
  /// Refused where rows of a batch wait for the upload.
  public func cancelFile(_ path: String) async throws {
    try await InterocitorKit.engine { try await engine.cancelFile(path: path) }
  }

  /// What is still to be done about files, how far it is, and why it failed.
  public func fileTransfers() async throws -> [FileInfo] {
    try await InterocitorKit.engine { try await engine.fileTransfers() }.map(FileInfo.init)
  }

  /// What ``fileTransfers()`` gives, now and again whenever that has changed: at most four times in a second.
  ///
  /// ```swift
  /// for try await files in db.fileQueue {
  ///   for file in files { bars[file.path] = file.transfer?.fraction }
  /// }
  /// ```
  ///
  /// It ends with the loop, with the `Task`, and when the database is shut down.
  public var fileQueue: FileQueue { FileQueue(engine) }

  /// Moves all files that wait, each tried once; rows that waited for them follow with the next ``flush()``. ``sync()`` does
  /// this as well.
  @discardableResult
  public func syncFiles() async throws -> FilesSynced {
    FilesSynced(try await cancellable { try await self.engine.syncFiles(cancel: $0) })
  }
}

extension Batch {
  /// Puts a file, staged by ``Interocitor/stageFile(_:_:contentType:)``, together with the rows: other devices see none of the
  /// rows before the mailbox has all the files. Of several files under one path the last one counts.
  public func putFile(_ file: StagedFile) throws {
    try engine { try batch.putFile(file: file.engine) }
  }
}

/// What is still to be done about files, as it changes: ``Interocitor/fileQueue``. Each loop over it watches by itself, from
/// the moment it begins, and is given the present state first.
public struct FileQueue: AsyncSequence, Sendable {
  private let db: InterocitorBindings.Interocitor

  init(_ db: InterocitorBindings.Interocitor) { self.db = db }

  /// Begins to watch.
  public func makeAsyncIterator() -> Iterator {
    Iterator(
      watch: Watch {
        let watch = try db.watchFileTransfers()
        return (next: { try await watch.next()?.map(FileInfo.init) }, cancel: { watch.cancel() })
      })
  }

  /// The states of one loop.
  public struct Iterator: AsyncIteratorProtocol, Sendable {
    fileprivate let watch: Watch<[FileInfo]>

    /// What is still to be done, as soon as it differs from what was given last; nil when the database was shut down. After
    /// a failure of the store it may be asked again.
    public mutating func next() async throws -> [FileInfo]? { try await watch.next() }
  }
}
