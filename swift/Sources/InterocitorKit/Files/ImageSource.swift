import Foundation
internal import InterocitorBindings

/// Where an image comes from. It is read once, in bounded memory; data and text are held as they are.
///
/// ```swift
/// try await db.putImage("photos/1.heic", .file(url))
/// try await db.putImage("icons/dot.svg", .text("<svg xmlns=…"))
/// ```
public struct ImageSource: Sendable {
  private enum Kind: Sendable {
    case file(FileSource)
    case text(String)
    case encoded(contentType: String, @Sendable () throws -> Data)
  }

  private let kind: Kind

  /// Memory: an encoded image, such as the content of a JPEG file.
  public static func data(_ data: Data) -> Self { Self(kind: .file(.data(data))) }

  /// A file of this device, which may change or go afterwards.
  public static func file(_ url: URL) -> Self { Self(kind: .file(.file(url))) }

  /// Anything that can be read: ``FileSource/reader(_:)``.
  public static func reader(_ read: @escaping @Sendable (_ count: Int) throws -> Data) -> Self {
    Self(kind: .file(.reader(read)))
  }

  /// A data URL, or else the text of an SVG.
  public static func text(_ text: String) -> Self { Self(kind: .text(text)) }

  /// A picture that is encoded when it is put, off the main thread.
  static func encoded(_ contentType: String, _ encode: @escaping @Sendable () throws -> Data) -> Self {
    Self(kind: .encoded(contentType: contentType, encode))
  }

  /// The media type that it is encoded as.
  var contentType: String? { if case .encoded(let contentType, _) = kind { contentType } else { nil } }

  func engine() throws -> InterocitorBindings.ImageSource {
    switch kind {
    case .file(let source): .file(source: try source.engine())
    case .text(let text): .text(text: text)
    case .encoded(_, let encode): .file(source: .bytes(content: try encode()))
    }
  }
}
