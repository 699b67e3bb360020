import Foundation
internal import InterocitorBindings

/// The content of a file, as it was when it was asked for: nothing that happens to the file changes it.
///
/// ```swift
/// let scan = try await db.getFile("receipts/may.pdf")
/// try await scan.save(to: url)
/// ```
///
/// It is taken out once, in one of three ways, and nothing of it is given out before all of it has been checked against its
/// digest.
public struct FileContent: Sendable {
  private let content: InterocitorBindings.FileContent

  /// What is known of the file.
  public let info: FileInfo

  init(_ content: InterocitorBindings.FileContent) {
    self.content = content
    info = FileInfo(content.info())
  }

  /// The whole content. For what fits into memory.
  public func data() async throws -> Data {
    try await cancellable { try await self.content.bytes(cancel: $0) }
  }

  /// Writes the content to a file of this device, readable by its owner only. A file that is there is replaced in one step;
  /// on failure it stays as it was.
  public func save(to url: URL) async throws {
    let path = try filePath(url)
    try await cancellable { try await self.content.saveTo(path: path, cancel: $0) }
  }

  /// The content piece by piece, for one loop.
  ///
  /// ```swift
  /// for try await piece in content.pieces { hasher.update(data: piece) }
  /// ```
  public var pieces: Pieces { Pieces(content: content) }

  /// The content of a file piece by piece: ``FileContent/pieces``.
  public struct Pieces: AsyncSequence, Sendable {
    fileprivate let content: InterocitorBindings.FileContent

    /// Begins to read.
    public func makeAsyncIterator() -> Iterator { Iterator(content: content) }

    /// The pieces of one loop.
    public struct Iterator: AsyncIteratorProtocol {
      fileprivate let content: InterocitorBindings.FileContent
      private var reader: FileReader?

      fileprivate init(content: InterocitorBindings.FileContent) { self.content = content }

      /// The next bytes; nil at the end.
      public mutating func next() async throws -> Data? {
        let reader: FileReader
        if let opened = self.reader {
          reader = opened
        } else {
          let content = content
          reader = try await cancellable { try await content.reader(cancel: $0) }
          self.reader = reader
        }
        try Task.checkCancellation()
        let piece = try await engine { try await reader.read(limit: 256 * 1024) }
        return piece.isEmpty ? nil : piece
      }
    }
  }
}
