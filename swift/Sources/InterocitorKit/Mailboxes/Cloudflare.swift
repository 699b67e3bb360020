import Foundation
internal import InterocitorBindings

extension Mailbox {
  /// A Cloudflare Worker, which tells of news as they happen.
  ///
  /// ```swift
  /// try await db.setRemoteStorage(.cloudflare(URL(string: "https://worker.example/io/ADDRESS")!, .token(token)))
  /// ```
  ///
  /// - Parameters:
  ///   - url: The address of the mesh, `https://host/io/ADDRESS`.
  ///   - access: Who asks.
  ///   - push: Whether the Worker tells of news as they happen; else it is polled only.
  ///   - maxFileBytes: The largest durable file that the Worker takes.
  ///   - authorities: Certificate authorities to trust besides those of the platform, in PEM.
  ///   - timeout: How long to wait for an answer, or for the next part of a body.
  ///   - uploads: Carries large uploads, so that they go on while the app is frozen.
  public static func cloudflare(
    _ url: URL, _ access: CloudflareAccess = .none, push: Bool = true, maxFileBytes: Int = 32 * 1024 * 1024,
    authorities: String? = nil, timeout: Duration = .seconds(30), uploads: PlatformUploads? = nil
  ) throws -> Mailbox {
    var (token, provider, secret): (String?, TokenBridge?, String?) = (nil, nil, nil)
    switch access.kind {
    case .none: break
    case .token(let given): token = given
    case .provider(let given): provider = TokenBridge(given)
    case .secret(let given): secret = given
    }
    let options = CloudflareOptions(
      url: url.absoluteString, token: token, tokenProvider: provider, accessSecret: secret, push: push,
      maxFileBytes: Int64(maxFileBytes), authorities: authorities, timeoutMs: timeout.milliseconds,
      uploads: uploads?.engine)
    return Mailbox(engine: try InterocitorKit.engine { try .cloudflare(options: options) })
  }
}

/// Who asks a Cloudflare Worker.
public struct CloudflareAccess: Sendable {
  enum Kind: Sendable {
    case none
    case token(String)
    case provider(any TokenProvider)
    case secret(String)
  }

  let kind: Kind

  /// Nobody in particular.
  public static let none = Self(kind: .none)
  /// The access token of the address.
  public static func token(_ token: String) -> Self { Self(kind: .token(token)) }
  /// Access tokens as they are needed, and others when one is refused.
  public static func tokens(from provider: any TokenProvider) -> Self { Self(kind: .provider(provider)) }
  /// The access secret of the Worker, for its owner: it opens every address.
  public static func secret(_ secret: String) -> Self { Self(kind: .secret(secret)) }
}

extension CloudflareAccess: CustomStringConvertible, CustomReflectable {
  /// Without secrets.
  public var description: String { "CloudflareAccess" }
  /// Without secrets.
  public var customMirror: Mirror { Mirror(self, children: EmptyCollection<(label: String?, value: Any)>()) }
}
