import Foundation
internal import InterocitorBindings

/// An image in memory, as it was stored: ``Interocitor/image(_:)``.
public struct ImageContent: Hashable, Sendable {
  /// What is known of its file.
  public let info: FileInfo
  /// Its media type: the stored one, or else what its path ends with.
  public let contentType: String
  /// The encoded image.
  public let data: Data

  init(_ image: InterocitorBindings.ImageContent) {
    info = FileInfo(image.info)
    contentType = image.contentType
    data = image.bytes
  }
}

/// A small picture of an image, for lists: ``Interocitor/thumbnail(_:edge:)``.
public struct Thumbnail: Hashable, Sendable {
  /// `image/jpeg`, or `image/png` where something of it is transparent.
  public let contentType: String
  /// In pixels.
  public let width: Int
  /// In pixels.
  public let height: Int
  /// The encoded picture.
  public let data: Data

  init(_ made: InterocitorBindings.Thumbnail) {
    contentType = made.contentType
    (width, height) = (Int(made.width), Int(made.height))
    data = made.bytes
  }
}
