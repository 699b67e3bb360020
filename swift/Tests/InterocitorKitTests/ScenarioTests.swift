import Foundation
import ScenarioSteps
import Testing

/// The cross-language scenarios, run verbatim.
@Suite struct ScenarioTests {
  static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("../../../tests/scenarios").standardizedFileURL

  static var names: [String] {
    let files = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
    return files.filter { $0.hasSuffix(".json") }.map { String($0.dropLast(5)) }.sorted()
  }

  @Test(arguments: names) func runs(_ name: String) async throws {
    let temporary = try TemporaryFolder()
    let runner = try ScenarioRunner(Self.folder.appendingPathComponent("\(name).json"), in: temporary.url)
    try await runner.run()
  }

  @Test func thereAreScenarios() { #expect(Self.names.count >= 25) }

  /// What is wrong in a scenario must not pass.
  @Test(arguments: [
    #"{"device":"a","do":"row","table":"t","id":"r","expect":{"v":2}}"#,
    #"{"device":"a","do":"row","table":"t","id":"r"}"#,
    #"{"device":"a","do":"row","table":"t","id":"r","error":"LIMIT"}"#,
    #"{"device":"a","do":"put","table":"t","id":"r","row":[1]}"#,
    #"{"device":"a","do":"put","table":"t","id":"r","row":[1],"error":"LIMIT"}"#,
    #"{"device":"a","do":"paint","error":"DRIVER"}"#,
    #"{"device":"a","do":"status","expect":{"pending":7}}"#,
    #"{"device":"a","do":"connect"},{"device":"a","do":"compact","grace":0,"expect":{"epoch":2}}"#,
    #"{"device":"a","do":"connect"},{"device":"a","do":"compact","grace":0,"expect":null}"#,
    #"{"device":"a","do":"open"}"#,
    #"{"device":"b","do":"sync"}"#,
    #"{"do":"damageChanges"}"#,
    #"{"do":"agree","devices":["a","c"]}"#,
  ]) func whatIsWrongFails(_ step: String) async throws {
    let temporary = try TemporaryFolder()
    let text = """
      {"about":"x","devices":{"a":{},"b":{},"c":{}},"steps":[
      {"device":"a","do":"open"},{"device":"c","do":"open"},
      {"device":"a","do":"put","table":"t","id":"r","row":{"v":1}},\(step)]}
      """
    try Data(text.utf8).write(to: temporary("wrong.json"))
    let runner = try ScenarioRunner(temporary("wrong.json"), in: temporary("run"))
    await #expect(throws: Fault.self) { try await runner.run() }
  }
}
