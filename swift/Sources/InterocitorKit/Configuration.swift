import Foundation
internal import InterocitorBindings

/// How a database is opened. Names and defaults are those of the JavaScript client where both have the option.
public struct Configuration: Sendable {
  /// Where the rows are.
  public enum Store: Hashable, Sendable {
    /// A file; made where it is missing, its folder is not.
    case file(URL)
    /// Memory, for tests and previews: gone with the handle.
    case memory
  }

  /// Name of the app, for logs and peers.
  public var appName: String
  /// Where the rows are.
  public var store: Store
  /// How the local file is encrypted; nil: not, and it is as safe as the device keeps it. Needs ``credentials`` for the key,
  /// and an engine that was built with it; otherwise ``InterocitorError/Code/invalidArgument``. A file in another form is
  /// converted when it is opened.
  public var storeEncryption: StoreEncryption?
  /// The mesh's folder in the mailbox; nil: local only.
  public var remotePath: String?
  /// The mesh's passphrase; nil: from the credential store, else made when a mesh is founded.
  public var passphrase: String?
  /// Whether the mesh is encrypted.
  public var encrypted = true
  /// Where passphrase and mesh id are kept between runs; nil: nowhere.
  public var credentials: (any CredentialStore)?
  /// How biometrics guard a second copy of the passphrase; nil: not at all.
  public var biometrics: (any BiometricPrompt)?
  /// Fixes the device id; nil: one is made for this store.
  public var deviceID: String?
  /// Name of this device, shown to peers; it is not encrypted.
  public var deviceName: String?
  /// `ios`, `android`, `desktop`, `web`, `worker` or `tv`.
  public var deviceType: String?
  /// Whether a mesh founded by this device lets only ``serverID`` compact.
  public var serverManaged = false
  /// Who writes manifests; on a managed mesh all participants configure the same.
  public var serverID = "server_relay_1"
  /// Tables, indexes and merge strategies that the app declares.
  public var schema: Schema?
  /// What to do when the app declares a greater schema version than the mesh has.
  public var schemaPolicy = SchemaPolicy.exact
  /// How values merge where neither the schema's field nor its table says so.
  public var merge = MergeStrategy.lastWriterWins
  /// Merge functions of the app.
  public var mergeRules: [MergeRule] = []
  /// What to do with local rows when the mailbox holds another mesh.
  public var joinPolicy = JoinPolicy.resetToRemote
  /// What travels when a row changes.
  public var publish = Publish.fullRows
  /// Whether every commit waits for the disk instead of the write-ahead log only.
  public var fullDurability = false
  /// Single writes within this time are published as one batch; zero: each by itself.
  public var batchWindow = Duration.seconds(1)
  /// How long after the last write a flush starts by itself.
  public var flushDebounce = Duration.seconds(2)
  /// So many batches since the last flush start one at once.
  public var flushThreshold = 50
  /// Time between polls of an idle mailbox.
  public var pollInterval = Duration.seconds(30)
  /// Deadline of each stage of a connect.
  public var connectStageTimeout = Duration.seconds(15)
  /// Whether a connected database polls and flushes by itself.
  public var autoSync = true
  /// When a database that syncs by itself compacts, too; nil: never.
  public var autoCompact: AutoCompaction? = AutoCompaction()
  /// How durable files are written into the mailbox; nil: as the mesh does already. Both forms are read.
  public var fileForm: FileForm?
  /// The longest durable file, in bytes.
  public var maxFileBytes = 5_000_000_000
  /// How many bytes of durable files stay on this device although the mailbox has them, pinned ones not counted.
  public var fileCacheBytes = 256 * 1024 * 1024
  /// Further mailboxes that are written to and never read for merging. Handles and processes that share a store configure the
  /// same ones.
  public var replicas: [Replica] = []

  /// A configuration with the defaults; set what is to be different.
  public init(appName: String, store: Store, remotePath: String? = nil, passphrase: String? = nil) {
    self.appName = appName
    self.store = store
    self.remotePath = remotePath
    self.passphrase = passphrase
    #if os(iOS)
      deviceType = "ios"
    #elseif os(tvOS)
      deviceType = "tv"
    #else
      deviceType = "desktop"
    #endif
  }
}

/// How the local file is encrypted: as a whole, with a random key in the credential store.
public struct StoreEncryption: Hashable, Sendable {
  /// Whether the first 32 bytes, which hold nothing of the rows, stay readable. An app that shares its store with
  /// extensions needs it on iOS, which otherwise does not see that the file is a database and ends the app when it is
  /// suspended.
  public var plaintextHeader: Bool

  /// An encryption.
  public init(plaintextHeader: Bool = false) { self.plaintextHeader = plaintextHeader }
}

/// When a device compacts by itself: after a burst of batches, drawn by lot from all devices, or some time after the last
/// batch. Never beside clients of another kind, whose files it might delete too early, nor on a managed mesh that another
/// device compacts.
public struct AutoCompaction: Hashable, Sendable {
  /// So many batches published at once make a compaction follow.
  public var batches = 50
  /// Of all devices about so many compact after such a flush.
  public var compactors = 10
  /// From the last batch to the count of the change files.
  public var firstDelay = Duration.seconds(10 * 60)
  /// From the count to the compaction.
  public var secondDelay = Duration.seconds(15 * 60)
  /// How much sooner or later each of the two may be.
  public var jitter = Duration.seconds(5 * 60)
  /// Up to so many change files need no compaction.
  public var changeFiles = 2
  /// How long covered files are kept for slow peers.
  public var grace = Duration.seconds(24 * 60 * 60)

  /// The defaults; set what is to be different.
  public init() {}
}

/// What a device does whose app declares a greater schema version than the mesh.
public enum SchemaPolicy: Hashable, Sendable {
  /// It refuses to connect.
  case exact
  /// It connects; its next compaction raises the mesh's number.
  case migrate
}

/// How two values of one column become one.
public enum MergeStrategy: String, Hashable, Sendable {
  /// The later write wins.
  case lastWriterWins = "lww"
  /// As the JavaScript client documents it: the later write wins with a fixed rule for ties.
  case remoteWins = "remote-wins"
  /// As the JavaScript client documents it: the later write wins with a fixed rule for ties.
  case localWins = "local-wins"
}

/// What a device does whose store belongs to another mesh than the mailbox.
public enum JoinPolicy: Hashable, Sendable {
  /// The local rows make way for those of the mailbox; a copy of the store is kept beside it.
  case resetToRemote
  /// The local rows are kept and published into the mailbox's mesh.
  case mergeWithRemote
}

/// What travels when a row changes.
public enum Publish: Hashable, Sendable {
  /// The whole row with the clocks of its columns.
  case fullRows
  /// Only the written columns: for meshes where older JavaScript clients use `remote-wins`.
  case changedColumns
}

/// Which mesh a device is to take part in.
public struct MeshConfiguration: Hashable, Sendable {
  /// The mesh's folder in the mailbox.
  public var remotePath: String
  /// Its passphrase, where it is known.
  public var passphrase: String?
  /// Whether it is encrypted.
  public var encrypted: Bool

  /// A mesh.
  public init(remotePath: String, passphrase: String? = nil, encrypted: Bool = true) {
    self.remotePath = remotePath
    self.passphrase = passphrase
    self.encrypted = encrypted
  }

  var engine: InterocitorBindings.MeshConfiguration {
    .init(remotePath: remotePath, passphrase: passphrase, encrypted: encrypted)
  }
}

extension MeshConfiguration: CustomStringConvertible {
  /// Without the passphrase.
  public var description: String { "MeshConfiguration(remotePath: \(remotePath), encrypted: \(encrypted))" }
}

extension Configuration: CustomStringConvertible {
  /// Without the passphrase.
  public var description: String { "Configuration(appName: \(appName), remotePath: \(remotePath ?? "none"))" }
}

extension Configuration: CustomReflectable {
  /// Without the passphrase.
  public var customMirror: Mirror { Mirror(self, children: ["appName": appName, "store": store]) }
}

extension MeshConfiguration: CustomReflectable {
  /// Without the passphrase.
  public var customMirror: Mirror { Mirror(self, children: ["remotePath": remotePath]) }
}

extension Configuration {
  /// As the engine has it.
  func engine() throws -> InterocitorBindings.Configuration {
    let flushThreshold = try count(flushThreshold, "flushThreshold")
    let path: String? =
      switch store {
      case .file(let url) where url.isFileURL: url.path
      case .file: throw InterocitorError.invalid("store", "it is no file URL")
      case .memory: nil
      }
    return InterocitorBindings.Configuration(
      appName: appName, path: path,
      storeEncryption: storeEncryption.map { .init(plaintextHeader: $0.plaintextHeader) }, remotePath: remotePath, passphrase: passphrase, encrypted: encrypted,
      credentials: try engineCredentials(), biometrics: try engineBiometrics(),
      deviceId: deviceID, deviceName: deviceName, deviceType: deviceType, serverManaged: serverManaged,
      serverId: serverID, schema: try schema?.text(),
      schemaPolicy: schemaPolicy == .exact ? .exact : .migrate,
      merge: {
        switch merge {
        case .lastWriterWins: .lastWriterWins
        case .remoteWins: .remoteWins
        case .localWins: .localWins
        }
      }(),
      mergeRules: mergeRules.map(\.engine),
      joinPolicy: joinPolicy == .resetToRemote ? .resetToRemote : .mergeWithRemote,
      publish: publish == .fullRows ? .fullRows : .changedColumns, fullDurability: fullDurability,
      batchWindowMs: batchWindow.milliseconds, flushDebounceMs: flushDebounce.milliseconds,
      flushThreshold: flushThreshold, pollIntervalMs: pollInterval.milliseconds,
      connectStageTimeoutMs: connectStageTimeout.milliseconds, autoSync: autoSync,
      autoCompact: try AutoCompaction.engine(autoCompact), fileForm: fileForm?.engine,
      maxFileBytes: Int64(maxFileBytes), fileCacheBytes: Int64(fileCacheBytes),
      replicas: replicas.map(\.engine))
  }
}

extension AutoCompaction {
  /// As the engine has it, where none is one that is not enabled.
  fileprivate static func engine(_ given: AutoCompaction?) throws -> InterocitorBindings.AutoCompaction {
    let when = given ?? AutoCompaction()
    return InterocitorBindings.AutoCompaction(
      enabled: given != nil, batches: try count(when.batches, "autoCompact.batches"),
      compactors: try count(when.compactors, "autoCompact.compactors"), firstDelayMs: when.firstDelay.milliseconds,
      secondDelayMs: when.secondDelay.milliseconds, jitterMs: when.jitter.milliseconds,
      changeFiles: Int64(when.changeFiles), graceMs: when.grace.milliseconds)
  }
}

private func count(_ given: Int, _ name: String) throws -> UInt32 {
  guard let count = UInt32(exactly: given) else { throw InterocitorError.invalid(name, "it must be 0 or more") }
  return count
}
