#if (canImport(UIKit) || canImport(AppKit)) && !os(watchOS)
  import Foundation

  #if canImport(UIKit)
    import UIKit
  #else
    import AppKit
  #endif

  /// How a picture of the operating system is stored.
  public enum ImageEncoding: Hashable, Sendable {
    /// For photos: small, without transparency. `quality` from 0 to 1.
    case jpeg(quality: Double = 0.85)
    /// For drawings and screenshots: exact, with transparency.
    case png

    /// The media type.
    public var contentType: String {
      switch self {
      case .jpeg: "image/jpeg"
      case .png: "image/png"
      }
    }
  }

  extension ImageSource {
    #if canImport(UIKit)
      /// A picture, encoded off the main thread when it is put.
      ///
      /// ```swift
      /// try await db.putImage("photos/1.jpg", .uiImage(photo))
      /// ```
      public static func uiImage(_ image: UIImage, as encoding: ImageEncoding = .jpeg()) -> Self {
        encoded(encoding.contentType) {
          let data: Data? =
            switch encoding {
            case .jpeg(let quality): image.jpegData(compressionQuality: quality)
            case .png: upright(image).pngData()
            }
          guard let data else { throw unencodable }
          return data
        }
      }

      /// PNG says nothing of how the camera was held.
      private static func upright(_ image: UIImage) -> UIImage {
        guard image.imageOrientation != .up else { return image }
        let format = UIGraphicsImageRendererFormat()
        format.scale = image.scale
        return UIGraphicsImageRenderer(size: image.size, format: format).image { _ in image.draw(at: .zero) }
      }
    #else
      /// A picture, encoded off the main thread when it is put.
      ///
      /// ```swift
      /// try await db.putImage("photos/1.jpg", .nsImage(photo))
      /// ```
      public static func nsImage(_ image: NSImage, as encoding: ImageEncoding = .jpeg()) -> Self {
        // It never changes, other than the picture that it is taken of.
        nonisolated(unsafe) let pixels = image.cgImage(forProposedRect: nil, context: nil, hints: nil)
        return encoded(encoding.contentType) {
          guard let pixels else { throw unencodable }
          let picture = NSBitmapImageRep(cgImage: pixels)
          let data: Data? =
            switch encoding {
            case .jpeg(let quality): picture.representation(using: .jpeg, properties: [.compressionFactor: quality])
            case .png: picture.representation(using: .png, properties: [:])
            }
          guard let data else { throw unencodable }
          return data
        }
      }
    #endif

    private static var unencodable: InterocitorError { .invalid("image", "it has no pixels that can be encoded") }
  }
#endif
