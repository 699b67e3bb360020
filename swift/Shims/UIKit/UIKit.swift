// What InterocitorKit uses of UIKit, for type-checking on Linux. Declared by hand; does nothing.

@_exported import CoreGraphics

public struct UIBackgroundTaskIdentifier: RawRepresentable, Hashable, Sendable {
  public let rawValue: Int
  public init(rawValue: Int) { self.rawValue = rawValue }
  public static let invalid = UIBackgroundTaskIdentifier(rawValue: 0)
}

@MainActor open class UIApplication {
  public static let shared = UIApplication()
  public init() {}
  open func beginBackgroundTask(
    withName name: String?, expirationHandler: (@MainActor @Sendable () -> Void)? = nil
  ) -> UIBackgroundTaskIdentifier { .invalid }
  open func endBackgroundTask(_ identifier: UIBackgroundTaskIdentifier) {}
}

open class UIImage: @unchecked Sendable {
  public enum Orientation: Int, Sendable { case up, down, left, right, upMirrored, downMirrored, leftMirrored, rightMirrored }

  public init(cgImage: CGImage) {}
  open var imageOrientation: Orientation { .up }
  open var size: CGSize { .zero }
  open var scale: CGFloat { 1 }
  open func draw(at point: CGPoint) {}
  public func pngData() -> Data? { nil }
  public func jpegData(compressionQuality: CGFloat) -> Data? { nil }
}

open class UIGraphicsImageRendererFormat {
  public init() {}
  open var scale: CGFloat = 1
}

open class UIGraphicsImageRendererContext {}

open class UIGraphicsImageRenderer {
  public init(size: CGSize, format: UIGraphicsImageRendererFormat) {}
  open func image(actions: (UIGraphicsImageRendererContext) -> Void) -> UIImage { fatalError() }
}
