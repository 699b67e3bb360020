import InterocitorKit

/// Plays the steps of one device's pairing. What both devices do at once goes on beside the steps.
actor ScenarioPairings {
  static let steps: Set = [
    "pairShare", "pairJoin", "pairScan", "pairCode", "pairComplete", "paired", "pairCancel",
  ]

  private var shown: Pairing?
  private var end: Task<Paired, any Error>?

  private static var options: PairingOptions {
    var options = PairingOptions()
    options.timeout = .seconds(30)
    options.pollInterval = .milliseconds(20)
    return options
  }

  private func pairing() throws -> Pairing {
    guard let shown else { throw Fault.driver("there is no pairing") }
    return shown
  }

  private func show(_ pairing: Pairing) -> JSONValue {
    shown = pairing
    return .string(pairing.payload.encoded)
  }

  func play(_ what: String, _ step: JSONObject, _ db: Interocitor) async throws -> JSONValue {
    switch what {
    case "pairShare": return show(try await db.pairShare(Self.options))
    case "pairJoin": return show(try await db.pairJoin(Self.options))
    case "pairScan":
      let payload = try PairingPayload(step["payload"]?.string ?? "")
      _ = show(try await db.pairScan(payload, Self.options))
    case "pairCode": return .string(try await pairing().code())
    case "pairComplete":
      let pairing = try pairing()
      guard try await pairing.code() == step["code"]?.string else { throw Fault.driver("the codes differ") }
      end = Task { try await pairing.complete() }
    case "paired":
      guard let end else { throw Fault.driver("pairComplete comes first") }
      let paired = try await end.value
      return ["remotePath": .string(paired.remotePath), "received": .bool(paired.received)]
    case "pairCancel": try await pairing().cancel()
    case let other: throw Fault.driver("there is no step \(other)")
    }
    return .null
  }
}
