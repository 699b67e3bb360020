import Foundation
import InterocitorKit

/// Plays the steps about durable files.
enum ScenarioFiles {
  /// The answer; nil for a step that is about something else.
  static func play(_ what: String, _ step: JSONObject, _ db: Interocitor) async throws -> JSONValue? {
    let (path, digest) = (step["path"]?.string ?? "", step["digest"]?.string)
    switch what {
    case "deleteFile": try await db.deleteFile(path)
    case "pinFile": try await db.pinFile(path)
    case "unpinFile": try await db.unpinFile(path)
    case "evictFile": try await db.evictFile(path)
    case "pauseFile": try await db.pauseFile(path)
    case "resumeFile": try await db.resumeFile(path)
    case "cancelFile": try await db.cancelFile(path)
    case "putFile":
      let put = try await db.putFile(path, content(step), contentType: step["contentType"]?.string)
      return text(put.digest)
    case "getFile": return .string(String(decoding: try await db.getFile(path, digest: digest).data(), as: UTF8.self))
    case "fileMetadata":
      guard let file = try await db.getFileMetadata(path) else { return .null }
      return [
        "size": file.size.map { .integer(Int64($0)) } ?? .null, "digest": text(file.digest),
        "contentType": text(file.contentType),
      ]
    case "files":
      let listing = try await db.listFiles(step["prefix"]?.string ?? "")
      return ["paths": .array(listing.files.map { .string($0.path) }), "unnamed": .integer(Int64(listing.unnamed))]
    case "transfers":
      return .array(
        try await db.fileTransfers().map { file in
          [
            "path": .string(file.path), "kind": text(file.transfer.map { "\($0.kind)" }),
            "state": text(file.transfer.map { "\($0.state)" }),
          ]
        })
    case "syncFiles":
      let synced = try await db.syncFiles()
      return ["done": .integer(Int64(synced.done)), "failed": .integer(Int64(synced.failed))]
    default: return nil
    }
    return .null
  }

  /// The files of a batch, staged, by the numbers of their writes.
  static func stage(_ writes: [JSONObject], _ db: Interocitor) async throws -> [Int: StagedFile] {
    var staged: [Int: StagedFile] = [:]
    for (at, write) in writes.enumerated() where write["do"]?.string == "putFile" {
      staged[at] = try await db.stageFile(
        write["path"]?.string ?? "", content(write), contentType: write["contentType"]?.string)
    }
    return staged
  }

  private static func content(_ step: JSONObject) throws -> FileSource {
    guard let text = step["text"]?.string else { throw Fault.driver("text is missing") }
    return .data(Data(text.utf8))
  }

  private static func text(_ text: String?) -> JSONValue { text.map(JSONValue.string) ?? .null }
}
