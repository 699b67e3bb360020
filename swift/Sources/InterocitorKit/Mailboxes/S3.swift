import Foundation
internal import InterocitorBindings

extension Mailbox {
  /// A bucket on S3 or a compatible service, for large meshes.
  ///
  /// ```swift
  /// let keys = S3Credentials(accessKey: accessKey, secretKey: secretKey)
  /// try await db.setRemoteStorage(.s3(bucket: "notes", keys, endpoint: URL(string: "https://storage.example")!))
  /// ```
  ///
  /// The clock of the device must be right by a quarter of an hour, since requests are signed by it.
  ///
  /// - Parameters:
  ///   - bucket: It must exist.
  ///   - credentials: The keys of an account.
  ///   - prefix: What all keys begin with: a path within the bucket.
  ///   - endpoint: The address of a compatible service; nil: AWS.
  ///   - addressing: Where the bucket stands in addresses; nil: in the host on AWS, unless its name has dots, else in the
  ///     path.
  ///   - authorities: Certificate authorities to trust besides those of the platform, in PEM.
  ///   - timeout: How long to wait for an answer, or for the next part of a body. The answer to a large upload may take
  ///     five times as long.
  ///   - uploads: Carries large uploads, so that they go on while the app is frozen.
  public static func s3(
    bucket: String, _ credentials: S3Credentials, prefix: String = "", endpoint: URL? = nil,
    region: String = "us-east-1", addressing: S3Addressing? = nil, authorities: String? = nil,
    timeout: Duration = .seconds(30), uploads: PlatformUploads? = nil
  ) throws -> Mailbox {
    let options = S3Options(
      bucket: bucket, prefix: prefix, endpoint: endpoint?.absoluteString, region: region,
      addressing: addressing.map { $0 == .path ? .path : .virtualHost }, accessKey: credentials.accessKey,
      secretKey: credentials.secretKey, sessionToken: credentials.sessionToken, authorities: authorities,
      timeoutMs: timeout.milliseconds, uploads: uploads?.engine)
    return Mailbox(engine: try InterocitorKit.engine { try .s3(options: options) })
  }
}

/// Where a bucket stands in an address.
public enum S3Addressing: Hashable, Sendable {
  /// `https://host/bucket/key`, which most compatible services want.
  case path
  /// `https://bucket.host/key`, which AWS wants.
  case virtualHost
}

/// The keys of an account on S3 or a compatible service.
public struct S3Credentials: Sendable {
  let accessKey: String
  let secretKey: String
  let sessionToken: String?

  /// An access key with its secret, and the token that temporary keys come with.
  public init(accessKey: String, secretKey: String, sessionToken: String? = nil) {
    (self.accessKey, self.secretKey, self.sessionToken) = (accessKey, secretKey, sessionToken)
  }
}

extension S3Credentials: CustomStringConvertible, CustomReflectable {
  /// Without secrets.
  public var description: String { "S3Credentials" }
  /// Without secrets.
  public var customMirror: Mirror { Mirror(self, children: EmptyCollection<(label: String?, value: Any)>()) }
}
