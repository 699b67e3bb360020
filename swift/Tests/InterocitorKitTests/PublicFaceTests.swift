import Foundation
import InterocitorKit
import Testing

/// What apps see: everything that the engine can do, and nothing that is generated.
@Suite struct PublicFaceTests {
  private let sources = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("../../Sources").standardizedFileURL

  /// The code of the package, without what is written about it.
  private func kit() throws -> String {
    let folder = sources.appendingPathComponent("InterocitorKit")
    let names = FileManager.default.enumerator(atPath: folder.path)?.compactMap { $0 as? String } ?? []
    return try names.filter { $0.hasSuffix(".swift") }
      .flatMap { try String(contentsOf: folder.appendingPathComponent($0), encoding: .utf8).split(separator: "\n") }
      .filter { !$0.drop(while: { $0 == " " }).hasPrefix("//") }.joined(separator: "\n")
  }

  @Test(arguments: [
    "InterocitorProtocol", "TableProtocol", "QueryProtocol", "LiveQueryProtocol", "BatchProtocol", "StatusWatchProtocol",
    "SubscriptionProtocol", "ConnectedStoresProtocol", "PairingProtocol", "PairingPayloadProtocol", "RecoveryKitProtocol",
    "QrCodeProtocol", "StagedFileProtocol", "FileContentProtocol", "FileReaderProtocol",
    "FileTransferWatchProtocol", "ImageUrlProtocol",
  ])
  func everyMethodOfTheInterfaceIsUsed(name: String) throws {
    let generated = sources.appendingPathComponent("InterocitorBindings/InterocitorBindings.swift")
    let text = try String(contentsOf: generated, encoding: .utf8)
    let start = try #require(text.range(of: "public protocol \(name):"))
    let end = try #require(text.range(of: "\n}\n", range: start.upperBound..<text.endIndex))
    let methods = text[start.upperBound..<end.lowerBound].matches(of: /func (\w+)\(/).map { String($0.1) }
    let kit = try kit()
    #expect(!methods.isEmpty)
    #expect(methods.filter { !kit.contains(".\($0)(") } == [])
  }

  @Test func nothingGeneratedIsImportedForApps() throws {
    let imports = try kit().matches(of: /\n( *\w+ import|import) InterocitorBindings/).map { String($0.1) }
    #expect(imports.count > 10 && Set(imports) == ["internal import"])
  }
}
