internal import InterocitorBindings

/// Something that happened. Never holds values, keys or passphrases. New kinds may come with new versions, so a `switch`
/// over them needs a `default`.
public enum Event: Hashable, Sendable {
  /// Rows have new values or came to life.
  case change(table: String, rowIDs: [String])
  /// Rows were deleted.
  case delete(table: String, rowIDs: [String])
  /// This listener fell behind: read again what you show.
  case lagged
  /// A pull began.
  case syncStart
  /// A pull ended; so many rows changed.
  case syncComplete(entriesMerged: Int)
  /// A pull failed.
  case syncError(code: InterocitorError.Code, reason: String)
  /// Publishing began, with so many batches.
  case flushStart(entryCount: Int)
  /// So many change files are in the mailbox, and so many batches still wait.
  case flushProgress(published: Int, waiting: Int)
  /// Publishing ended.
  case flushComplete
  /// Publishing failed; what is left waits.
  case flushError(code: InterocitorError.Code, reason: String)
  /// A snapshot is being adopted.
  case rehydrateStart(epoch: Int)
  /// A snapshot was adopted.
  case rehydrateComplete(rowCount: Int)
  /// The state of the connection changed.
  case connectionChanged(state: ConnectionState)
  /// A connect found this mesh.
  case connectState(
    remotePath: String, deviceID: String, localEpoch: Int, remoteEpoch: Int, meshID: String, encrypted: Bool
  )
  /// A connect had nothing to do.
  case connectNoop(cause: String)
  /// A connect failed at this stage.
  case connectError(stage: String, code: InterocitorError.Code, reason: String)
  /// The store changes to another mesh.
  case joinExistingMesh(
    previousMeshID: String, nextMeshID: String, policy: String, localRowCount: Int, queuedChangeCount: Int
  )
  /// A connection ended.
  case transportTeardown(cause: String)
  /// The mailbox is asked for access.
  case authRequired
  /// The mailbox gave access.
  case authComplete
  /// A mesh was configured.
  case meshConfigured(deviceID: String, encrypted: Bool, hadPassphrase: Bool)
  /// It is settled how bodies are encrypted.
  case encryptionResolved(strategy: String, encrypted: Bool)
  /// Credentials were taken from where they are kept.
  case credentialsRestored(source: String, deviceIDChanged: Bool, hadPassphrase: Bool)
  /// Credentials were saved.
  case credentialsPersisted(deviceID: String, encrypted: Bool)
  /// The saved credentials were written by another copy of the store.
  case credentialsConflict(storedDeviceID: String, activeDeviceID: String)
  /// The saved credentials belong to another mesh.
  case credentialsMeshMismatch(storedMeshID: String, activeMeshID: String)
  /// A file could not be read; it is in quarantine and sync goes on.
  case decodeError(path: String, reason: String)
  /// A write was not published: its row was deleted for good elsewhere. It waits in quarantine.
  case writeQuarantined(table: String, rowID: String)
  /// The app and the mesh have different schema versions.
  case schemaMismatch(localVersion: Int, remoteVersion: Int)
  /// A clock is further from the wall clock than five minutes.
  case clockSkew(device: String, ahead: Duration)
  /// Two values met under one clock; the greater one was kept.
  case mergeTie(table: String, rowID: String, field: String)
  /// A peer's row holds a value that is unique here.
  case uniqueDuplicate(table: String, rowID: String, field: String)
  /// The mailbox shows an older state than was seen before.
  case remoteRollback(knownGeneration: Int, generation: Int, knownEpoch: Int, epoch: Int)
  /// Something that must be in the mailbox is not: the snapshot at this path, or the change files of a device with these
  /// numbers, missing for a day although later ones are there.
  case remoteWithheld(path: String?, device: String?, first: Int, last: Int)
  /// Another client had put an older or another mesh in the place of ours; ours is in force again.
  case remoteRepaired(generation: Int, foundGeneration: Int)
  /// The mailbox refused or failed; tried again after the wait.
  case remoteAccess(code: InterocitorError.Code, reason: String, retryIn: Duration)
  /// A pairing code is ready to be scanned.
  case pairingWaiting(intent: PairingIntent)
  /// The other device of a pairing is there.
  case pairingScanned(intent: PairingIntent)
  /// The mesh's credential lies in the mailbox, for the other device alone.
  case pairingSent(intent: PairingIntent)
  /// The device that wanted the credential has it: both are done.
  case pairingReceived(intent: PairingIntent)
  /// A file or what is to be done about it is in another state; both are nil where nothing is to be done.
  case fileState(path: String, isHere: Bool, kind: FileTransfer.Kind?, state: FileTransfer.State?)
  /// The transfer of a file moves on, told at most four times a second.
  case fileProgress(path: String, bytes: Int, bytesTotal: Int?)
  /// The transfer of a file failed. It is tried again after the wait, or not at all as it is.
  case fileError(path: String, code: InterocitorError.Code, reason: String, retryIn: Duration?)
  /// A replica is being brought up to date, told at most four times a second.
  case replicaProgress(replica: String, files: Int, filesTotal: Int, bytes: Int)
  /// A replica was brought up to date: it has so many files, and so many of them were written now.
  case replicaComplete(replica: String, files: Int, copied: Int, bytes: Int)
  /// A replica could not be written to; the main mailbox is not concerned. What it lacks is caught up after the wait, or
  /// with the next exchange where there is none.
  case replicaError(replica: String, code: InterocitorError.Code, reason: String, isRetryable: Bool, retryIn: Duration?)
  /// An export moves on, told at most four times a second.
  case exportProgress(rows: Int, files: Int, bytes: Int)
  /// An import moves on, told at most four times a second.
  case importProgress(rows: Int, files: Int, bytes: Int)
  /// Anything else: the name and the whole event as JSON.
  case other(name: String, json: String)
}

extension Event {
  init(_ event: InterocitorBindings.Event) {
    self =
      switch event {
      case .change(let table, let rowIds):
        .change(table: table, rowIDs: rowIds)
      case .delete(let table, let rowIds):
        .delete(table: table, rowIDs: rowIds)
      case .lagged: .lagged
      case .syncStart: .syncStart
      case .syncComplete(let entriesMerged):
        .syncComplete(entriesMerged: Int(entriesMerged))
      case .syncError(let code, let reason):
        .syncError(code: .init(rawValue: code), reason: reason)
      case .flushStart(let entryCount):
        .flushStart(entryCount: Int(entryCount))
      case .flushProgress(let published, let waiting):
        .flushProgress(published: Int(published), waiting: Int(waiting))
      case .flushComplete: .flushComplete
      case .flushError(let code, let reason):
        .flushError(code: .init(rawValue: code), reason: reason)
      case .rehydrateStart(let epoch):
        .rehydrateStart(epoch: Int(epoch))
      case .rehydrateComplete(let rowCount):
        .rehydrateComplete(rowCount: Int(rowCount))
      case .connectionChanged(let state):
        .connectionChanged(state: ConnectionState(state))
      case .connectState(let remotePath, let deviceId, let localEpoch, let remoteEpoch, let meshId, let encrypted):
        .connectState(
          remotePath: remotePath, deviceID: deviceId, localEpoch: Int(localEpoch),
          remoteEpoch: Int(remoteEpoch), meshID: meshId, encrypted: encrypted)
      case .connectNoop(let cause):
        .connectNoop(cause: cause)
      case .connectError(let stage, let code, let reason):
        .connectError(stage: stage, code: .init(rawValue: code), reason: reason)
      case .joinExistingMesh(let previousMeshId, let nextMeshId, let policy, let localRowCount, let queuedChangeCount):
        .joinExistingMesh(
          previousMeshID: previousMeshId, nextMeshID: nextMeshId, policy: policy,
          localRowCount: Int(localRowCount), queuedChangeCount: Int(queuedChangeCount))
      case .transportTeardown(let cause):
        .transportTeardown(cause: cause)
      case .authRequired: .authRequired
      case .authComplete: .authComplete
      case .meshConfigured(let deviceId, let encrypted, let hadPassphrase):
        .meshConfigured(deviceID: deviceId, encrypted: encrypted, hadPassphrase: hadPassphrase)
      case .encryptionResolved(let strategy, let encrypted):
        .encryptionResolved(strategy: strategy, encrypted: encrypted)
      case .credentialsRestored(let source, let deviceIdChanged, let hadPassphrase):
        .credentialsRestored(source: source, deviceIDChanged: deviceIdChanged, hadPassphrase: hadPassphrase)
      case .credentialsPersisted(let deviceId, let encrypted):
        .credentialsPersisted(deviceID: deviceId, encrypted: encrypted)
      case .credentialsConflict(let storedDeviceId, let activeDeviceId):
        .credentialsConflict(storedDeviceID: storedDeviceId, activeDeviceID: activeDeviceId)
      case .credentialsMeshMismatch(let storedMeshId, let activeMeshId):
        .credentialsMeshMismatch(storedMeshID: storedMeshId, activeMeshID: activeMeshId)
      case .decodeError(let path, let reason):
        .decodeError(path: path, reason: reason)
      case .writeQuarantined(let table, let rowId):
        .writeQuarantined(table: table, rowID: rowId)
      case .schemaMismatch(let localVersion, let remoteVersion):
        .schemaMismatch(localVersion: Int(localVersion), remoteVersion: Int(remoteVersion))
      case .clockSkew(let device, let aheadMs):
        .clockSkew(device: device, ahead: .milliseconds(aheadMs))
      case .mergeTie(let table, let rowId, let field):
        .mergeTie(table: table, rowID: rowId, field: field)
      case .uniqueDuplicate(let table, let rowId, let field):
        .uniqueDuplicate(table: table, rowID: rowId, field: field)
      case .remoteRollback(let knownGeneration, let generation, let knownEpoch, let epoch):
        .remoteRollback(
          knownGeneration: Int(knownGeneration), generation: Int(generation),
          knownEpoch: Int(knownEpoch), epoch: Int(epoch))
      case .remoteWithheld(let path, let device, let first, let last):
        .remoteWithheld(path: path, device: device, first: Int(first), last: Int(last))
      case .remoteRepaired(let generation, let foundGeneration):
        .remoteRepaired(generation: Int(generation), foundGeneration: Int(foundGeneration))
      case .remoteAccess(let code, let reason, let retryInMs):
        .remoteAccess(code: .init(rawValue: code), reason: reason, retryIn: .milliseconds(retryInMs))
      case .pairingWaiting(let intent): .pairingWaiting(intent: PairingIntent(intent))
      case .pairingScanned(let intent): .pairingScanned(intent: PairingIntent(intent))
      case .pairingSent(let intent): .pairingSent(intent: PairingIntent(intent))
      case .pairingReceived(let intent): .pairingReceived(intent: PairingIntent(intent))
      case .fileState(let path, let isHere, let kind, let state):
        .fileState(
          path: path, isHere: isHere, kind: kind.map(FileTransfer.Kind.init), state: state.map(FileTransfer.State.init))
      case .fileProgress(let path, let bytes, let bytesTotal):
        .fileProgress(path: path, bytes: Int(bytes), bytesTotal: bytesTotal.map { Int($0) })
      case .fileError(let path, let code, let reason, let retryInMs):
        .fileError(
          path: path, code: .init(rawValue: code), reason: reason, retryIn: retryInMs.map { .milliseconds($0) })
      case .replicaProgress(let replica, let files, let filesTotal, let bytes):
        .replicaProgress(replica: replica, files: Int(files), filesTotal: Int(filesTotal), bytes: Int(bytes))
      case .replicaComplete(let replica, let files, let copied, let bytes):
        .replicaComplete(replica: replica, files: Int(files), copied: Int(copied), bytes: Int(bytes))
      case .replicaError(let replica, let code, let reason, let retryable, let retryInMs):
        .replicaError(
          replica: replica, code: .init(rawValue: code), reason: reason, isRetryable: retryable,
          retryIn: retryInMs.map { .milliseconds($0) })
      case .exportProgress(let rows, let files, let bytes):
        .exportProgress(rows: Int(rows), files: Int(files), bytes: Int(bytes))
      case .importProgress(let rows, let files, let bytes):
        .importProgress(rows: Int(rows), files: Int(files), bytes: Int(bytes))
      case .other(let name, let json):
        .other(name: name, json: json)
      }
  }
}
