import Foundation
import InterocitorKit
import Testing

/// Durable files: in and out in every way, with rows, their queue, and what goes wrong.
@Suite(.timeLimit(.minutes(1))) struct FilesTests {
  private let folder: TemporaryFolder
  private let large = Data((0..<600_000).map { UInt8($0 % 251) })

  init() throws { folder = try TemporaryFolder() }

  private func text(_ text: String) -> FileSource { .data(Data(text.utf8)) }

  private func text(_ db: Interocitor, _ path: String) async throws -> String {
    String(decoding: try await db.getFile(path).data(), as: UTF8.self)
  }

  @Test func contentGoesInAndOutInEveryWay() async throws {
    let mailbox = Mailbox.memory()
    let (a, b) = (try await connected(to: mailbox), try await connected(to: mailbox))
    try large.write(to: folder("source"))
    let put = try await a.putFile("in//data/", .data(large), contentType: "application/x-test")
    #expect(put.path == "in/data" && put.id == put.path && put.size == 600_000 && put.contentType == "application/x-test")
    #expect(put.isHere && !put.isPinned && put.modified != nil)
    #expect(put.transfer?.kind == .upload && put.transfer?.state == .waiting)
    #expect(try await a.putFile("in/file", .file(folder("source"))).digest == put.digest)
    // One that gives more than it is asked for.
    let (rest, content) = (Shared(0), large)
    let reader = FileSource.reader { count in
      #expect(count > 0)
      return rest.change { at in
        defer { at = min(at + 400_000, content.count) }
        return content[at..<min(at + 400_000, content.count)]
      }
    }
    #expect(try await a.putFile("in/reader", reader).digest == put.digest)
    let synced = try await a.syncFiles()
    #expect(synced.done == 3 && synced.failed == 0 && synced.problem == nil)

    let got = try await b.getFile("in/data", digest: put.digest)
    #expect(got.info.contentType == "application/x-test" && got.info.size == 600_000)
    #expect(try await got.data() == large)
    await expectFailure(.invalidArgument) { try await got.data() }
    try await b.getFile("in/file", prefersCache: true).save(to: folder("target"))
    #expect(try Data(contentsOf: folder("target")) == large)
    var pieces: [Data] = []
    for try await piece in try await b.getFile("in/reader").pieces { pieces.append(piece) }
    #expect(pieces.count > 1 && Data(pieces.joined()) == large)
    let listing = try await b.listFiles("in/")
    #expect(listing.files.map(\.path) == ["in/data", "in/file", "in/reader"] && listing.unnamed == 0)
    #expect(try await b.getFileMetadata("in/file")?.digest == put.digest)
    try await a.deleteFile("in/file")
    try await a.sync()
    await expectFailure(.fileNotFound) { try await b.getFile("in/file") }
    #expect(try await b.getFileMetadata("in/file") == nil)
  }

  @Test func aRowAndItsFileArePublishedTogether() async throws {
    let mailbox = Mailbox.memory()
    let (a, b) = (try await connected(to: mailbox), try await connected(to: mailbox))
    let scan = try await a.stageFile("receipts/may.pdf", text("a bill"))
    #expect(scan.path == "receipts/may.pdf" && scan.size == 6 && scan.digest.count == 64)
    #expect(try await a.fileTransfers().isEmpty)
    try await a.batch { batch in
      try batch.putFile(scan)
      try batch.table("receipts").put("may", ["file": .string(scan.path)])
    }
    await expectFailure(.invalidArgument) { try await a.batch { try $0.putFile(scan) } }
    try await a.pauseFile("receipts/may.pdf")
    await expectFailure(.invalidArgument) { try await a.cancelFile("receipts/may.pdf") }
    try await a.flush()
    try await b.pull()
    #expect(try await b.table("receipts").row("may") == nil)
    try await a.resumeFile("receipts/may.pdf")
    try await a.sync()
    try await b.pull()
    #expect(try await b.table("receipts").row("may") != nil)
    #expect(try await text(b, "receipts/may.pdf") == "a bill")
    // A batch that throws puts nothing.
    let lost = try await a.stageFile("lost", text("x"))
    await #expect(throws: CocoaError.self) {
      try await a.batch { batch in
        try batch.putFile(lost)
        throw CocoaError(.fileNoSuchFile)
      }
    }
    #expect(try await a.listFiles("lost").files.isEmpty)
  }

  /// The next state of the queue that is so.
  private func until(_ queue: inout FileQueue.AsyncIterator, _ isSo: ([FileInfo]) -> Bool) async throws -> [FileInfo] {
    while let files = try await queue.next() {
      if isSo(files) { return files }
    }
    Issue.record("the queue ended")
    return []
  }

  @Test func whatWaitsIsToldAndDoesAsItIsTold() async throws {
    let mailbox = Mailbox.memory()
    let (a, b) = (try await connected(to: mailbox), try await connected(to: mailbox))
    var queue = a.fileQueue.makeAsyncIterator()
    _ = try await until(&queue) { $0.isEmpty }
    var events = a.events.makeAsyncIterator()
    try await a.putFile("a", text("one"))
    try await a.pauseFile("a")
    try await a.putFile("b", text("two"))
    let waiting = try await until(&queue) { $0.count == 2 }.compactMap(\.transfer)
    #expect(waiting.map(\.state) == [.paused, .waiting])
    #expect(waiting.allSatisfy { $0.attempts == 0 && $0.retryAt == nil && $0.problem == nil && $0.fraction == nil })
    let status = try await a.status()
    #expect(status.pendingFiles == 2 && status.failedFiles == 0)
    #expect(try await a.syncFiles().done == 1)
    try await a.cancelFile("a")
    _ = try await until(&queue) { $0.isEmpty }
    await expectFailure(.fileNotFound) { try await a.getFile("a") }
    var told: [Event] = []
    while let event = await events.next(), event != .fileState(path: "a", isHere: false, kind: nil, state: nil) {
      told.append(event)
    }
    #expect(told.contains(.fileState(path: "a", isHere: true, kind: .upload, state: .paused)))
    #expect(told.contains(.fileState(path: "b", isHere: true, kind: .upload, state: .running)))
    #expect(told.contains { if case .fileProgress("b", let bytes, _) = $0 { bytes > 0 } else { false } })

    try await b.pinFile("b")
    #expect(try await b.fileTransfers().first?.transfer?.kind == .download)
    try await b.syncFiles()
    func known() async throws -> FileInfo { try #require(try await b.listFiles("b").files.first) }
    #expect(try await known().isHere)
    #expect(try await known().isPinned)
    try await b.unpinFile("b")
    #expect(try await !known().isPinned)
    try await b.evictFile("b")
    #expect(try await !known().isHere)
    events = b.events.makeAsyncIterator()
    try await b.pinFile("missing")
    #expect(try await b.syncFiles().failed == 1)
    while let event = await events.next() {
      guard case .fileError(let path, let code, let reason, let retryIn) = event else { continue }
      #expect(path == "missing" && code == .fileNotFound && !reason.isEmpty && retryIn == nil)
      break
    }
    let failed = try #require(try await b.fileTransfers().first?.transfer)
    #expect(failed.state == .failed && failed.attempts == 1 && failed.problem?.code == .fileNotFound)
    #expect(try await b.status().failedFiles == 1)

    let loop = Task { for try await files in b.fileQueue where files.isEmpty {} }
    try await Task.sleep(for: .milliseconds(50))
    loop.cancel()
    await #expect(throws: CancellationError.self) { try await loop.value }
    try await a.shutdown()
    #expect(try await queue.next() == nil)
  }

  @Test func aReaderThatFailsOrIsGivenUpStoresNothing() async throws {
    struct Secret: Error {}
    let db = try await open()
    try await db.putFile("a", text("what was there"))
    let error = await expectFailure(.invalidArgument) { try await db.putFile("a", .reader { _ in throw Secret() }) }
    #expect(error?.reason.contains("Secret") == true)
    let (reads, goOn) = (Shared(0), DispatchSemaphore(value: 0))
    let putting = Task {
      try await db.putFile("a", .reader { count in
        if reads.change({ $0 += 1; return $0 }) == 2 { goOn.wait() }
        return Data(count: count)
      })
    }
    try await eventually("it is not read") { reads.now == 2 }
    putting.cancel()
    await #expect(throws: CancellationError.self) { try await putting.value }
    goOn.signal()
    try await Task.sleep(for: .milliseconds(200))
    #expect(reads.now == 2, "it is read on although nobody waits")
    #expect(try await text(db, "a") == "what was there")
  }

  @Test func whatIsWrongWithAFileIsTold() async throws {
    let db = try await connected(to: .folder(folder.url)) {
      ($0.fileForm, $0.maxFileBytes, $0.fileCacheBytes) = (.plain, 10, 0)
    }
    for path in ["", "../a", "a\0b"] {
      await expectFailure(.invalidArgument) { try await db.putFile(path, text("x")) }
      await expectFailure(.invalidArgument) { try await db.getFile(path) }
    }
    await expectFailure(.limit) { try await db.putFile("a", text("eleven bytes")) }
    await expectFailure(.invalidArgument) { try await db.putFile("a", .file(folder("missing"))) }
    await expectFailure(.invalidArgument) { try await db.putFile("a", .file(URL(string: "https://app.example/a")!)) }
    try await db.putFile("a/b", text("content"))
    await expectFailure(.invalidArgument) { try await db.evictFile("a/b") }
    try await db.sync()
    let stored = folder("Mesh/files/a/b")
    #expect(FileManager.default.fileExists(atPath: stored.path))
    #expect(try await db.listFiles().files.first?.isHere == false)
    let error = await expectFailure(.fileIntegrity) {
      try await db.getFile("a/b", digest: String(repeating: "0", count: 64))
    }
    #expect(error?.cause == .rejected && error?.isRetryable == false)
    await expectFailure(.invalidArgument) { try await db.getFile("a/b").save(to: folder("no/such")) }
    try Data("something else".utf8).write(to: stored)
    await expectFailure(.fileIntegrity) { try await db.getFile("a/b") }
    await expectFailure(.invalidArgument) { try await open { $0.maxFileBytes = -1 } }
    await expectFailure(.invalidArgument) { try await open { $0.fileCacheBytes = -1 } }
  }

  @Test func theFormIsAsTheConfigurationSays() async throws {
    let db = try await connected(to: .folder(folder.url)) { $0.fileForm = .hashed }
    try await db.putFile("a/b", text("content"))
    try await db.sync()
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder("Mesh/files").path).map(\.count) == [64])
    // Who has not met it knows that there is something.
    let other = try await connected(to: .folder(folder.url))
    let listing = try await other.listFiles()
    #expect(listing.files.isEmpty && listing.unnamed == 1)
    #expect(try await text(other, "a/b") == "content")
  }

  @Test func afterAShutdownEveryCallSaysSo() async throws {
    let db = try await open()
    try await db.shutdown()
    await expectFailure(.shutDown) { try await db.putFile("a", text("x")) }
    await expectFailure(.shutDown) { try await db.stageFile("a", text("x")) }
    await expectFailure(.shutDown) { try await db.getFile("a") }
    await expectFailure(.shutDown) { try await db.getFileMetadata("a") }
    await expectFailure(.shutDown) { try await db.deleteFile("a") }
    await expectFailure(.shutDown) { try await db.listFiles() }
    await expectFailure(.shutDown) { try await db.pinFile("a") }
    await expectFailure(.shutDown) { try await db.unpinFile("a") }
    await expectFailure(.shutDown) { try await db.evictFile("a") }
    await expectFailure(.shutDown) { try await db.pauseFile("a") }
    await expectFailure(.shutDown) { try await db.resumeFile("a") }
    await expectFailure(.shutDown) { try await db.cancelFile("a") }
    await expectFailure(.shutDown) { try await db.fileTransfers() }
    await expectFailure(.shutDown) { try await db.syncFiles() }
    await expectFailure(.shutDown) { for try await _ in db.fileQueue {} }
  }
}
