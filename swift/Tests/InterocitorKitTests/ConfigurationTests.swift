import Foundation
@testable import InterocitorKit
import Testing

/// Every option reaches the engine.
@Suite struct ConfigurationTests {
  /// What the engine is given, by the names of its interface.
  private func given(_ configuration: Configuration) throws -> [String: String] {
    var given: [String: String] = [:]
    for (name, value) in Mirror(reflecting: try configuration.engine()).children {
      given[try #require(name)] = "\(value)"
    }
    return given
  }

  @Test func whatIsLeftOutIsAsTheInterfaceSays() throws {
    let given = try given(Configuration(appName: "todo", store: .memory, remotePath: nil))
    let wanted = [
      "appName": "todo", "path": "nil", "storeEncryption": "nil", "remotePath": "nil", "passphrase": "nil", "encrypted": "true",
      "credentials": "nil", "biometrics": "nil", "deviceId": "nil", "deviceName": "nil", "serverManaged": "false",
      "serverId": "server_relay_1", "schema": "nil", "schemaPolicy": "exact", "merge": "lastWriterWins",
      "mergeRules": "[]", "joinPolicy": "resetToRemote", "publish": "fullRows", "fullDurability": "false",
      "batchWindowMs": "1000", "flushDebounceMs": "2000", "flushThreshold": "50", "pollIntervalMs": "30000",
      "connectStageTimeoutMs": "15000", "autoSync": "true", "fileForm": "nil", "maxFileBytes": "5000000000",
      "fileCacheBytes": "268435456", "replicas": "[]",
    ]
    for (name, value) in wanted { #expect(given[name] == value, "\(name)") }
    for part in [
      "enabled: true", "batches: 50", "compactors: 10", "firstDelayMs: 600000", "secondDelayMs: 900000",
      "jitterMs: 300000", "changeFiles: 2", "graceMs: 86400000",
    ] { #expect(given["autoCompact"]?.contains(part) == true, "\(part)") }
    // The kind of device is known.
    #expect(given["deviceType"]?.contains("desktop") == true || given["deviceType"]?.contains("ios") == true)
    #expect(given.count == wanted.count + 2)
  }

  @Test func whatIsSaidArrives() throws {
    var configuration = Configuration(
      appName: "todo", store: .file(URL(fileURLWithPath: "/a.db")), remotePath: "/Mesh", passphrase: "secret")
    (configuration.encrypted, configuration.fullDurability, configuration.autoSync) = (false, true, false)
    (configuration.deviceID, configuration.deviceName, configuration.deviceType) = ("d", "Ada's phone", "ios")
    (configuration.serverManaged, configuration.serverID) = (true, "s")
    (configuration.schema, configuration.schemaPolicy) = (Schema(json: "{}"), .migrate)
    (configuration.merge, configuration.joinPolicy) = (.localWins, .mergeWithRemote)
    configuration.publish = .changedColumns
    (configuration.batchWindow, configuration.flushDebounce) = (.milliseconds(1), .milliseconds(2))
    (configuration.flushThreshold, configuration.pollInterval) = (3, .milliseconds(4))
    configuration.connectStageTimeout = .milliseconds(5)
    var compaction = AutoCompaction()
    (compaction.batches, compaction.compactors, compaction.changeFiles) = (1, 2, 6)
    (compaction.firstDelay, compaction.secondDelay) = (.milliseconds(3), .milliseconds(4))
    (compaction.jitter, compaction.grace) = (.milliseconds(5), .milliseconds(7))
    configuration.autoCompact = compaction
    (configuration.fileForm, configuration.maxFileBytes, configuration.fileCacheBytes) = (.hashed, 8, 9)
    configuration.credentials = MemoryCredentialStore()
    configuration.biometrics = CredentialTests.Prompt()
    configuration.mergeRules = [MergeRule(table: "t") { $0.local }]
    let given = try given(configuration)
    for (name, value) in [
      "appName": "todo", "encrypted": "false", "serverManaged": "true", "serverId": "s", "schemaPolicy": "migrate",
      "merge": "localWins", "joinPolicy": "mergeWithRemote", "publish": "changedColumns", "fullDurability": "true",
      "batchWindowMs": "1", "flushDebounceMs": "2", "flushThreshold": "3", "pollIntervalMs": "4",
      "connectStageTimeoutMs": "5", "autoSync": "false", "maxFileBytes": "8", "fileCacheBytes": "9",
    ] { #expect(given[name] == value, "\(name)") }
    for (name, part) in [
      "path": "/a.db", "remotePath": "/Mesh", "passphrase": "secret", "deviceId": "\"d\"", "deviceName": "phone",
      "deviceType": "ios", "schema": "{}", "credentials": "CredentialBridge", "biometrics": "BiometricBridge",
      "mergeRules": "MergeRule", "fileForm": "hashed",
      "autoCompact":
        "enabled: true, batches: 1, compactors: 2, firstDelayMs: 3, secondDelayMs: 4, jitterMs: 5, changeFiles: 6, graceMs: 7",
    ] { #expect(given[name]?.contains(part) == true, "\(name) is \(given[name] ?? "missing")") }
  }

  @Test func aDeviceThatNeverCompactsSaysSoAndNumbersAreChecked() throws {
    var configuration = Configuration(appName: "todo", store: .memory)
    configuration.autoCompact = nil
    #expect(try given(configuration)["autoCompact"]?.contains("enabled: false") == true)
    for change: (inout AutoCompaction) -> Void in [{ $0.batches = -1 }, { $0.compactors = -1 }] {
      configuration.autoCompact = AutoCompaction()
      change(&configuration.autoCompact!)
      #expect(throws: InterocitorError.self) { try configuration.engine() }
    }
  }

  /// Such a database works; what the option is for only a loss of power would show.
  @Test func aFullyDurableStoreKeepsItsRows() async throws {
    let folder = try TemporaryFolder()
    var configuration = configuration(.file(folder("a.db")))
    configuration.fullDurability = true
    let db = try await Interocitor.open(configuration)
    try await db.table("t").put("x", ["v": 1])
    try await db.shutdown()
    #expect(try await Interocitor.open(configuration).table("t").count() == 1)
  }
}
