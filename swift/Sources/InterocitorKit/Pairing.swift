import Foundation
internal import InterocitorBindings

/// What the device that shows a ``PairingPayload`` wants.
public enum PairingIntent: String, Hashable, Sendable {
  /// It has a mesh and gives it to the device that scans.
  case share
  /// It wants the mesh of the device that scans.
  case join

  init(_ intent: InterocitorBindings.PairingIntent) {
    self =
      switch intent {
      case .share: .share
      case .join: .join
      }
  }
}

/// How to pair. The defaults are those of the JavaScript client.
public struct PairingOptions: Hashable, Sendable {
  /// The folder of the mailbox below which the devices meet; the same on both.
  public var relayBase = "/Interocitor"
  /// How long to wait for the other device, at each step.
  public var timeout = Duration.seconds(120)
  /// Time between two looks into the mailbox meanwhile.
  public var pollInterval = Duration.seconds(2)
  /// What this app can do in a pairing, as ids that apps agree on: `notes:v2`.
  public var supported: [String] = []
  /// What of it both apps must be able to do.
  public var required: [String] = []

  /// The defaults; set what is to be different.
  public init() {}

  var engine: InterocitorBindings.PairingOptions {
    .init(
      relayBase: relayBase, timeoutMs: timeout.milliseconds, pollIntervalMs: pollInterval.milliseconds,
      supported: supported, required: required)
  }
}

/// What a QR code or a pair link holds. Whoever has it may take part in the pairing: it is for the eyes of the two devices
/// only, and good for one pairing within the timeout.
public struct PairingPayload: Sendable {
  let engine: InterocitorBindings.PairingPayload

  init(_ engine: InterocitorBindings.PairingPayload) { self.engine = engine }

  /// Reads what was scanned: the bare payload, or a link with it. That alone does nothing. Anything else is refused with
  /// ``InterocitorError/Code/pairingRejected``.
  public init(_ scanned: String) throws {
    self.init(try InterocitorKit.engine { try InterocitorBindings.PairingPayload.parse(scanned: scanned) })
  }

  /// What the device that shows it wants.
  public var intent: PairingIntent { PairingIntent(engine.intent()) }

  /// How the other device says that the mailbox is reached, as JSON of its kind of mailbox. **Unproven**: nothing here ever
  /// follows it. Show it, and use it only if the user knows the place.
  public var adapterConfig: String? { engine.adapterConfig() }

  /// The text for a ``QRCode``.
  public var encoded: String { engine.encode() }

  /// A link that opens an app, or a page, with the payload: `<base>#hs=<payload>`.
  public func link(_ base: String) -> String { engine.toUrl(base: base) }
}

extension PairingPayload: CustomStringConvertible, CustomReflectable {
  /// Without its key.
  public var description: String { "PairingPayload(intent: \(intent))" }
  /// Without its key.
  public var customMirror: Mirror { Mirror(self, children: ["intent": intent]) }
}

/// What came of a pairing.
public struct Paired: Hashable, Sendable {
  /// The mesh's folder in the mailbox, now the same on both devices.
  public let remotePath: String
  /// Whether this device received the mesh, and did not give it.
  public let received: Bool
  /// How to reach the mailbox from now on, as the other device says, for apps that agreed on something of that kind.
  /// Nothing here follows it.
  public let connectionConfig: String?
}

extension Paired: CustomStringConvertible, CustomReflectable {
  /// Without what may be an address with a password.
  public var description: String { "Paired(remotePath: \(remotePath), received: \(received))" }
  /// Without what may be an address with a password.
  public var customMirror: Mirror { Mirror(self, children: ["remotePath": remotePath, "received": received]) }
}

/// One pairing with another device: ``Interocitor/pairShare(_:)``, ``Interocitor/pairJoin(_:)`` or
/// ``Interocitor/pairScan(_:_:)``.
///
/// ```swift
/// let pairing = try await db.pairShare()
/// show(try QRCode(pairing.payload.encoded))
/// let code = try await pairing.code()  // the other device is there
/// if await ask("Does the other device show \(code)?") {
///   try await pairing.complete()
/// } else {
///   try await pairing.cancel()
/// }
/// ```
///
/// Cancelling the `Task` gives up a wait, and the pairing can go on; ``cancel()`` ends it, and so does letting go of it.
public final class Pairing: Sendable {
  private let pairing: InterocitorBindings.Pairing

  init(_ pairing: InterocitorBindings.Pairing) { self.pairing = pairing }

  /// What the other device is to scan, or what this one has scanned.
  public var payload: PairingPayload { PairingPayload(pairing.payload()) }

  /// Whether this device gives its mesh; else it gets one.
  public var sends: Bool { pairing.sends() }

  /// Waits until the other device is there, and gives the code that both devices show then, `1234 5678 9012`. People
  /// compare them: if they differ, another device has taken the place of theirs.
  public func code() async throws -> String {
    try await cancellable { try await self.pairing.code(cancel: $0) }
  }

  /// Gives the mesh to the other device, or takes it from there: the codes were compared. What was taken is used from the
  /// next ``Interocitor/connect()`` on, which proves it against the mesh and saves it; before that nothing is saved.
  @discardableResult
  public func complete() async throws -> Paired {
    let paired = try await cancellable { try await self.pairing.complete(cancel: $0) }
    return Paired(
      remotePath: paired.remotePath, received: paired.received, connectionConfig: paired.connectionConfig)
  }

  /// Ends it, for instance because the codes differ. Calls under way and later ones answer
  /// ``InterocitorError/Code/userCancelled`` or ``InterocitorError/Code/pairingRejected``. What the other device has not
  /// taken yet is taken back.
  public func cancel() async throws {
    try await engine { try await pairing.cancel() }
  }
}
