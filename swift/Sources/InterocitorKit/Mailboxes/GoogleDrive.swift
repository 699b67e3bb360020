import Foundation
internal import InterocitorBindings

extension Mailbox {
  /// The user's Google Drive, of which the app sees what it made itself and nothing else.
  ///
  /// ```swift
  /// struct SignIn: TokenProvider {
  ///   func token(rejected: String?) async throws -> String { try await googleToken(isExpired: rejected != nil) }
  /// }
  /// try await db.setRemoteStorage(.googleDrive(.tokens(from: SignIn())))
  /// ```
  ///
  /// Two apps see the same mailbox only if both are clients of one Google project.
  ///
  /// - Parameters:
  ///   - access: The access tokens of OAuth, with the scope `drive.file`.
  ///   - folder: The id of the folder to use, which must exist; nil: My Drive.
  ///   - clientID: The OAuth client that this app is, told to other devices in pairing codes.
  ///   - endpoint: Another server that speaks the same interface, such as a proxy. It gets to see the tokens.
  ///   - timeout: How long to wait for an answer, for the next part of a body, or for a token.
  ///   - retries: How often a call is made again that Drive is too busy for.
  ///   - uploads: Carries large uploads, so that they go on while the app is frozen.
  public static func googleDrive(
    _ access: GoogleDriveAccess, folder: String? = nil, clientID: String? = nil, endpoint: URL? = nil,
    timeout: Duration = .seconds(30), retries: Int = 4, uploads: PlatformUploads? = nil
  ) throws -> Mailbox {
    guard let retries = UInt32(exactly: retries) else {
      throw InterocitorError.invalid("retries", "it must be 0 or more")
    }
    let (token, provider): (String?, TokenBridge?) =
      switch access.kind {
      case .token(let token): (token, nil)
      case .provider(let provider): (nil, TokenBridge(provider))
      }
    let options = GoogleDriveOptions(
      tokenProvider: provider, token: token, folder: folder, clientId: clientID, endpoint: endpoint?.absoluteString,
      timeoutMs: timeout.milliseconds, retries: retries, uploads: uploads?.engine)
    return Mailbox(engine: try InterocitorKit.engine { try .googleDrive(options: options) })
  }
}

/// Who asks Google Drive.
public struct GoogleDriveAccess: Sendable {
  enum Kind: Sendable {
    case token(String)
    case provider(any TokenProvider)
  }

  let kind: Kind

  /// Access tokens as they are needed, and others when one is refused: they last for about an hour.
  public static func tokens(from provider: any TokenProvider) -> Self { Self(kind: .provider(provider)) }
  /// One access token, until it expires.
  public static func token(_ token: String) -> Self { Self(kind: .token(token)) }
}

extension GoogleDriveAccess: CustomStringConvertible, CustomReflectable {
  /// Without secrets.
  public var description: String { "GoogleDriveAccess" }
  /// Without secrets.
  public var customMirror: Mirror { Mirror(self, children: EmptyCollection<(label: String?, value: Any)>()) }
}
