// What InterocitorKit uses of AppKit, for type-checking on Linux. Declared by hand; does nothing. `NSImage` is not sendable
// here: whether it is depends on the SDK.

@_exported import CoreGraphics

public class NSGraphicsContext {}

open class NSImage {
  public init(cgImage: CGImage, size: NSSize) {}
  open func cgImage(
    forProposedRect rect: UnsafeMutablePointer<NSRect>?, context: NSGraphicsContext?, hints: [HintKey: Any]?
  ) -> CGImage? { nil }

  public struct HintKey: Hashable, RawRepresentable, Sendable {
    public let rawValue: String
    public init(rawValue: String) { self.rawValue = rawValue }
  }
}

open class NSBitmapImageRep {
  public init(cgImage: CGImage) {}
  open func representation(using type: FileType, properties: [PropertyKey: Any]) -> Data? { nil }

  public enum FileType: UInt, Sendable { case tiff, bmp, gif, jpeg, png, jpeg2000 }

  public struct PropertyKey: Hashable, RawRepresentable, Sendable {
    public let rawValue: String
    public init(rawValue: String) { self.rawValue = rawValue }
    public static let compressionFactor = PropertyKey(rawValue: "")
  }
}
