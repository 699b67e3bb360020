import Foundation
import InterocitorKit

/// Runs one scenario of tests/scenarios in this process.
public final class ScenarioRunner {
  private let devices: [String: JSONObject]
  private let steps: [JSONObject]
  private let folder: URL
  private let interpreter = ScenarioInterpreter()
  private var settings: [String: JSONObject]
  private var kept: [String: JSONValue] = [:]
  private var damaged: [(URL, Data)] = []

  private var mailbox: URL { folder.appendingPathComponent("mailbox") }

  /// A scenario, to be run in an empty folder.
  public init(_ scenario: URL, in folder: URL) throws {
    let scenario = try JSONValue(json: try Data(contentsOf: scenario))
    guard let devices = scenario["devices"]?.object, let steps = scenario["steps"]?.array, !steps.isEmpty else {
      throw Fault.driver("it is no scenario")
    }
    self.devices = devices.compactMapValues(\.object)
    self.steps = steps.compactMap(\.object)
    self.folder = folder
    settings = self.devices
    try FileManager.default.createDirectory(at: mailbox, withIntermediateDirectories: true)
  }

  /// Plays all steps; what is not as expected is thrown, with the number of its step.
  public func run() async throws {
    for (index, step) in steps.enumerated() {
      do { try await play(step) } catch {
        try? await interpreter.end()
        throw Fault.driver("step \(index + 1), \(step["do"]?.string ?? "?"): \(error)")
      }
    }
    try await interpreter.end()
  }

  private func play(_ step: JSONObject) async throws {
    var asked = step
    for name in ["expect", "error", "as", "why"] { asked[name] = nil }
    for argument in ["id", "digest", "passphrase", "payload", "code"] {
      guard let name = step["\(argument)Of"]?.string else { continue }
      (asked[argument], asked["\(argument)Of"]) = (try keptValue(name), nil)
    }
    let answer: JSONValue
    do throws(Fault) {
      if let device = step["device"]?.string {
        if step["do"] == "open" { try addPaths(to: &asked, device) }
        answer = try await interpreter.play(asked)
      } else {
        answer = try await playOwn(asked)
      }
    } catch {
      guard let code = step["error"]?.string, code == error.code, !error.reason.isEmpty, code != "DRIVER" else {
        throw error
      }
      return
    }
    if let code = step["error"]?.string { throw Fault.driver("it gave \(show(answer)), not the error \(code)") }
    if let name = step["as"]?.string { kept[name] = answer }
    if let expected = step["expect"] {
      try check(answer, expected, isPartial: ["status", "compact", "fileMetadata"].contains(step["do"]?.string))
    } else if !answer.isNull, step["do"] != "batch", step["do"] != "putFile", step["as"] == nil {
      throw Fault.driver("it answers \(show(answer)), and nothing is expected")
    }
  }

  private func check(_ answer: JSONValue, _ expected: JSONValue, isPartial: Bool) throws {
    if isPartial, let members = expected.object {
      for (name, value) in members where answer[name] != value {
        throw Fault.driver("\(name) is \(answer[name].map(show) ?? "missing"), expected was \(show(value))")
      }
    } else if answer != expected {
      throw Fault.driver("it gave \(show(answer)), expected was \(show(expected))")
    }
  }

  private func show(_ value: JSONValue) -> String { String(decoding: value.json.prefix(2000), as: UTF8.self) }

  private func keptValue(_ name: String) throws -> JSONValue {
    guard let value = kept[name] else { throw Fault.driver("nothing was kept as \(name)") }
    return value
  }

  /// What an interpreter needs to open a device.
  private func addPaths(to step: inout JSONObject, _ device: String) throws(Fault) {
    guard var changed = settings[device] else { throw .driver("no device is called \(device)") }
    changed.merge(step["with"]?.object ?? [:]) { $1 }
    settings[device] = changed
    let defaults: JSONObject = [
      "passphrase": "1thX6LZfHDZZKUs92febYZhYRcXddmzfzF2NvTkPNE", "encrypted": true, "remotePath": "/Mesh",
      "deviceId": nil, "schema": nil, "schemaPolicy": "exact", "mergeStrategy": "lww",
      "joinPolicy": "reset-to-remote", "publish": "full-rows", "fileForm": nil,
    ]
    step["with"] = nil
    step["settings"] = .object(defaults.merging(changed) { $1 })
    step["store"] = .string(folder.appendingPathComponent("\(device).db").path)
    step["mailbox"] = .string(mailbox.path)
    step["deviceName"] = .string(device)
  }

  // MARK: steps of the runner

  private func playOwn(_ step: JSONObject) async throws(Fault) -> JSONValue {
    do {
      switch step["do"]?.string {
      case "wait": try await Task.sleep(for: .milliseconds(step["ms"]?.int ?? 0))
      case "agree":
        let names = (step["devices"]?.array ?? []).compactMap(\.string)
        var first: JSONValue?
        for name in names {
          let dump = try await interpreter.play(["device": .string(name), "do": "dump"])
          guard dump == first ?? dump else { throw Fault.driver("\(names[0]) and \(name) differ") }
          first = dump
        }
      case "listFiles":
        let names = try? FileManager.default.contentsOfDirectory(atPath: try file(step, "path").path)
        return names.map { .array($0.sorted().map(JSONValue.string)) } ?? .null
      case "writeFile": try Data((step["text"]?.string ?? "").utf8).write(to: try file(step, "path"))
      case "moveFile":
        // Over what is there, as a rename does.
        guard rename(try file(step, "from").path, try file(step, "to").path) == 0 else {
          throw Fault.driver("it cannot be renamed: \(String(cString: strerror(errno)))")
        }
      case "unplug": try FileManager.default.moveItem(at: mailbox, to: folder.appendingPathComponent("unplugged"))
      case "plug": try FileManager.default.moveItem(at: folder.appendingPathComponent("unplugged"), to: mailbox)
      case "damageChanges": try damage()
      case "repairChanges":
        guard !damaged.isEmpty else { throw Fault.driver("nothing is damaged") }
        for (url, body) in damaged { try body.write(to: url) }
        damaged = []
      default: throw Fault.driver("there is no step \(step["do"]?.string ?? "without a name")")
      }
      return .null
    } catch let fault as Fault { throw fault } catch { throw .driver("\(error)") }
  }

  private func file(_ step: JSONObject, _ name: String) throws -> URL {
    guard let path = step[name]?.string else { throw Fault.driver("\(name) is missing") }
    return mailbox.appendingPathComponent(path)
  }

  private func damage() throws {
    let changes = mailbox.appendingPathComponent("Mesh/changes")
    let names = try FileManager.default.contentsOfDirectory(atPath: changes.path).filter { $0.contains("-chg_") }
    guard !names.isEmpty else { throw Fault.driver("there are no changes") }
    for name in names {
      let url = changes.appendingPathComponent(name)
      let body = try Data(contentsOf: url)
      damaged.append((url, body))
      try body.prefix(body.count / 2).write(to: url)
    }
  }
}
