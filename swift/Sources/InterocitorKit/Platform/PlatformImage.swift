// Pictures as the operating system has them. Watches are not among the platforms of the package.
#if canImport(ImageIO) && (canImport(UIKit) || canImport(AppKit)) && !os(watchOS)
  import Foundation
  import ImageIO

  #if canImport(UIKit)
    import UIKit

    typealias PlatformImage = UIImage
  #else
    import AppKit

    typealias PlatformImage = NSImage
  #endif

  /// An image is not decoded above this: a decompression bomb, or nothing for a phone.
  private let maxPixels = 64 * 1024 * 1024

  extension Interocitor {
    #if canImport(UIKit)
      /// An image, upright and decoded off the main thread. With `thumbnail`, the longest edge in pixels, a small picture: for
      /// lists. Small ones of PNG, JPEG, GIF, WebP, BMP and ICO are kept on this device; those of what only the operating
      /// system decodes, such as HEIC, are made each time.
      public func uiImage(_ path: String, thumbnail edge: Int? = nil) async throws -> UIImage {
        try await platformImage(encodedImage(path, edge: edge), path, edge: edge)
      }
    #else
      /// An image, upright and decoded off the main thread. With `thumbnail`, the longest edge in pixels, a small picture: for
      /// lists. Small ones of PNG, JPEG, GIF, WebP, BMP and ICO are kept on this device; those of what only the operating
      /// system decodes, such as HEIC, are made each time.
      public func nsImage(_ path: String, thumbnail edge: Int? = nil) async throws -> sending NSImage {
        try await platformImage(encodedImage(path, edge: edge), path, edge: edge)
      }
    #endif

    /// An encoded image: a small one, where the engine can make it, else as it was stored. With `digest` not an older copy.
    func encodedImage(_ path: String, edge: Int?, digest: String? = nil) async throws -> Data {
      // Brings the copy on this device up to date.
      if let digest { _ = try await getFile(path, digest: digest) }
      guard let edge else { return try await image(path).data }
      do {
        return try await thumbnail(path, edge: edge).data
      } catch let error as InterocitorError where error.code == .decode {
        return try await image(path).data
      }
    }
  }

  /// Decodes a picture, where the caller is not: upright, and no larger than `edge`.
  func platformImage(_ data: Data, _ path: String, edge: Int?) async throws -> sending PlatformImage {
    try Task.checkCancellation()
    let picture = try decoded(data, path, edge: edge)
    #if canImport(UIKit)
      return UIImage(cgImage: picture)
    #else
      return NSImage(cgImage: picture, size: .zero)
    #endif
  }

  private func decoded(_ data: Data, _ path: String, edge: Int?) throws -> CGImage {
    let undecodable = InterocitorError(
      .decode, reason: "\(path): it is no image that this system decodes; SVG is shown by a web view, with imageURL")
    guard
      let source = CGImageSourceCreateWithData(data as CFData, nil),
      let facts = CGImageSourceCopyPropertiesAtIndex(source, 0, nil) as? [CFString: Any],
      let width = facts[kCGImagePropertyPixelWidth] as? Int, let height = facts[kCGImagePropertyPixelHeight] as? Int
    else { throw undecodable }
    let (pixels, isTooMany) = width.multipliedReportingOverflow(by: height)
    guard !isTooMany, pixels <= maxPixels else {
      throw InterocitorError(.limit, reason: "\(path): it has \(width) x \(height) pixels, the limit is \(maxPixels) in all")
    }
    // The "thumbnail" of the whole: the one call that turns it upright and decodes it here and not when it is drawn.
    var options: [CFString: Any] = [
      kCGImageSourceCreateThumbnailFromImageAlways: true, kCGImageSourceCreateThumbnailWithTransform: true,
      kCGImageSourceShouldCacheImmediately: true,
    ]
    if let edge { options[kCGImageSourceThumbnailMaxPixelSize] = edge }
    guard let picture = CGImageSourceCreateThumbnailAtIndex(source, 0, options as CFDictionary) else { throw undecodable }
    return picture
  }
#endif
