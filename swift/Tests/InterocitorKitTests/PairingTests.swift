import Foundation
import InterocitorKit
import Testing

@Suite struct PairingTests {
  private let mailbox = Mailbox.memory()

  private var options: PairingOptions {
    var options = PairingOptions()
    options.timeout = .seconds(20)
    options.pollInterval = .milliseconds(10)
    return options
  }

  /// A device without a mesh, before the mailbox.
  private func stranger() async throws -> Interocitor {
    let db = try await open { ($0.remotePath, $0.passphrase) = (nil, nil) }
    try await db.setRemoteStorage(mailbox)
    return db
  }

  /// Both devices compare their codes and finish.
  private func finish(_ one: Pairing, _ other: Pairing) async throws -> (Paired, Paired) {
    async let there = (other.code(), other.complete())
    let code = try await one.code()
    let here = try await one.complete()
    let (theirs, paired) = try await there
    #expect(code == theirs && code.wholeMatch(of: /\d{4} \d{4} \d{4}/) != nil)
    return (here, paired)
  }

  @Test func aDeviceSharesItsMesh() async throws {
    let (owner, guest) = (try await connected(to: mailbox), try await stranger())
    var events = guest.events.makeAsyncIterator()
    let shown = try await owner.pairShare(options)
    #expect(shown.sends && shown.payload.intent == .share)
    let scan = try await guest.pairScan(PairingPayload(shown.payload.link("https://app.example/pair")), options)
    #expect(!scan.sends)
    let (given, taken) = try await finish(shown, scan)
    #expect(!given.received && taken.received && taken.remotePath == "/Mesh")
    await expectFailure(.pairingRejected) { try await scan.complete() }
    #expect(guest.getPassphrase() == passphrase)
    #expect(try await guest.connect() == .online)
    while let event = await events.next(), event != .pairingReceived(intent: .share) {}
    // What is shown is for the eyes of the other device only.
    var dumped = ""
    dump(shown.payload, to: &dumped)
    #expect(!"\(shown.payload)\(dumped)".contains(shown.payload.encoded.prefix(60)))
  }

  @Test func aDeviceAsksForTheMeshOfAnother() async throws {
    let (owner, guest) = (try await connected(to: mailbox), try await stranger())
    let shown = try await guest.pairJoin(options)
    #expect(!shown.sends && shown.payload.intent == .join)
    let scan = try await owner.pairScan(PairingPayload(shown.payload.encoded), options)
    let (taken, given) = try await finish(shown, scan)
    #expect(!given.received && taken.received)
    #expect(try await guest.connect() == .online)
  }

  @Test func whatCannotBePairedIsTold() async throws {
    let owner = try await connected(to: mailbox)
    await expectFailure(.pairingRejected) { try PairingPayload("https://app.example/") }
    await expectFailure(.invalidArgument) { try await owner.pairJoin(options) }
    var picky = options
    picky.required = ["a"]
    await expectFailure(.invalidArgument) { try await owner.pairShare(picky) }
    var short = options
    short.timeout = .milliseconds(50)
    let shown = try await owner.pairShare(short)
    await expectFailure(.pairingTimeout) { try await shown.code() }
  }

  @Test func aCancelledWaitEndsNothingAndCancelDoes() async throws {
    let (owner, guest) = (try await connected(to: mailbox), try await stranger())
    let shown = try await owner.pairShare(options)
    let waiting = Task { try await shown.code() }
    try await Task.sleep(for: .milliseconds(50))
    waiting.cancel()
    await #expect(throws: CancellationError.self) { try await waiting.value }
    let scan = try await guest.pairScan(PairingPayload(shown.payload.encoded), options)
    #expect(try await scan.code() == shown.code())
    try await shown.cancel()
    await expectFailure(.userCancelled) { try await shown.complete() }
    try await scan.cancel()
    #expect(guest.getPassphrase() == nil)
  }

  @Test func aQRCodeIsDrawnWithItsLightZone() async throws {
    let code = try QRCode("https://app.example/pair")
    #expect(code.isDark(column: 4, row: 4) && code.isDark(column: 10, row: 4) && !code.isDark(column: 11, row: 4))
    #expect((0..<code.size).allSatisfy { !code.isDark(column: $0, row: 3) && !code.isDark(column: 3, row: $0) })
    #expect(!code.isDark(column: -1, row: 4) && !code.isDark(column: code.size, row: 4))
    #expect(code.svg().hasPrefix("<svg ") && code.png().dropFirst().starts(with: Data("PNG".utf8)))
    #expect("\(code)" == "QRCode(size: \(code.size))")
    await expectFailure(.limit) { try QRCode(String(repeating: "x", count: 2954)) }
  }
}
