import Foundation
internal import InterocitorBindings

/// Where the content of a file comes from. It is read once, in bounded memory; data is held as it is.
///
/// ```swift
/// try await db.putFile("notes/a.txt", .data(text), contentType: "text/plain")
/// try await db.putFile("films/holiday.mov", .file(url))
/// ```
public struct FileSource: Sendable {
  private enum Kind: Sendable {
    case data(Data)
    case file(URL)
    case reader(@Sendable (Int) throws -> Data)
  }

  private let kind: Kind

  /// Memory.
  public static func data(_ data: Data) -> Self { Self(kind: .data(data)) }

  /// A file of this device, which may change or go afterwards.
  public static func file(_ url: URL) -> Self { Self(kind: .file(url)) }

  /// Anything that can be read: the closure gives the next bytes, about as many as it is asked for, and none at the end.
  /// It is called on a thread where blocking harms nobody, and not any more once the `Task` was cancelled. Where it throws,
  /// nothing is stored.
  ///
  /// ```swift
  /// try await db.putFile("log.txt", .reader { try handle.read(upToCount: $0) ?? Data() })
  /// ```
  public static func reader(_ read: @escaping @Sendable (_ count: Int) throws -> Data) -> Self {
    Self(kind: .reader(read))
  }

  func engine() throws -> InterocitorBindings.FileSource {
    switch kind {
    case .data(let data): .bytes(content: data)
    case .file(let url): .path(path: try filePath(url))
    case .reader(let read): .input(input: ReaderBridge(read: read))
    }
  }
}

/// The path of a file URL.
func filePath(_ url: URL) throws -> String {
  guard url.isFileURL else { throw InterocitorError.invalid("file", "it is no file URL") }
  return url.path
}

/// A closure of the app as the engine calls it.
private final class ReaderBridge: InterocitorBindings.FileInput {
  private let bytes: @Sendable (Int) throws -> Data

  init(read: @escaping @Sendable (Int) throws -> Data) { bytes = read }

  func read(limit: UInt32) throws -> Data {
    do { return try bytes(Int(limit)) } catch { throw InterocitorError.failure(error) }
  }
}

/// Content that lies on this device and waits to be put under its path by ``Batch/putFile(_:)``. Forgotten, it is gone.
public struct StagedFile: Sendable {
  let engine: InterocitorBindings.StagedFile

  init(_ engine: InterocitorBindings.StagedFile) { self.engine = engine }

  /// Where it is to be put.
  public var path: String { engine.path() }
  /// Length in bytes.
  public var size: Int { Int(engine.size()) }
  /// SHA-256 of the content, lowercase hex.
  public var digest: String { engine.digest() }
}
