import Foundation
internal import InterocitorBindings

/// A local database and, once connected, a member of a mesh: devices that share rows, end-to-end encrypted, through
/// storage the user already owns.
///
/// ```swift
/// let db = try await Interocitor.open(
///   Configuration(appName: "todo", store: .file(url), remotePath: "/Todo"))
/// let todos = db.table("todos", of: Todo.self)
/// try await todos.add(Todo(title: "Buy milk"))
///
/// try await db.setRemoteStorage(.folder(sharedFolder))
/// try await db.connect()
/// ```
///
/// Handles are safe to use from everywhere. Local work never waits for the network. ``shutdown()`` ends everything; a
/// handle that is only forgotten lets go of its store a little later.
public final class Interocitor: Sendable {
  let engine: InterocitorBindings.Interocitor

  private init(_ engine: InterocitorBindings.Interocitor) { self.engine = engine }

  // MARK: opening

  /// Opens the local database, making it where it is missing. Ready for local work at once; the network is not touched.
  public static func open(_ configuration: Configuration) async throws -> Interocitor {
    let configuration = try configuration.engine()
    return Interocitor(
      try await InterocitorKit.engine { try await InterocitorBindings.Interocitor.open(configuration: configuration) })
  }

  /// Version of the engine.
  public static var libraryVersion: String { InterocitorBindings.libraryVersion() }

  /// Moves a store that cannot be opened (``InterocitorError/Code/storeCorrupt``) out of the way, with its log, and
  /// returns where it is now. The next open starts empty and can join the mesh again.
  public static func setAsideStore(at url: URL) async throws -> URL {
    URL(fileURLWithPath: try await InterocitorKit.engine { try await InterocitorBindings.setAsideStore(path: url.path) })
  }

  /// Name of the app, as configured.
  public var appName: String { engine.appName() }

  /// Id of this device in its mesh.
  public var deviceID: String { engine.deviceId() }

  // MARK: the mesh

  /// Sets which mesh to take part in, from the next connect on.
  public func configureMesh(_ mesh: MeshConfiguration) throws {
    try InterocitorKit.engine { try engine.configureMesh(mesh: mesh.engine) }
  }

  /// Sets the mailbox, or takes it away. A connection to the former one ends.
  public func setRemoteStorage(_ mailbox: Mailbox?) async throws {
    try await InterocitorKit.engine { try await engine.setRemoteStorage(mailbox: mailbox?.engine) }
  }

  /// Connects to the mailbox: founds the mesh where it is certainly empty, else takes part in the one that is there,
  /// pulls, and publishes what waits. A mailbox that cannot be reached is no failure but ``Connection/offline(_:)``:
  /// local work goes on, and a database that syncs by itself tries again.
  @discardableResult
  public func connect() async throws -> Connection {
    Connection(try await cancellable { try await self.engine.connect(cancel: $0) })
  }

  /// Takes part in a mesh that exists, as an invitation describes it. Never founds one.
  @discardableResult
  public func join(_ mesh: MeshConfiguration) async throws -> Connection {
    Connection(try await cancellable { try await self.engine.join(mesh: mesh.engine, cancel: $0) })
  }

  /// Founds the mesh of this store anew in a mailbox that lost it (``InterocitorError/Code/remoteMissing``), from the
  /// rows that are here, and connects.
  @discardableResult
  public func rebuildRemote() async throws -> Connection {
    Connection(try await cancellable { try await self.engine.rebuildRemote(cancel: $0) })
  }

  /// Ends the connection. What was written stays and is published after the next connect.
  public func disconnect() async throws {
    try await InterocitorKit.engine { try await engine.disconnect() }
  }

  // MARK: pairing

  /// Begins to share this device's mesh with another device, which is to scan the ``Pairing/payload``.
  public func pairShare(_ options: PairingOptions = PairingOptions()) async throws -> Pairing {
    Pairing(try await cancellable { try await self.engine.pairShare(options: options.engine, cancel: $0) })
  }

  /// Asks to take part in the mesh of another device, which is to scan the ``Pairing/payload``. Not while connected; the
  /// mailbox must be set.
  public func pairJoin(_ options: PairingOptions = PairingOptions()) async throws -> Pairing {
    Pairing(try await cancellable { try await self.engine.pairJoin(options: options.engine, cancel: $0) })
  }

  /// Takes part in the pairing that another device offers, in the part that is left: takes the mesh of a device that
  /// shares, and gives this one's to a device that wants to join. The mailbox of this database is used, whatever the
  /// payload says of one.
  public func pairScan(_ payload: PairingPayload, _ options: PairingOptions = PairingOptions()) async throws -> Pairing {
    Pairing(
      try await cancellable {
        try await self.engine.pairScan(payload: payload.engine, options: options.engine, cancel: $0)
      })
  }

  // MARK: exchanging

  /// Reads what is new in the mailbox; gives the number of changed rows.
  @discardableResult
  public func pull() async throws -> Int {
    Int(try await cancellable { try await self.engine.pull(cancel: $0) })
  }

  /// Publishes what waits; gives the number of change files that the mailbox acknowledged.
  @discardableResult
  public func flush() async throws -> Int {
    Int(try await cancellable { try await self.engine.flush(cancel: $0) })
  }

  /// Pulls, publishes and acknowledges.
  public func sync() async throws {
    try await cancellable { try await self.engine.sync(cancel: $0) }
  }

  /// Connects where that is needed and exchanges once, within the deadline: for the short time that an operating system
  /// gives to an app in the background.
  public func syncOnce(deadline: Duration) async throws {
    try await cancellable { try await self.engine.syncOnce(deadlineMs: deadline.milliseconds, cancel: $0) }
  }

  /// Publishes and pulls everything, then writes one snapshot of all rows, so that new devices need not read every
  /// change file. On a managed mesh only its server may (``InterocitorError/Code/writerMismatch``).
  ///
  /// ```swift
  /// if case .written(let snapshot) = try await db.compact() { print("\(snapshot.rows) rows in one file") }
  /// ```
  ///
  /// - Parameter grace: Files that the snapshot covers are deleted by later compactions of this device, when they have
  ///   been covered for longer than this: a day or more, so that slow peers can still read them.
  @discardableResult
  public func compact(grace: Duration = .seconds(24 * 60 * 60)) async throws -> Compaction {
    Compaction(try await cancellable { try await self.engine.compact(graceMs: grace.milliseconds, cancel: $0) })
  }

  // MARK: published and seen

  /// Marks everything that was written so far, for ``awaitPublished(_:)`` and ``seen(by:upTo:)``.
  public func writeMark() async throws -> WriteMark {
    WriteMark(try await InterocitorKit.engine { try await engine.writeMark() })
  }

  /// Returns when the mailbox has confirmed everything up to the mark.
  ///
  /// ```swift
  /// try await notes.add(note)
  /// try await db.awaitPublished(db.writeMark())  // from here on other devices can have it
  /// ```
  ///
  /// It only waits: a connected database publishes by itself, others when they are told to. A write that is stuck keeps
  /// it waiting, and ``Status/pendingProblems`` says why; one that was put into quarantine is not waited for.
  public func awaitPublished(_ mark: WriteMark) async throws {
    try await cancellable { try await self.engine.awaitPublished(mark: mark.engine, cancel: $0) }
  }

  /// Whether a device has merged everything up to the mark. `true` is certain. `false` means that the device did not say
  /// so yet: devices write their record seldom, when they join, when they have merged a new snapshot, and once a day.
  public func seen(by deviceID: Device.ID, upTo mark: WriteMark) async throws -> Bool {
    try await cancellable { try await self.engine.seenBy(deviceId: deviceID, mark: mark.engine, cancel: $0) }
  }

  // MARK: living in an app

  /// Tells that the mailbox has news, as a push message says. They are pulled at once; messages of the following second
  /// become one more pull. While pulls fail, the retry that comes anyway is waited for. Does nothing where the database
  /// does not sync by itself, or is not connected.
  public func poke() { engine.poke() }

  /// Tells whether the device has a network. Without one nothing is tried in the background and the state is
  /// ``ConnectionState/offline``; when it is back an exchange follows at once. Explicit calls try in any case. Until this
  /// is called there counts as being one. (On Apple platforms `NetworkMonitor` calls it.)
  public func setNetwork(_ isAvailable: Bool) { engine.setNetwork(isAvailable: isAvailable) }

  /// Tells whether the user sees the app: in the background it polls ten times as seldom.
  public func setForeground(_ isForeground: Bool) { engine.setForeground(isForeground: isForeground) }

  /// Lets go of every file and lock, so that the operating system may freeze the app. Returns when no lock is held any
  /// more; calls answer ``InterocitorError/Code/suspended`` until ``resume()``.
  public func suspend() async throws {
    try await InterocitorKit.engine { try await engine.suspend() }
  }

  /// Takes the files up again after ``suspend()``, and exchanges at once where the database is connected.
  public func resume() async throws {
    try await InterocitorKit.engine { try await engine.resume() }
  }

  /// Ends everything and lets go of the store and of every listener. Calls after it answer
  /// ``InterocitorError/Code/shutDown``.
  public func shutdown() async throws {
    try await InterocitorKit.engine { try await engine.shutdown() }
  }

  // MARK: rows

  /// A table whose rows are values of a type of the app. It is made by its first write.
  public func table<Value: Codable & Sendable>(_ name: String, of type: Value.Type) -> TypedTable<Value> {
    TypedTable(name, engine.table(name: name))
  }

  /// A table without a row type: its rows are JSON objects.
  public func table(_ name: String) -> TypedTable<JSONObject> { table(name, of: JSONObject.self) }

  /// Names of all tables that hold or held rows.
  public func tableNames() async throws -> [String] {
    try await InterocitorKit.engine { try await engine.tableNames() }
  }

  /// Makes writes together: all of them are stored and published as one change, or, where the closure throws or the
  /// `Task` is cancelled, none.
  ///
  /// ```swift
  /// let id = try await db.batch { batch in
  ///   try batch.table("todos", of: Todo.self).delete(old)
  ///   return try batch.table("log").add(["what": "tidied up"])
  /// }
  /// ```
  public func batch<Answer>(
    isolation: isolated (any Actor)? = #isolation, _ writes: (Batch) throws -> Answer
  ) async throws -> Answer {
    let batch = Batch(try InterocitorKit.engine { try engine.beginBatch() })
    let answer = try writes(batch)
    try Task.checkCancellation()
    try await batch.commit()
    return answer
  }

  /// The whole store as one JSON object, for a look at everything or a copy.
  public func dump() async throws -> Data {
    Data(try await InterocitorKit.engine { try await engine.dump() }.utf8)
  }

  // MARK: what happens

  /// What happens, from the moment a loop begins.
  ///
  /// ```swift
  /// for await event in db.events {
  ///   if case .change(let table, let rowIDs) = event { refresh(table, rowIDs) }
  /// }
  /// ```
  ///
  /// It ends with the loop, however that ends, with the `Task`, and when the database is shut down. A loop that falls
  /// behind is told ``Event/lagged``. To show rows, ``RowQuery/observe()`` is simpler.
  public var events: Events { Events(engine) }

  /// The state of the connection now, and again whenever it has changed. Of many changes only the last is given.
  public var connectionStates: ConnectionStates { ConnectionStates(engine) }

  /// State of the connection.
  public var connectionState: ConnectionState { ConnectionState(engine.connectionState()) }

  /// How things stand: the connection, what waits, what is stuck, the last success.
  public func status() async throws -> Status {
    try Status(try await InterocitorKit.engine { try await engine.status() })
  }

  /// How things stand now, and again whenever that has changed: at most four times in a second, and of many changes only
  /// the last.
  ///
  /// ```swift
  /// for try await status in db.statuses { badge = status.pendingCount }
  /// ```
  ///
  /// It ends with the loop, with the `Task`, and when the database is shut down.
  public var statuses: Statuses { Statuses(engine) }

  /// Looks at everything: the store's file, every row and waiting change, the clocks; and, where a mailbox is set, its
  /// shape and every file in it. Takes long on large meshes.
  ///
  /// ```swift
  /// for finding in try await db.doctor().findings { print(finding.place, finding.meaning, finding.advice) }
  /// ```
  ///
  /// - Parameter mends: Without it nothing is written anywhere. With it, what is mendable is mended, and nothing is
  ///   touched that any device could miss.
  public func doctor(mends: Bool = false) async throws -> Diagnosis {
    Diagnosis(try await cancellable { try await self.engine.doctor(mends: mends, cancel: $0) })
  }

  /// The devices of the mesh, as they describe themselves in the mailbox.
  public func devices() async throws -> [Device] {
    try await cancellable { try await self.engine.devices(cancel: $0) }.map(Device.init)
  }

  /// Retires a device that will not come back: nobody waits for it any more before deletions are forgotten. If it does
  /// come back, what it wrote meanwhile is published or put into quarantine.
  public func retireDevice(_ id: String) async throws {
    try await cancellable { try await self.engine.retireDevice(deviceId: id, cancel: $0) }
  }

  // MARK: quarantine

  /// Files of the mailbox that cannot be read, and writes of this device that were put aside.
  public func quarantined() async throws -> [QuarantinedItem] {
    try await InterocitorKit.engine { try await engine.quarantined() }.map(QuarantinedItem.init)
  }

  /// Takes something out of quarantine, by its ``QuarantinedItem/name``: a write is made once more, and its row comes back
  /// with these columns; a file is tried again with the next pull.
  public func restoreQuarantined(_ name: String) async throws {
    try await InterocitorKit.engine { try await engine.restoreQuarantined(name: name) }
  }

  /// Lets something in quarantine go, by its ``QuarantinedItem/name``: a write is forgotten for good; a file stays in the
  /// mailbox, and is not tried again before its content changes.
  public func discardQuarantined(_ name: String) async throws {
    try await InterocitorKit.engine { try await engine.discardQuarantined(name: name) }
  }

  // MARK: credentials

  /// The mesh's passphrase in use, for the user to write down and for another device to join with. Nil before a mesh was
  /// founded or joined, and where it is not encrypted.
  public func getPassphrase() -> String? { engine.getPassphrase() }

  /// Uses another passphrase from the next connect on. It is checked against the mesh there, and saved only when it
  /// opens it.
  public func setPassphrase(_ passphrase: String) throws {
    try InterocitorKit.engine { try engine.setPassphrase(passphrase: passphrase) }
  }

  /// The passphrases that others took the place of, oldest first.
  public func supersededKeys() async throws -> [SupersededKey] {
    try await InterocitorKit.engine { try await engine.supersededKeys() }.map(SupersededKey.init)
  }

  /// Uses such a passphrase from the next connect on, which must lead to the mesh that it was of. It is checked there, and
  /// only then the two change places.
  public func restoreSupersededKey(_ id: SupersededKey.ID) async throws {
    try await InterocitorKit.engine { try await engine.restoreSupersededKey(id: id) }
  }

  /// Forgets such a passphrase for good; tells whether it was there.
  @discardableResult
  public func discardSupersededKey(_ id: SupersededKey.ID) async throws -> Bool {
    try await InterocitorKit.engine { try await engine.discardSupersededKey(id: id) }
  }

  /// The passphrase in use with its mesh, as the JavaScript client keeps them: `{"passphrase","deviceId","meshId"}`. As
  /// secret as the passphrase.
  public func exportCredentials() throws -> String {
    try InterocitorKit.engine { try engine.exportCredentials() }
  }

  /// Takes over what ``exportCredentials()`` or the JavaScript client wrote, from the next connect on, which checks it. The
  /// device id stays this store's own.
  public func importCredentials(_ json: String) throws {
    try InterocitorKit.engine { try engine.importCredentials(json: json) }
  }

  /// The key in use, to be written down, printed or shown as a QR code.
  public func recoveryKit() throws -> RecoveryKit {
    RecoveryKit(try InterocitorKit.engine { try engine.recoveryKit() })
  }

  /// Uses the key of a recovery kit from the next connect on: its text, the content of its QR code, or its words. It is
  /// checked against the mesh there, and saved only when it opens it.
  public func recover(_ text: String) throws {
    try InterocitorKit.engine { try engine.recover(text: text) }
  }

  /// Whether there is a copy of the passphrase that ``restoreWithBiometrics(reason:)`` could open.
  public func isSecuredWithBiometrics() async throws -> Bool {
    try await InterocitorKit.engine { try await engine.isSecuredWithBiometrics() }
  }

  /// Keeps a copy of the passphrase that only biometrics open. The reason is shown to the user.
  public func secureWithBiometrics(reason: String) async throws {
    try await InterocitorKit.engine { try await engine.secureWithBiometrics(reason: reason) }
  }

  /// Takes the passphrase from the copy that biometrics open. The reason is shown to the user.
  public func restoreWithBiometrics(reason: String) async throws {
    try await InterocitorKit.engine { try await engine.restoreWithBiometrics(reason: reason) }
  }

  /// Forgets the passphrase, here and in the credential store; rows and the copy that biometrics open are kept.
  public func clearCredentials() async throws {
    try await InterocitorKit.engine { try await engine.clearCredentials() }
  }

  /// Credentials of sub-stores, kept beside the rows and never synced.
  public var connectedStores: ConnectedStores { ConnectedStores(engine.connectedStores()) }
}

extension Duration {
  /// Whole milliseconds.
  var milliseconds: Int64 {
    let (seconds, attoseconds) = components
    let (product, overflows) = seconds.multipliedReportingOverflow(by: 1000)
    return overflows ? (seconds < 0 ? .min : .max) : product + attoseconds / 1_000_000_000_000_000
  }
}
