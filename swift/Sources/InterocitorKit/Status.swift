import Foundation
internal import InterocitorBindings

/// How a connect ended.
public enum Connection: Hashable, Sendable {
  /// Connected, and up to date at that moment.
  case online
  /// The mailbox cannot be used now. Local work goes on; a database that syncs by itself tries again.
  case offline(OfflineReason)

  /// Whether the mailbox was reached.
  public var isOnline: Bool { self == .online }
}

/// Why a connect ended offline.
public struct OfflineReason: Hashable, Sendable {
  /// What was being done.
  public let stage: String
  /// What happened, by its stable name.
  public let code: InterocitorError.Code
  /// What happened and what to do.
  public let reason: String
}

/// How a compaction ended.
public enum Compaction: Hashable, Sendable {
  /// A new snapshot is in force.
  case written(Snapshot)
  /// Another device compacted at the same time; nothing was changed.
  case overtaken

  /// What was written, and what was deleted for it.
  public struct Snapshot: Hashable, Sendable {
    /// Its epoch.
    public let epoch: Int
    /// Rows in it, deleted ones included.
    public let rows: Int
    /// Change files that it covers.
    public let covered: Int
    /// Files deleted from the mailbox, since they were covered for longer than the grace.
    public let deleted: Int
  }
}

/// State of the connection.
public enum ConnectionState: String, Hashable, Sendable {
  /// Not connected: local work goes on.
  case offline
  /// Connecting.
  case connecting
  /// Exchanging changes.
  case syncing
  /// Connected, nothing to do.
  case idle
}

/// A failure that was met in the background.
public struct Problem: Hashable, Sendable {
  /// What happened, by its stable name.
  public let code: InterocitorError.Code
  /// What happened and what to do.
  public let reason: String
}

/// Everything that was written to a store up to a moment, as ``Interocitor/writeMark()`` gives it. Good for every handle
/// of that store until the process ends.
public struct WriteMark: Sendable {
  let engine: InterocitorBindings.WriteMark

  init(_ engine: InterocitorBindings.WriteMark) { self.engine = engine }
}

/// A true picture of the database at one moment.
public struct Status: Hashable, Sendable {
  /// Who exchanges with the mailbox in the background, where several processes have the store open: one does it for all.
  public enum Background: Hashable, Sendable {
    /// This handle.
    case here
    /// Another process, or another handle of this one.
    case elsewhere
    /// Nobody, as far as the store knows: what is written waits until somebody does.
    case nowhere
  }

  /// How far a part of an exchange has come. Totals are given where they are known.
  public struct Operation: Hashable, Sendable {
    /// A part of an exchange.
    public enum Phase: Hashable, Sendable {
      /// Reading who is there and whether the key fits.
      case connecting
      /// Reading change files.
      case pulling
      /// Reading a snapshot.
      case restoring
      /// Writing change files.
      case publishing
    }

    /// Which part it is.
    public let phase: Phase
    /// Files read or written.
    public let files: Int
    /// Files in all.
    public let filesTotal: Int?
    /// Rows that changed here.
    public let rows: Int
    /// Bytes read or written.
    public let bytes: Int
    /// Bytes in all.
    public let bytesTotal: Int?

    /// How much of it is done, from 0 to 1, for a progress bar; nil where that is not known.
    public var fraction: Double? {
      guard let (done, total) = bytesTotal.map({ (bytes, $0) }) ?? filesTotal.map({ (files, $0) }), total > 0 else {
        return nil
      }
      return min(1, Double(done) / Double(total))
    }
  }

  /// State of the connection.
  public let connection: ConnectionState
  /// Whether the device has a network, as far as ``Interocitor/setNetwork(_:)`` was told.
  public let hasNetwork: Bool
  /// Who exchanges in the background.
  public let background: Background
  /// What goes on with the mailbox just now.
  public let operation: Operation?
  /// The last failure since the last success.
  public let problem: Problem?
  /// Mesh that the store belongs to.
  public let meshID: String?
  /// Id of this device.
  public let deviceID: String
  /// Folder of the mesh in the mailbox.
  public let remotePath: String?
  /// Whether the mesh is encrypted.
  public let encrypted: Bool
  /// Epoch of the snapshot that was adopted last.
  public let epoch: Int
  /// Highest manifest generation seen.
  public let generation: Int
  /// Batches that wait to be published, or rows of a store that never belonged to a mesh.
  public let pendingCount: Int
  /// When the oldest batch was opened: its age tells how long nothing could be published.
  public let pendingSince: Date?
  /// Why batches could not be published when it was last tried.
  public let pendingProblems: [String]
  /// Files that wait to be uploaded, downloaded or deleted.
  public let pendingFiles: Int
  /// Those of them that cannot succeed as they are; ``Interocitor/fileTransfers()`` says why.
  public let failedFiles: Int
  /// How much is in quarantine.
  public let quarantined: Int
  /// The first hundred of it, with the reason.
  public let quarantinedItems: [QuarantinedItem]
  /// When the mailbox last confirmed every step of an exchange: up to there everything here is in the mailbox, and
  /// everything there is here.
  public let lastSync: Date?
}

/// A device of the mesh, as it describes itself.
public struct Device: Hashable, Identifiable, Sendable {
  /// Its id.
  public let id: String
  /// Its name, if it has one.
  public let name: String?
  /// `ios`, `android`, `desktop`, `web`, …
  public let type: String?
  /// When it last wrote its record.
  public let lastSeen: Date?
  /// Epoch of the snapshot that it has merged.
  public let observedEpoch: Int?
  /// Whether it was retired.
  public let isRetired: Bool
  /// Whether it is this device.
  public let isThisDevice: Bool
}

/// Something in quarantine: a file of the mailbox that cannot be read, which is tried again by itself, or a write of this
/// device that was not published, since its row was deleted for good elsewhere meanwhile.
public struct QuarantinedItem: Hashable, Identifiable, Sendable {
  /// Its name.
  public var id: String { name }
  /// Of a file its name below the mesh's folder, of a write `writes/…`.
  public let name: String
  /// What is wrong, by its stable name: ``InterocitorError/Code/decode`` mostly, `ROW_DELETED` for a write.
  public let code: InterocitorError.Code
  /// What is wrong with it.
  public let reason: String
  /// When it was first met.
  public let first: Date
  /// When it was last tried.
  public let last: Date
  /// How often it was tried.
  public let tries: Int
  /// The write, where it is one.
  public let write: QuarantinedWrite?
}

/// A write in quarantine: what was set on a row that is gone.
public struct QuarantinedWrite: Hashable, Sendable {
  /// The table.
  public let table: String
  /// The row.
  public let rowID: String
  /// The columns that were set.
  public let columns: JSONObject
}

// MARK: - as the engine has them

extension Date {
  init(milliseconds: Int64) { self.init(timeIntervalSince1970: Double(milliseconds) / 1000) }
}

extension Connection {
  init(_ connection: InterocitorBindings.Connection) {
    self =
      switch connection {
      case .online: .online
      case .offline(let stage, let code, let reason):
        .offline(OfflineReason(stage: stage, code: .init(rawValue: code), reason: reason))
      }
  }
}

extension Compaction {
  init(_ compaction: InterocitorBindings.Compaction) {
    self =
      switch compaction {
      case .written(let epoch, let rows, let covered, let deleted):
        .written(Snapshot(epoch: Int(epoch), rows: Int(rows), covered: Int(covered), deleted: Int(deleted)))
      case .overtaken: .overtaken
      }
  }
}

extension ConnectionState {
  init(_ state: InterocitorBindings.ConnectionState) {
    self =
      switch state {
      case .offline: .offline
      case .connecting: .connecting
      case .syncing: .syncing
      case .idle: .idle
      }
  }
}

extension Problem {
  init(_ problem: InterocitorBindings.Problem) {
    self.init(code: .init(rawValue: problem.code), reason: problem.reason)
  }
}

extension Status.Background {
  fileprivate init(_ background: InterocitorBindings.Background) {
    self =
      switch background {
      case .here: .here
      case .elsewhere: .elsewhere
      case .nowhere: .nowhere
      }
  }
}

extension Status.Operation {
  fileprivate init(_ operation: InterocitorBindings.Operation) {
    phase =
      switch operation.phase {
      case .connecting: .connecting
      case .pulling: .pulling
      case .restoring: .restoring
      case .publishing: .publishing
      }
    files = Int(operation.files)
    filesTotal = operation.filesTotal.map { Int($0) }
    rows = Int(operation.rows)
    bytes = Int(operation.bytes)
    bytesTotal = operation.bytesTotal.map { Int($0) }
  }
}

extension Status {
  init(_ status: InterocitorBindings.Status) throws {
    connection = ConnectionState(status.connection)
    hasNetwork = status.hasNetwork
    background = Background(status.background)
    operation = status.operation.map(Operation.init)
    problem = status.problem.map(Problem.init)
    meshID = status.meshId
    deviceID = status.deviceId
    remotePath = status.remotePath
    encrypted = status.encrypted
    epoch = Int(status.epoch)
    generation = Int(status.generation)
    pendingCount = Int(status.pendingCount)
    pendingSince = status.pendingSinceMs.map(Date.init(milliseconds:))
    pendingProblems = status.pendingProblems
    pendingFiles = Int(status.pendingFiles)
    failedFiles = Int(status.failedFiles)
    quarantined = Int(status.quarantined)
    quarantinedItems = try status.quarantinedItems.map(QuarantinedItem.init)
    lastSync = status.lastSyncMs.map(Date.init(milliseconds:))
  }
}

extension Device {
  init(_ device: InterocitorBindings.Device) {
    id = device.deviceId
    name = device.name
    type = device.deviceType
    lastSeen = device.lastSeenMs.map(Date.init(milliseconds:))
    observedEpoch = device.observedEpoch.map { Int($0) }
    isRetired = device.retired
    isThisDevice = device.isThisDevice
  }
}

extension QuarantinedItem {
  init(_ item: InterocitorBindings.QuarantinedItem) throws {
    name = item.name
    code = .init(rawValue: item.code)
    reason = item.reason
    first = Date(milliseconds: item.firstMs)
    last = Date(milliseconds: item.lastMs)
    tries = Int(item.tries)
    write = try item.write.map { write in
      let columns = try JSONValue(json: Data(write.columns.utf8)).object ?? [:]
      return QuarantinedWrite(table: write.table, rowID: write.rowId, columns: columns)
    }
  }
}
