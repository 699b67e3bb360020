import Foundation
import InterocitorKit
import Testing

#if canImport(FoundationNetworking)
  import FoundationNetworking
#endif

/// Large uploads in the hands of `URLSession`, over a real server: `WEBDAV_URL`, which `bash tests/run.sh swift` starts.
@Suite(.timeLimit(.minutes(1))) struct BackgroundUploadsTests {
  private let folder: TemporaryFolder
  private let large = Data((0..<3_000_000).map { UInt8($0 % 251) })

  init() throws { folder = try TemporaryFolder() }

  /// Tells what passes, and hands it on.
  private struct Counting: PlatformHTTP {
    let next: any PlatformHTTP
    let seen: Shared<[String]>

    func upload(_ request: UploadRequest) async throws -> UploadResponse {
      #expect(try FileManager.default.attributesOfItem(atPath: request.file.path)[.size] as? Int == request.size)
      #expect(!"\(request)".contains("127.0.0.1") && !String(reflecting: request).contains("Basic"))
      let answer = try await next.upload(request)
      seen.change { $0.append("\(request.request.httpMethod ?? "?") \(answer.status)") }
      return answer
    }
  }

  private func mailbox(_ http: any PlatformHTTP) throws -> Mailbox {
    let text = try #require(ProcessInfo.processInfo.environment["WEBDAV_URL"], "run `bash tests/run.sh swift`")
    var url = try #require(URLComponents(string: text))
    let access = WebDAVAccess.password(user: url.user ?? "", url.password ?? "")
    (url.user, url.password) = (nil, nil)
    let uploads = try PlatformUploads(http, folder: folder("spool"))
    return try .webDAV(try #require(url.url), access: access, uploads: uploads)
  }

  private func device(_ mailbox: Mailbox) async throws -> Interocitor {
    try await connected(to: mailbox) { $0.remotePath = "/" + folder.url.lastPathComponent }
  }

  private func spooled() throws -> [String] { try FileManager.default.contentsOfDirectory(atPath: folder("spool").path) }

  @Test func aLargeFileIsCarriedAndASmallOneIsNot() async throws {
    let seen = Shared<[String]>([])
    let mailbox = try mailbox(Counting(next: BackgroundUploads(identifier: "test"), seen: seen))
    let (a, b) = (try await device(mailbox), try await device(mailbox))
    try await a.putFile("small", .data(Data("small".utf8)))
    try await a.putFile("large", .data(large))
    try await a.sync()
    #expect(try await b.getFile("large").data() == large)
    #expect(try await b.getFile("small").data() == Data("small".utf8))
    #expect(seen.now.count == 1 && seen.now[0].hasPrefix("PUT 20"), "\(seen.now)")
    #expect(try spooled().isEmpty)
  }

  @Test func whatHindersIsToldAndTriedAgain() async throws {
    struct Broken: PlatformHTTP {
      let fails: Shared<Bool>
      func upload(_ request: UploadRequest) async throws -> UploadResponse {
        if fails.now { throw MailboxError(.offline, reason: "no way there") }
        return try await BackgroundUploads(identifier: "again").upload(request)
      }
    }
    let fails = Shared(true)
    let db = try await device(try mailbox(Broken(fails: fails)))
    try await db.putFile("large", .data(large))
    let synced = try await db.syncFiles()
    #expect(synced.done == 0 && synced.failed == 1)
    #expect(try await db.fileTransfers().first?.transfer?.problem?.code == .offline)
    fails.change { $0 = false }
    #expect(try await db.syncFiles().done == 1)
    #expect(try spooled().isEmpty)
  }

  @Test func aCancelledUploadIsCancelledThereToo() async throws {
    struct Hanging: PlatformHTTP {
      let state: Shared<String>
      func upload(_ request: UploadRequest) async throws -> UploadResponse {
        state.change { $0 = "begun" }
        defer { state.change { $0 = "cancelled" } }
        try await Task.sleep(for: .seconds(50))
        return UploadResponse(status: 201)
      }
    }
    let state = Shared("")
    let db = try await device(try mailbox(Hanging(state: state)))
    try await db.putFile("large", .data(large))
    let syncing = Task { try await db.syncFiles() }
    while state.now != "begun" { try await Task.sleep(for: .milliseconds(5)) }
    try await db.cancelFile("large")
    while state.now != "cancelled" { try await Task.sleep(for: .milliseconds(5)) }
    #expect(try await syncing.value.done == 0)
    #expect(try spooled().isEmpty)
  }

  @Test func nobodyThereIsOffline() async throws {
    let file = folder("body")
    try large.write(to: file)
    var request = URLRequest(url: try #require(URL(string: "http://127.0.0.1:1/x")))
    request.httpMethod = "PUT"
    let upload = UploadRequest(id: "1", request: request, file: file, size: large.count)
    await #expect { try await BackgroundUploads(identifier: "nobody").upload(upload) } throws: {
      ($0 as? MailboxError)?.fault == .offline
    }
  }

  @Test func aFolderThatCannotBeIsRefused() async throws {
    try Data().write(to: folder("file"))
    await expectFailure(.invalidArgument) {
      try PlatformUploads(BackgroundUploads(identifier: "x"), folder: folder("file"))
    }
  }
}
