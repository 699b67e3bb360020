import Foundation
internal import InterocitorBindings

/// An image that lies in the clear in a temporary file, for a view that takes a URL: ``Interocitor/imageURL(_:)``.
///
/// The file is readable by its owner only. It goes with this value, or when it is revoked, at the latest when the database
/// shuts down, and after a crash when its store is opened next. So hold this value as long as the image is shown: a URL alone
/// keeps nothing.
public final class ImageURL: Sendable {
  private let shown: InterocitorBindings.ImageUrl

  /// The file.
  public let url: URL
  /// The media type of the image.
  public let contentType: String

  init(_ shown: InterocitorBindings.ImageUrl) {
    self.shown = shown
    url = URL(fileURLWithPath: shown.path(), isDirectory: false)
    contentType = shown.contentType()
  }

  /// What it could not remove goes at the latest when the store is opened next.
  deinit { try? shown.revoke() }

  /// Removes the file now, whoever still shows it. Once more does nothing.
  public func revoke() throws {
    try engine { try shown.revoke() }
  }
}
