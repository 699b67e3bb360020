import Foundation
internal import InterocitorBindings

#if canImport(FoundationNetworking)
  import FoundationNetworking
#endif

/// Hands large uploads of mailboxes to the platform, so that they go on while the app is frozen.
///
/// Durable files of 1 MiB and more are written to a folder on this device as the server is to store them, encrypted in an
/// encrypted mesh, and sent from there; everything else goes as ever. Google Drive (over 5 MB) and S3 (over 8 MiB) take such
/// a file in parts of 8 MiB, each an upload of its own: while the app is frozen, no new part begins.
///
/// ```swift
/// let carrier = BackgroundUploads(identifier: "org.example.notes.uploads")
/// let uploads = try PlatformUploads(carrier, folder: cachesURL.appendingPathComponent("uploads"))
/// try await db.setRemoteStorage(.webDAV(address, access: access, uploads: uploads))
/// ```
///
/// One serves any number of mailboxes. ``Interocitor/suspend()`` leaves alone what is under way, and after
/// ``Interocitor/resume()`` it is waited for again. After the app was ended the file is uploaded once more: what the
/// platform had sent by then was encrypted for that one try.
public struct PlatformUploads: Sendable {
  let engine: InterocitorBindings.PlatformUploads

  /// With a carrier, and a folder for what waits to be sent, which is made where it is missing. It must be this process's
  /// own: what another one left there when it was killed is removed.
  public init(_ http: any PlatformHTTP, folder: URL) throws {
    guard folder.isFileURL else { throw InterocitorError.invalid("folder", "it is no file URL") }
    engine = try InterocitorKit.engine { try .init(http: HTTPBridge(http), folder: folder.path) }
  }
}

/// Carries uploads for the engine, as ``BackgroundUploads`` does.
///
/// Redirects are answers and not followed. The request is sent as it is, with these headers and the file as its body, and
/// may take its time; after a day the upload is given up. Whatever the server answers is an answer. Throw a
/// ``MailboxError`` only for what hinders the way there. A cancelled task cancels its upload.
public protocol PlatformHTTP: Sendable {
  /// Sends a file and gives the answer of the server, whatever its status.
  func upload(_ request: UploadRequest) async throws -> UploadResponse
}

/// An upload that the platform is to carry.
public struct UploadRequest: Sendable {
  /// Names the upload; no two have the same.
  public let id: String
  /// Method, headers with credentials among them, and where to.
  public let request: URLRequest
  /// The file that is the body. It stays as it is until the upload ends.
  public let file: URL
  /// Its length in bytes.
  public let size: Int

  /// An upload, as a test of a carrier makes one.
  public init(id: String, request: URLRequest, file: URL, size: Int) {
    (self.id, self.request, self.file, self.size) = (id, request, file, size)
  }
}

extension UploadRequest: CustomStringConvertible, CustomReflectable {
  /// Without secrets.
  public var description: String { "UploadRequest(\(id))" }
  /// Without secrets.
  public var customMirror: Mirror { Mirror(self, children: EmptyCollection<(label: String?, value: Any)>()) }
}

/// What a server answered to an upload.
public struct UploadResponse: Sendable {
  /// Status, 200 to 599.
  public let status: Int
  /// Headers by name.
  public let headers: [String: String]
  /// Body, up to 1 MiB.
  public let body: Data

  /// An answer.
  public init(status: Int, headers: [String: String] = [:], body: Data = Data()) {
    (self.status, self.headers, self.body) = (status, headers, body)
  }
}

/// A carrier of the app as the engine calls it.
private final class HTTPBridge: InterocitorBindings.PlatformHttp {
  private let http: any PlatformHTTP

  init(_ http: any PlatformHTTP) { self.http = http }

  func upload(request: InterocitorBindings.UploadRequest) async throws -> InterocitorBindings.UploadResponse {
    do {
      let answer = try await http.upload(try UploadRequest(request))
      return .init(
        status: UInt16(clamping: answer.status),
        headers: answer.headers.map { HttpHeader(name: $0.key, value: $0.value) }, body: answer.body)
    } catch {
      throw MailboxError.failure(error, of: "carrier of uploads")
    }
  }
}

extension UploadRequest {
  fileprivate init(_ engine: InterocitorBindings.UploadRequest) throws {
    guard let url = URL(string: engine.url) else { throw MailboxError(.protocol, reason: "the address is none") }
    var request = URLRequest(url: url)
    request.httpMethod = engine.method
    for header in engine.headers { request.addValue(header.value, forHTTPHeaderField: header.name) }
    self.init(id: engine.id, request: request, file: URL(fileURLWithPath: engine.body), size: Int(engine.len))
  }
}
