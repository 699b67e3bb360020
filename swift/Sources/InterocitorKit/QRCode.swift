import Foundation
internal import InterocitorBindings

/// A QR code of a text: a pairing payload, a link, a recovery kit. As secret as its text.
///
/// ```swift
/// Canvas { context, size in
///   let side = min(size.width, size.height) / Double(code.size)
///   for row in 0..<code.size {
///     for column in 0..<code.size where code.isDark(column: column, row: row) {
///       context.fill(Path(CGRect(x: Double(column) * side, y: Double(row) * side, width: side, height: side)), with: .color(.black))
///     }
///   }
/// }
/// ```
public struct QRCode: Sendable {
  private let code: InterocitorBindings.QrCode
  private let modules: [UInt8]

  /// Modules on a side, with the light zone of four modules that must surround the code.
  public let size: Int

  /// The code of a text of at most 2,953 bytes (``InterocitorError/Code/limit``).
  public init(_ text: String) throws {
    code = try engine { try InterocitorBindings.QrCode(text: text) }
    modules = [UInt8](code.modules())
    size = Int(code.size())
  }

  /// Whether the module in that column and row is dark, to be drawn on a light ground.
  public func isDark(column: Int, row: Int) -> Bool {
    guard (0..<size).contains(column), (0..<size).contains(row) else { return false }
    return modules[row * size + column] == 1
  }

  /// A picture that scales to any size, dark on white.
  public func svg() -> String { code.toSvg() }

  /// A picture, black on white, with so many pixels (1 to 64) a module.
  public func png(scale: Int = 8) -> Data { code.toPng(scale: UInt32(min(max(scale, 1), 64))) }
}

extension QRCode: CustomStringConvertible, CustomReflectable {
  /// Without what it says.
  public var description: String { "QRCode(size: \(size))" }
  /// Without what it says.
  public var customMirror: Mirror { Mirror(self, children: ["size": size]) }
}
