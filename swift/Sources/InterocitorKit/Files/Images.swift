import Foundation
internal import InterocitorBindings

/// Images: durable files with the media type of an image. All that is said of files holds for them, and each can be got,
/// pinned, evicted and deleted as a file.
extension Interocitor {
  /// Puts an image.
  ///
  /// ```swift
  /// try await db.putImage("photos/1.jpg", .data(jpeg))
  /// ```
  ///
  /// - Parameter contentType: A media type such as `image/heic`; where it is left out that of the data URL, `image/svg+xml`
  ///   for text, else what the path ends with, and `image/png` where that says nothing. One that is not an image's is
  ///   refused.
  @discardableResult
  public func putImage(_ path: String, _ source: ImageSource, contentType: String? = nil) async throws -> FileInfo {
    let (contentType, source) = (contentType ?? source.contentType, try source.engine())
    return FileInfo(
      try await cancellable {
        try await self.engine.putImage(path: path, source: source, contentType: contentType, cancel: $0)
      })
  }

  /// Takes an image over from its source for ``Batch/putFile(_:)``, which puts it together with the rows that name it.
  public func stageImage(_ path: String, _ source: ImageSource, contentType: String? = nil) async throws -> StagedFile {
    let (contentType, source) = (contentType ?? source.contentType, try source.engine())
    return StagedFile(
      try await cancellable {
        try await self.engine.stageImage(path: path, source: source, contentType: contentType, cancel: $0)
      })
  }

  /// An image in memory, of up to 64 MiB; a larger one is refused (`LIMIT`), and shown by ``imageURL(_:)``.
  public func image(_ path: String) async throws -> ImageContent {
    ImageContent(try await cancellable { try await self.engine.getImage(path: path, cancel: $0) })
  }

  /// Lays an image out in the clear, in a temporary file for a view that takes a URL. Hold what this gives as long as the
  /// image is shown.
  public func imageURL(_ path: String) async throws -> ImageURL {
    ImageURL(try await cancellable { try await self.engine.getImageUrl(path: path, cancel: $0) })
  }

  /// A small picture of an image, which fits into a square and stands upright. Made once and kept on this device; a copy of
  /// the image that lies here is taken without asking whether it is still current.
  ///
  /// Made of PNG, JPEG, GIF, WebP, BMP and ICO; anything else is refused (`DECODE`), and so is what would take too much memory
  /// (`LIMIT`).
  ///
  /// - Parameter edge: Of the square, in pixels: 1 to 2048.
  public func thumbnail(_ path: String, edge: Int) async throws -> Thumbnail {
    let edge = UInt32(clamping: edge)
    return Thumbnail(try await cancellable { try await self.engine.getThumbnail(path: path, edge: edge, cancel: $0) })
  }
}
