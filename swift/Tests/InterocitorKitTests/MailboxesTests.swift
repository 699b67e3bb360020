import Foundation
import InterocitorKit
import Testing

/// The mailboxes behind HTTP: what their options refuse, and a remote that is not there.
@Suite(.timeLimit(.minutes(1))) struct MailboxesTests {
  /// Nobody listens there.
  private let nowhere = URL(string: "http://127.0.0.1:1")!
  private let keys = S3Credentials(accessKey: "s3cret-id", secretKey: "s3cret", sessionToken: "s3cret")

  private struct Tokens: TokenProvider {
    func token(rejected: String?) async throws -> String { "s3cret" }
  }

  /// Refused as unusable, naming what it is about and showing no secret.
  private func refused(
    _ about: String, sourceLocation: SourceLocation = #_sourceLocation, _ mailbox: () throws -> Mailbox
  ) async {
    let error = await expectFailure(.invalidArgument, sourceLocation: sourceLocation) { try mailbox() }
    #expect(error?.reason.contains(about) == true, "\(error?.reason ?? "")", sourceLocation: sourceLocation)
    #expect(error?.reason.contains("s3cret") == false, sourceLocation: sourceLocation)
  }

  @Test func aRemoteThatIsNotThereIsOfflineAndRetryable() async throws {
    let worker = nowhere.appendingPathComponent("io/uuid.tag")
    let mailboxes: [(String, Mailbox)] = [
      ("s3", try .s3(bucket: "notes", keys, prefix: "a b", endpoint: nowhere, timeout: .seconds(1))),
      ("gdrive", try .googleDrive(.token("t"), folder: "1aB_-x", endpoint: nowhere, timeout: .seconds(1), retries: 0)),
      ("cloudflare", try .cloudflare(worker, .token("t"), push: false, timeout: .seconds(1))),
      ("webdav", try .webDAV(nowhere, access: .digest(user: "u", "s3cret"), timeout: .seconds(1))),
    ]
    for (kind, mailbox) in mailboxes {
      #expect(mailbox.kind == kind)
      let db = try await open()
      try await db.setRemoteStorage(mailbox)
      let error = await expectFailure(.offline) { try await db.syncOnce(deadline: .seconds(10)) }
      #expect(error?.isRetryable == true && error?.cause == .remote, "\(kind)")
      try await db.shutdown()
    }
  }

  @Test func optionsOfS3AreChecked() async throws {
    for addressing in [nil, S3Addressing.path, .virtualHost] {
      #expect(try Mailbox.s3(bucket: "notes", keys, region: "eu-west-1", addressing: addressing).kind == "s3")
    }
    await refused("bucket") { try .s3(bucket: "s3cret:s3cret@notes", keys) }
    await refused("prefix") { try .s3(bucket: "notes", keys, prefix: "../s3cret") }
    await refused("endpoint") { try .s3(bucket: "notes", keys, endpoint: URL(string: "ftp://u:s3cret@host")!) }
    await refused("region") { try .s3(bucket: "notes", keys, region: "s3cret/") }
    await refused("credentials") { try .s3(bucket: "notes", S3Credentials(accessKey: "", secretKey: "s3cret")) }
    await refused("authorities") { try .s3(bucket: "notes", keys, authorities: "s3cret") }
    await refused("timeout") { try .s3(bucket: "notes", keys, timeout: .seconds(-1)) }
  }

  @Test func optionsOfGoogleDriveAreChecked() async throws {
    #expect(try Mailbox.googleDrive(.tokens(from: Tokens()), clientID: "client").kind == "gdrive")
    await refused("credentials") { try .googleDrive(.token("s3cret\n")) }
    await refused("folder") { try .googleDrive(.token("s3cret"), folder: "../s3cret") }
    await refused("endpoint") { try .googleDrive(.token("s3cret"), endpoint: URL(string: "http://host/s3cret")!) }
    await refused("timeout") { try .googleDrive(.token("s3cret"), timeout: .seconds(-1)) }
    await refused("retries") { try .googleDrive(.token("s3cret"), retries: -1) }
  }

  @Test func optionsOfCloudflareAreChecked() async throws {
    let url = URL(string: "https://host/at/io/uuid.tag")!
    for access in [CloudflareAccess.none, .token("t"), .tokens(from: Tokens()), .secret("s3cret")] {
      #expect(try Mailbox.cloudflare(url, access, maxFileBytes: 1).kind == "cloudflare")
    }
    await refused("url") { try .cloudflare(URL(string: "https://host/s3cret")!) }
    await refused("credentials") { try .cloudflare(url, .token("s3cret\n")) }
    await refused("max_file_bytes") { try .cloudflare(url, maxFileBytes: -1) }
    await refused("authorities") { try .cloudflare(url, authorities: "s3cret") }
    await refused("timeout") { try .cloudflare(url, timeout: .seconds(-1)) }
  }

  @Test func secretsAreNeverShown() {
    let secrets: [Any] = [
      keys, GoogleDriveAccess.token("s3cret"), CloudflareAccess.token("s3cret"), CloudflareAccess.secret("s3cret"),
      WebDAVAccess.digest(user: "u", "s3cret"), ExportFormat.archive(passphrase: "s3cret"),
    ]
    for secret in secrets {
      var dumped = ""
      dump(secret, to: &dumped)
      #expect(!"\(secret) \(String(reflecting: secret)) \(dumped)".contains("s3cret"))
    }
  }
}
