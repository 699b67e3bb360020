import Foundation
import InterocitorKit
import Testing

/// A mesh as files, and back.
@Suite(.timeLimit(.minutes(1))) struct ExportTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func filled(_ mailbox: Mailbox = .memory()) async throws -> Interocitor {
    let db = try await connected(to: mailbox)
    try await db.table("t").put("x", ["v": "secret"])
    try await db.putFile("a/b", .data(Data("content".utf8)))
    return db
  }

  private func fresh() async throws -> Interocitor { try await open { $0.passphrase = nil } }

  @Test(arguments: [
    (ExportFormat.folder, nil), (.archive(passphrase: "correct horse"), "correct horse"), (.meshArchive, passphrase),
  ])
  func everyFormGoesOutAndComesBack(format: ExportFormat, given: String?) async throws {
    let (db, target) = (try await filled(), folder("export"))
    var events = db.events.makeAsyncIterator()
    let exported = try await db.export(to: target, as: format)
    #expect(exported.tables == 1 && exported.rows == 1 && exported.files == 1 && exported.unnamed == 0)
    #expect(exported.bytes > 7)
    let isReadable = format == .folder
    #expect((try? Data(contentsOf: target).range(of: Data("secret".utf8)) == nil) == (isReadable ? nil : true))
    #expect(FileManager.default.fileExists(atPath: target.appendingPathComponent("export.json").path) == isReadable)
    while let event = await events.next() {
      if case .exportProgress(let rows, let files, _) = event, rows <= 1, files <= 1 { break }
    }
    let new = try await fresh()
    events = new.events.makeAsyncIterator()
    let imported = try await new.import(from: target, passphrase: given)
    #expect(imported.rows == 1 && imported.changed == 1 && imported.files == 1)
    while let event = await events.next() {
      if case .importProgress(let rows, let files, _) = event, rows <= 1, files <= 1 { break }
    }
    #expect(try await new.table("t").row("x")?.value == ["v": "secret"])
    #expect(try await new.getFile("a/b").data() == Data("content".utf8))
    #expect(try await new.import(from: target, passphrase: given).changed == 0)
  }

  @Test func whatIsNoWholeExportChangesNothing() async throws {
    let (db, target) = (try await filled(), folder("archive"))
    try await db.export(to: target, as: .archive(passphrase: "correct horse"))
    await expectFailure(.invalidArgument) { try await db.export(to: target) }
    let new = try await fresh()
    await expectFailure(.passphraseWrong) { try await new.import(from: target, passphrase: "wrong") }
    await expectFailure(.invalidArgument) { try await new.import(from: folder("missing")) }
    let whole = try Data(contentsOf: target)
    try whole.dropLast().write(to: target)
    let error = await expectFailure(.exportInvalid) { try await new.import(from: target, passphrase: "correct horse") }
    #expect(error?.cause == .rejected && error?.isRetryable == false)
    let newer = String(decoding: whole, as: UTF8.self).replacingOccurrences(of: "\"version\":1", with: "\"version\":2")
    try Data(newer.utf8).write(to: target)
    await expectFailure(.exportNewer) { try await new.import(from: target, passphrase: "correct horse") }
    #expect(try await new.tableNames().isEmpty)
  }

  @Test func whatCannotGoOutIsTold() async throws {
    let target = folder("export")
    await expectFailure(.passphraseRequired) { try await fresh().export(to: target, as: .meshArchive) }
    let url = URL(string: "https://app.example/export")!
    let db = try await filled()
    await expectFailure(.invalidArgument) { try await db.export(to: url) }
    await expectFailure(.invalidArgument) { try await db.import(from: url) }
    try await db.sync()
    try await db.evictFile("a/b")
    try await db.disconnect()
    await expectFailure(.offline) { try await db.export(to: target) }
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.url.path).isEmpty)
    try await db.shutdown()
    await expectFailure(.shutDown) { try await db.export(to: target) }
    await expectFailure(.shutDown) { try await db.import(from: target) }
  }

  @Test func oneThatIsGivenUpLeavesNothing() async throws {
    let (db, target) = (try await filled(), folder("export"))
    try await db.putFile("large", .data(Data(count: 32 << 20)))
    var events = db.events.makeAsyncIterator()
    let exporting = Task { try await db.export(to: target) }
    while let event = await events.next() {
      if case .exportProgress = event { break }
    }
    exporting.cancel()
    await #expect(throws: CancellationError.self) { try await exporting.value }
    try await eventually("something is left") {
      try FileManager.default.contentsOfDirectory(atPath: folder.url.path).isEmpty
    }
    #expect(try await db.table("t").row("x") != nil)
  }
}
