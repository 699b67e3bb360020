import Foundation
internal import InterocitorBindings

/// The key of a mesh for safekeeping, in three forms that people can keep. Whoever has one of them reads the whole mesh.
///
/// ```swift
/// let kit = try db.recoveryKit()
/// show(kit.words)
/// for number in kit.quiz(3) {  // prove that the words were written down
///   guard kit.isWord(number, await ask("Word \(number)?")) else { return }
/// }
/// ```
public struct RecoveryKit: Sendable {
  private let kit: InterocitorBindings.RecoveryKit

  init(_ kit: InterocitorBindings.RecoveryKit) { self.kit = kit }

  /// Reads a kit in any of its forms, alone or within other text such as a whole page; a bare passphrase, too. What is
  /// wrong with it is told (``InterocitorError/Code/invalidArgument``), never shown.
  public init(_ text: String) throws {
    self.init(try engine { try InterocitorBindings.RecoveryKit.parse(text: text) })
  }

  /// The passphrase.
  public var passphrase: String { kit.passphrase() }

  /// A page to print or to keep: what this is, the mesh, the passphrase and the words.
  public var text: String { kit.text() }

  /// What a ``QRCode`` of the kit holds.
  public var qr: String { kit.qr() }

  /// The 24 words.
  public var words: [String] { kit.words() }

  /// Draws so many of the words' numbers, 1 to 24, ascending, to ask for: at least one, at most all.
  public func quiz(_ count: Int = 3) -> [Int] { kit.quiz(count: UInt32(min(max(count, 1), 24))).map { Int($0) } }

  /// Checks an answer: the word with this number, in any case.
  public func isWord(_ number: Int, _ answer: String) -> Bool {
    guard let number = UInt32(exactly: number) else { return false }
    return kit.isWord(number: number, answer: answer)
  }
}

extension RecoveryKit: CustomStringConvertible, CustomReflectable {
  /// Without the key.
  public var description: String { "RecoveryKit" }
  /// Without the key.
  public var customMirror: Mirror { Mirror(self, children: []) }
}

/// A passphrase that another took the place of: what it opened may still be wanted.
public struct SupersededKey: Hashable, Sendable, Identifiable {
  /// Names it, for ``Interocitor/restoreSupersededKey(_:)`` and ``Interocitor/discardSupersededKey(_:)``.
  public let id: String
  /// The mesh that it opens, where that is known.
  public let meshID: String?
  /// When the other one was saved.
  public let superseded: Date

  init(_ key: InterocitorBindings.SupersededKey) {
    (id, meshID) = (key.id, key.meshId)
    superseded = Date(timeIntervalSince1970: Double(key.supersededMs) / 1000)
  }
}
