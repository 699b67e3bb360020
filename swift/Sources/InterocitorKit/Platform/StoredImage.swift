#if canImport(SwiftUI) && canImport(ImageIO) && (canImport(UIKit) || canImport(AppKit)) && !os(watchOS)
  import Foundation
  import SwiftUI

  #if canImport(UIKit)
    import UIKit
  #else
    import AppKit
  #endif

  extension Image {
    fileprivate init(platform image: PlatformImage) {
      #if canImport(UIKit)
        self.init(uiImage: image)
      #else
        self.init(nsImage: image)
      #endif
    }
  }

  extension Interocitor {
    /// An image for views, upright and decoded off the main thread. With `thumbnail`, the longest edge in pixels, a small
    /// picture. ``StoredImage`` does this by itself.
    @MainActor public func swiftUIImage(_ path: String, thumbnail edge: Int? = nil) async throws -> Image {
      Image(platform: try await platformImage(encodedImage(path, edge: edge), path, edge: edge))
    }
  }

  /// An image of the database, loaded while a placeholder is shown, and again whenever its file changes on this device.
  ///
  /// ```swift
  /// StoredImage(db, "photos/1.jpg", thumbnail: 256).scaledToFit().frame(width: 128)
  ///
  /// StoredImage(db, photo.path, thumbnail: 256, digest: photo.digest) { image in
  ///   image.resizable().scaledToFill()
  /// } placeholder: {
  ///   ProgressView()
  /// }
  /// ```
  ///
  /// With the digest that a row holds, a new version that another device put is shown as soon as the row tells of it. What could
  /// not be loaded is tried again when the mailbox answers.
  public struct StoredImage<Content: View>: View {
    private let db: Interocitor
    private let wanted: Wanted
    private let content: (AsyncImagePhase) -> Content
    @State private var phase = AsyncImagePhase.empty
    @State private var shown: Wanted?

    private struct Wanted: Equatable {
      let db: ObjectIdentifier
      let path: String
      let edge: Int?
      let digest: String?
    }

    /// An image, with a view for each phase: `.empty` while it is loaded, `.failure` where it cannot be, or `.success`.
    ///
    /// - Parameters:
    ///   - thumbnail: The longest edge of a small picture, in pixels: 1 to 2048. Nil for the whole image.
    ///   - digest: The SHA-256 that a row holds: an older copy on this device is not shown.
    public init(
      _ db: Interocitor, _ path: String, thumbnail edge: Int? = nil, digest: String? = nil,
      @ViewBuilder content: @escaping (AsyncImagePhase) -> Content
    ) {
      self.db = db
      self.content = content
      wanted = Wanted(db: ObjectIdentifier(db), path: path, edge: edge, digest: digest)
    }

    /// An image, and what is shown where there is none, or none yet.
    public init<Picture: View, Placeholder: View>(
      _ db: Interocitor, _ path: String, thumbnail edge: Int? = nil, digest: String? = nil,
      @ViewBuilder content: @escaping (Image) -> Picture, @ViewBuilder placeholder: @escaping () -> Placeholder
    ) where Content == _ConditionalContent<Picture, Placeholder> {
      self.init(db, path, thumbnail: edge, digest: digest) { phase in
        if let image = phase.image { content(image) } else { placeholder() }
      }
    }

    /// An image that fills its frame, and a grey area where there is none, or none yet.
    public init(_ db: Interocitor, _ path: String, thumbnail edge: Int? = nil, digest: String? = nil)
    where Content == _ConditionalContent<Image, Color> {
      self.init(db, path, thumbnail: edge, digest: digest) { image in
        image.resizable()
      } placeholder: {
        Color.gray.opacity(0.2)
      }
    }

    /// The view of the present phase.
    public var body: some View { content(phase).task(id: wanted) { await follow() } }

    private func follow() async {
      // A view that comes back shows what it showed; one that is used for another image does not.
      if shown != wanted { (phase, shown) = (.empty, wanted) }
      var (changes, last, hasFailed) = (FileChanges(db, wanted.path), Data?.none, false)
      while await changes.next(orOnline: hasFailed) {
        do {
          let data = try await db.encodedImage(wanted.path, edge: wanted.edge, digest: wanted.digest)
          guard hasFailed || data != last else { continue }
          phase = .success(Image(platform: try await platformImage(data, wanted.path, edge: wanted.edge)))
          (last, hasFailed) = (data, false)
        } catch is CancellationError {
          return
        } catch {
          (phase, hasFailed) = (.failure(error), true)
        }
      }
    }
  }
#endif
