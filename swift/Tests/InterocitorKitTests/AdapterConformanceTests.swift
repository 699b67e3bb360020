import Foundation
import InterocitorKit
import Testing

@Suite struct AdapterConformanceTests {
  @Test func theExampleOfAnAdapterConforms() async throws {
    let folder = try TemporaryFolder()
    let clients = (0..<3).map { _ in Mailbox.custom(DirectoryAdapter(root: folder.url.path)) }
    try await clients[0].check(beside: Array(clients.dropFirst()))
  }

  @Test func devicesMeetThroughIt() async throws {
    let folder = try TemporaryFolder()
    let a = try await connected(to: .custom(DirectoryAdapter(root: folder.url.path)))
    try await a.table("notes").put("1", ["text": "hello"])
    try await a.sync()
    #expect(try await connected(to: .custom(DirectoryAdapter(root: folder.url.path))).table("notes").count() == 1)
  }

  /// What `check` says of an adapter.
  private func finding(_ adapter: any StorageAdapter) async -> InterocitorError? {
    do {
      try await Mailbox.custom(adapter).check()
      return nil
    } catch {
      return error as? InterocitorError
    }
  }

  /// The example, but for one of its ways.
  private struct Faulty: StorageAdapter {
    let sound: DirectoryAdapter
    var losesWrites = false
    var boasts = false

    func authenticate() async throws -> MailboxCapabilities {
      var capabilities = try await sound.authenticate()
      capabilities.conditionalReplace = boasts
      return capabilities
    }
    func writeFile(_ path: String, _ body: Data) async throws {
      if !losesWrites { try await sound.writeFile(path, body) }
    }
    func ensureFolder(_ path: String) async throws { try await sound.ensureFolder(path) }
    func listFiles(_ folder: String) async throws -> [MailboxFile] { try await sound.listFiles(folder) }
    func listFolders(_ folder: String) async throws -> [String] { try await sound.listFolders(folder) }
    func readFile(_ path: String) async throws -> Data { try await sound.readFile(path) }
    func createFile(_ path: String, _ body: Data) async throws { try await sound.createFile(path, body) }
    func replaceFile(_ path: String, _ body: Data, etag: String) async throws {
      try await sound.replaceFile(path, body, etag: etag)
    }
    func deleteFile(_ path: String) async throws { try await sound.deleteFile(path) }
    func metadata(_ path: String) async throws -> MailboxFile? { try await sound.metadata(path) }
  }

  @Test func whatAnAdapterDoesNotDoIsTold() async throws {
    for (loses, boasts, check) in [(true, false, "missing"), (false, true, "replace")] {
      let folder = try TemporaryFolder()
      let sound = DirectoryAdapter(root: folder.url.path)
      let found = await finding(Faulty(sound: sound, losesWrites: loses, boasts: boasts))
      #expect(found?.code == .remoteAccess)
      #expect(found?.reason.contains("the conformance check `\(check)` failed") == true, "\(String(describing: found))")
    }
  }

  @Test func aRemoteThatIsNotThereIsNoFaultOfTheAdapter() async throws {
    let folder = try TemporaryFolder()
    #expect(await finding(DirectoryAdapter(root: folder.url.path + "/unmounted"))?.code == .offline)
  }
}
