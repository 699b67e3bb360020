import Foundation
@testable import InterocitorKit
import Testing

/// Images: in by each kind of source, out in memory, as a temporary file and small, and what goes wrong.
@Suite(.timeLimit(.minutes(1))) struct ImagesTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func bytes(_ text: String) -> ImageSource { .data(Data(text.utf8)) }

  private func exists(_ url: URL) -> Bool { FileManager.default.fileExists(atPath: url.path) }

  /// A red picture as a BMP file; `claims` is the size that its head tells of.
  private func bitmap(_ width: Int, _ height: Int, claims: (Int, Int)? = nil) -> Data {
    let line = (width * 3 + 3) / 4 * 4
    let (wide, high) = claims ?? (width, height)
    var file = Data("BM".utf8)
    for number in [54 + line * height, 0, 54, 40, wide, high, 0x18_0001, 0, 0, 0, 0, 0, 0] {
      withUnsafeBytes(of: UInt32(number).littleEndian) { file.append(contentsOf: $0) }
    }
    for _ in 0..<height {
      for at in 0..<line { file.append(at < width * 3 && at % 3 == 2 ? 255 : 0) }
    }
    return file
  }

  @Test func imagesGoInAndOut() async throws {
    let mailbox = Mailbox.memory()
    let (a, b) = (try await connected(to: mailbox), try await connected(to: mailbox))
    try Data("of a file".utf8).write(to: folder("source"))
    try await a.putImage("a.jpg", bytes("of memory"))
    try await a.putImage("b.webp", .file(folder("source")))
    let rest = Shared(Data("read".utf8))
    try await a.putImage("c.gif", .reader { _ in rest.change { left in defer { left = Data() }; return left } })
    try await a.putImage("d.jpg", .text("data:image/gif;base64,aGk="))
    try await a.putImage("e.jpg", .text("<svg/>"))
    let put = try await a.putImage("f.jpg", .text("<svg/>"), contentType: "image/x-own")
    #expect(put.contentType == "image/x-own" && put.size == 6)
    let staged = try await a.stageImage("g.png", bytes("staged"))
    try await a.batch { try $0.putFile(staged) }
    try await a.sync()
    for (path, contentType, content) in [
      ("a.jpg", "image/jpeg", "of memory"), ("b.webp", "image/webp", "of a file"), ("c.gif", "image/gif", "read"),
      ("d.jpg", "image/gif", "hi"), ("e.jpg", "image/svg+xml", "<svg/>"), ("f.jpg", "image/x-own", "<svg/>"),
      ("g.png", "image/png", "staged"),
    ] {
      let image = try await b.image(path)
      #expect(image.contentType == contentType && image.data == Data(content.utf8) && image.info.path == path)
    }
    await expectFailure(.invalidArgument) { try await a.putImage("a.jpg", bytes("x"), contentType: "text/plain") }
    await expectFailure(.invalidArgument) { try await a.putImage("a.jpg", .text("data:image/png;base64,*")) }
    await expectFailure(.invalidArgument) { try await a.stageImage("a.jpg", .text("data:text/plain,x")) }
    await expectFailure(.invalidArgument) { try await a.putImage("a.jpg", .file(folder("missing"))) }
    await expectFailure(.fileNotFound) { try await a.image("none") }
  }

  @Test func anImageIsShownUntilItIsRevokedOrForgotten() async throws {
    let db = try await open { $0.store = .file(folder("a b.db")) }
    try await db.putImage("x.svg", .text("<svg/>"))
    let (revoked, left) = (try await db.imageURL("x.svg"), try await db.imageURL("x.svg"))
    #expect(revoked.contentType == "image/svg+xml" && revoked.url.isFileURL && revoked.url.pathExtension == "svg")
    #expect(try Data(contentsOf: revoked.url) == Data("<svg/>".utf8))
    try revoked.revoke()
    #expect(!exists(revoked.url))
    try revoked.revoke()
    var forgotten: ImageURL? = try await db.imageURL("x.svg")
    let url = try #require(forgotten?.url)
    #expect(exists(url))
    forgotten = nil
    #expect(!exists(url) && exists(left.url))
    try await db.shutdown()
    #expect(!exists(left.url))
    try left.revoke()
  }

  @Test func smallPicturesAreMadeOfWhatIsAPicture() async throws {
    let db = try await connected(to: .memory())
    try await db.putImage("a.bmp", .data(bitmap(300, 150)))
    let small = try await db.thumbnail("a.bmp", edge: 100)
    #expect(small.width == 100 && small.height == 50 && small.contentType == "image/jpeg")
    #expect(small.data.starts(with: [0xff, 0xd8, 0xff]))
    try await db.putImage("bomb.bmp", .data(bitmap(2, 2, claims: (30_000, 30_000))))
    let error = await expectFailure(.limit) { try await db.thumbnail("bomb.bmp", edge: 100) }
    #expect(error?.cause == .rejected && error?.isRetryable == false)
    try await db.putImage("text.png", bytes("this is no image"))
    await expectFailure(.decode) { try await db.thumbnail("text.png", edge: 100) }
    for edge in [-1, 0, 2049, .max] {
      await expectFailure(.invalidArgument) { try await db.thumbnail("a.bmp", edge: edge) }
    }
    await expectFailure(.fileNotFound) { try await db.thumbnail("none", edge: 100) }
  }

  @Test func aViewIsToldWhenToLoadItsImage() async throws {
    let db = try await connected(to: .memory())
    var changes = FileChanges(db, "/photos//a.svg")
    #expect(await changes.next(), "the first time at once")
    try await db.putImage("b.svg", .text("<svg/>"))
    try await db.disconnect()
    try await db.connect()
    try await db.putImage("photos/a.svg", .text("<svg/>"))
    #expect(await changes.next())
    try await db.disconnect()
    try await db.connect()
    try await db.putImage("b.svg", .text("<svg/>"))
    #expect(await changes.next(orOnline: true), "the mailbox answers again")
    try await db.shutdown()
    #expect(await !changes.next())
  }

  @Test func anImageOfTheSystemIsEncodedWhereItIsPut() async throws {
    let db = try await open()
    let picture = bitmap(3, 3)
    let encoded = ImageSource.encoded("image/bmp") { picture }
    #expect(try await db.putImage("a.jpg", encoded).contentType == "image/bmp")
    #expect(try await db.putImage("b.jpg", encoded, contentType: "image/x-own").contentType == "image/x-own")
    let staged = try await db.stageImage("c.jpg", encoded)
    try await db.batch { try $0.putFile(staged) }
    #expect(try await db.image("c.jpg").contentType == "image/bmp")
    #expect(try await db.image("c.jpg").data == picture)
    let broken = ImageSource.encoded("image/png") { throw InterocitorError.invalid("image", "it has no pixels") }
    await expectFailure(.invalidArgument) { try await db.putImage("d", broken) }
    await expectFailure(.offline) { try await db.image("d") }
  }

  @Test func afterAShutdownEveryCallSaysSo() async throws {
    let db = try await open()
    try await db.shutdown()
    await expectFailure(.shutDown) { try await db.putImage("a", bytes("x")) }
    await expectFailure(.shutDown) { try await db.stageImage("a", bytes("x")) }
    await expectFailure(.shutDown) { try await db.image("a") }
    await expectFailure(.shutDown) { try await db.imageURL("a") }
    await expectFailure(.shutDown) { try await db.thumbnail("a", edge: 1) }
  }
}
