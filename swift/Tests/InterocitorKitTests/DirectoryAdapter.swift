import Foundation
import InterocitorKit

/// A mailbox of an app: a directory, by `FileManager`. The example for an adapter of your own.
///
/// The engine checks paths before an adapter sees them, and leaves names that begin with a dot out of listings. What is
/// left: a write is all or nothing, of several who create a file one wins, and what is missing is told from what failed.
struct DirectoryAdapter: StorageAdapter {
  let root: String

  private func place(_ path: String) -> String { root + path }
  private func missing(_ path: String) -> MailboxError { MailboxError(.notFound, reason: "there is no \(path)") }

  private enum Kind { case nothing, file, folder }

  private func kind(_ path: String) -> Kind {
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: place(path), isDirectory: &isFolder) else { return .nothing }
    return isFolder.boolValue ? .folder : .file
  }

  private func child(_ folder: String, _ name: String) -> String { folder == "/" ? "/" + name : folder + "/" + name }

  private func entries(_ folder: String) throws -> [String] {
    switch kind(folder) {
    case .nothing: throw missing(folder)
    case .file: throw MailboxError(.invalidPath, reason: "\(folder) is a file")
    case .folder: return try FileManager.default.contentsOfDirectory(atPath: place(folder))
    }
  }

  func authenticate() async throws -> MailboxCapabilities {
    guard kind("/") == .folder else { throw MailboxError(.offline, reason: "\(root) is no directory; is the disk there?") }
    var capabilities = MailboxCapabilities()
    capabilities.exclusiveCreate = true
    return capabilities
  }

  func ensureFolder(_ path: String) async throws {
    try FileManager.default.createDirectory(atPath: place(path), withIntermediateDirectories: true)
  }

  func listFiles(_ folder: String) async throws -> [MailboxFile] {
    try entries(folder).compactMap { try facts(child(folder, $0)) }
  }

  func listFolders(_ folder: String) async throws -> [String] {
    try entries(folder).filter { kind(child(folder, $0)) == .folder }
  }

  func readFile(_ path: String) async throws -> Data {
    guard kind(path) == .file, let body = FileManager.default.contents(atPath: place(path)) else { throw missing(path) }
    return body
  }

  func writeFile(_ path: String, _ body: Data) async throws {
    try await beside(path, body) { temporary in
      guard rename(temporary, place(path)) == 0 else { throw MailboxError(.io, reason: "\(path): error \(errno)") }
    }
  }

  func createFile(_ path: String, _ body: Data) async throws {
    // A link is made once; who comes second finds it there.
    try await beside(path, body) { temporary in
      guard link(temporary, place(path)) != 0 else { return }
      let fault: MailboxError.Fault = errno == EEXIST ? .alreadyExists : .io
      throw MailboxError(fault, reason: "\(path): error \(errno)")
    }
  }

  /// Writes the body under a hidden name beside its place, for `finish` to put it there at once.
  private func beside(_ path: String, _ body: Data, finish: (String) throws -> Void) async throws {
    let folder = path.split(separator: "/").dropLast().map { "/" + $0 }.joined()
    try await ensureFolder(folder)
    let temporary = place(folder) + "/.part-" + UUID().uuidString
    defer { try? FileManager.default.removeItem(atPath: temporary) }
    guard FileManager.default.createFile(atPath: temporary, contents: body) else {
      throw MailboxError(.io, reason: "\(path) cannot be written")
    }
    try finish(temporary)
  }

  func replaceFile(_ path: String, _ body: Data, etag: String) async throws {
    throw MailboxError(.protocol, reason: "a directory has no versions")
  }

  func deleteFile(_ path: String) async throws {
    switch kind(path) {
    case .nothing: return
    case .folder: throw MailboxError(.invalidPath, reason: "\(path) is a folder")
    case .file: try FileManager.default.removeItem(atPath: place(path))
    }
  }

  func metadata(_ path: String) async throws -> MailboxFile? { try facts(path) }

  /// What is known of a file; nil where there is none, or a folder.
  private func facts(_ path: String) throws -> MailboxFile? {
    guard kind(path) == .file else { return nil }
    let attributes = try FileManager.default.attributesOfItem(atPath: place(path))
    let name = path.split(separator: "/").last.map(String.init) ?? ""
    return MailboxFile(
      name: name, path: path, size: attributes[.size] as? Int, modified: attributes[.modificationDate] as? Date)
  }
}
