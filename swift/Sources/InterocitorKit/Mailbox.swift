import Foundation
internal import InterocitorBindings

/// A dumb remote: it stores ciphertext under paths and merges nothing.
public struct Mailbox: Sendable {
  let engine: InterocitorBindings.Mailbox

  /// A folder: a synced one, a network drive. It must exist; a missing one may be an unmounted disk and is never made.
  public static func folder(_ url: URL) throws -> Mailbox {
    guard url.isFileURL else { throw InterocitorError.invalid("folder", "it is no file URL") }
    return Mailbox(engine: .folder(path: url.path))
  }

  /// Memory, for tests and previews. Every copy shows the same files.
  public static func memory() -> Mailbox { Mailbox(engine: .memory()) }

  /// A WebDAV server: the address of a collection, which must exist. With `uploads`, large files go on while the app is
  /// frozen.
  public static func webDAV(
    _ url: URL, access: WebDAVAccess = .none, authorities: String? = nil, timeout: Duration = .seconds(30),
    uploads: PlatformUploads? = nil
  ) throws -> Mailbox {
    var (user, password, token, provider): (String?, String?, String?, TokenBridge?) = (nil, nil, nil, nil)
    switch access.kind {
    case .none: break
    case .password(let name, let secret), .digest(let name, let secret): (user, password) = (name, secret)
    case .token(let secret): token = secret
    case .provider(let tokens): provider = TokenBridge(tokens)
    }
    let isDigest = if case .digest = access.kind { true } else { false }
    let options = WebDavOptions(
      url: url.absoluteString, user: user, password: password, digest: isDigest, token: token, tokenProvider: provider,
      authorities: authorities, timeoutMs: timeout.milliseconds, uploads: uploads?.engine)
    return Mailbox(engine: try InterocitorKit.engine { try .webdav(options: options) })
  }

  /// An adapter of the app.
  public static func custom(_ adapter: any StorageAdapter) -> Mailbox {
    Mailbox(engine: .custom(adapter: AdapterBridge(adapter)))
  }

  /// `folder`, `memory`, `webdav`, `s3`, `gdrive`, `cloudflare` or `custom`.
  public var kind: String { engine.kind() }

  /// Puts the mailbox through the conformance suite of the engine: what every one must do, and what this one says that
  /// it can do. For the tests of an app that has a ``StorageAdapter`` of its own; the error names the check that was not
  /// passed, and what came of it.
  ///
  /// - Parameters:
  ///   - root: everything happens in folders below it. It must be missing or empty.
  ///   - others: further clients of the same remote, as other devices have them, which race with this one. Without any
  ///     it races with itself.
  public func check(in root: String = "/conformance", beside others: [Mailbox] = []) async throws {
    try await cancellable { try await self.engine.check(root: root, others: others.map(\.engine), cancel: $0) }
  }
}

/// Who asks a WebDAV server.
public struct WebDAVAccess: Sendable {
  enum Kind: Sendable {
    case none
    case password(String, String)
    case digest(String, String)
    case token(String)
    case provider(any TokenProvider)
  }

  let kind: Kind

  /// Nobody in particular.
  public static let none = Self(kind: .none)
  /// A user with a password, or the app password that many services want here.
  public static func password(user: String, _ password: String) -> Self { Self(kind: .password(user, password)) }
  /// A user with a password, for a server that asks for digest authentication: the password itself is never sent.
  public static func digest(user: String, _ password: String) -> Self { Self(kind: .digest(user, password)) }
  /// A bearer token.
  public static func token(_ token: String) -> Self { Self(kind: .token(token)) }
  /// Bearer tokens as they are needed, and others when one is refused.
  public static func tokens(from provider: any TokenProvider) -> Self { Self(kind: .provider(provider)) }
}

extension WebDAVAccess: CustomStringConvertible, CustomReflectable {
  /// Without secrets.
  public var description: String { "WebDAVAccess" }
  /// Without secrets.
  public var customMirror: Mirror { Mirror(self, children: EmptyCollection<(label: String?, value: Any)>()) }
}

/// Gives the access token of an account. Throw a ``MailboxError`` where there is none.
public protocol TokenProvider: Sendable {
  /// The token to use now. `rejected` is one that the remote just refused; another one is wanted.
  func token(rejected: String?) async throws -> String
}

/// What went wrong in a mailbox, as a ``StorageAdapter`` says it.
public struct MailboxError: Error, Hashable, Sendable {
  /// A kind of fault.
  public enum Fault: Hashable, Sendable {
    /// The remote is certain that there is no such file or folder.
    case notFound
    /// The file to be created exists.
    case alreadyExists
    /// The stored version is not the expected one.
    case conflict
    /// The credentials are missing, wrong or expired.
    case unauthorized
    /// The credentials are valid, but not for this.
    case forbidden
    /// Too many requests.
    case rateLimited
    /// The remote answered, but cannot serve now, or broke off.
    case unavailable
    /// No answer in time.
    case timeout
    /// The remote cannot be reached at all.
    case offline
    /// The remote is full.
    case quotaFull
    /// The body is larger than the remote accepts.
    case tooLarge
    /// The path cannot be expressed on this remote.
    case invalidPath
    /// The remote answered something that its protocol does not allow.
    case `protocol`
    /// Any other fault.
    case io
  }

  /// The kind of fault.
  public let fault: Fault
  /// What happened. Must not hold credentials.
  public let reason: String
  /// How long the remote asked to wait.
  public let retryAfter: Duration?

  /// A fault.
  public init(_ fault: Fault, reason: String, retryAfter: Duration? = nil) {
    self.fault = fault
    self.reason = reason
    self.retryAfter = retryAfter
  }
}

/// One file of a listing.
public struct MailboxFile: Hashable, Sendable {
  /// Last path segment, decoded.
  public var name: String
  /// Absolute path within the adapter.
  public var path: String
  /// Size in bytes, where the remote tells it.
  public var size: Int?
  /// Modification time, where the remote tells it.
  public var modified: Date?
  /// Opaque version of the content.
  public var etag: String?

  /// A file.
  public init(name: String, path: String, size: Int? = nil, modified: Date? = nil, etag: String? = nil) {
    self.name = name
    self.path = path
    self.size = size
    self.modified = modified
    self.etag = etag
  }
}

/// What a remote can do beyond the plain contract. Claim only what was probed.
public struct MailboxCapabilities: Hashable, Sendable {
  /// ``StorageAdapter/createFile(_:_:)`` lets exactly one of several racing writers win.
  public var exclusiveCreate = false
  /// ``StorageAdapter/replaceFile(_:_:etag:)`` refuses when the stored version is not the expected one.
  public var conditionalReplace = false
  /// Largest body the remote is known to accept, in bytes.
  public var maxBody: Int?

  /// Nothing beyond the plain contract; set what there is.
  public init() {}
}

/// A remote written by the app, seen as a tree of files under `/`-separated absolute paths.
///
/// A write is all or nothing: a reader sees the old body or the new one, never a part. A missing file or folder is
/// ``MailboxError/Fault/notFound``, and only where the remote is certain of it. Of an error that is no ``MailboxError``
/// only the type is told. Methods are called from several tasks at once. They may block a thread; before iOS 18 and macOS 15
/// it is one of the few that all tasks share, so hand what takes long to a queue of your own there.
///
/// Paths were checked before a method sees them, and names that begin with a dot need not be left out of listings.
/// ``Mailbox/check(in:beside:)`` tells in a test whether an adapter does all that it must.
public protocol StorageAdapter: Sendable {
  /// Checks access and tells what the remote can do. Called once for a connection, before the other methods.
  func authenticate() async throws -> MailboxCapabilities
  /// Makes sure that a folder and its parents exist.
  func ensureFolder(_ path: String) async throws
  /// The files directly in a folder, in any order; folders and temporary files left out.
  func listFiles(_ folder: String) async throws -> [MailboxFile]
  /// The names of the folders directly in a folder.
  func listFolders(_ folder: String) async throws -> [String]
  /// A whole file.
  func readFile(_ path: String) async throws -> Data
  /// Writes or overwrites a file, creating missing parent folders.
  func writeFile(_ path: String, _ body: Data) async throws
  /// Writes a file that must not exist yet; otherwise ``MailboxError/Fault/alreadyExists``.
  func createFile(_ path: String, _ body: Data) async throws
  /// Overwrites a file whose stored version is still `etag`; otherwise ``MailboxError/Fault/conflict``.
  func replaceFile(_ path: String, _ body: Data, etag: String) async throws
  /// Removes a file; a missing one counts as removed.
  func deleteFile(_ path: String) async throws
  /// Facts about one file, or nil where it is certain that there is none.
  func metadata(_ path: String) async throws -> MailboxFile?
}
