package dev.interocitor

import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.Job
import kotlinx.coroutines.NonCancellable
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.withContext
import kotlinx.serialization.KSerializer
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.serializer
import java.io.File
import java.nio.file.Path
import kotlin.time.Duration
import kotlin.time.Duration.Companion.days
import dev.interocitor.ffi.Interocitor as FfiInterocitor

/**
 * A local database and, once connected, a member of a mesh.
 *
 * ```
 * val db = Interocitor.open("todo") { path = File(folder, "todo.db"); remotePath = "/Todo" }
 * val todos = db.table<Todo>("todos")
 * val id = todos.add(Todo("Buy milk"))
 * todos.patch(id) { set(Todo::done, true) }
 * db.setRemoteStorage(Mailbox.folder(File("/path/to/a/synced/folder")))
 * db.connect()
 * ```
 *
 * Functions may be called from any thread and never block it for long. Cancelling the coroutine gives up the call;
 * what it was to write is then either written as a whole or not at all.
 *
 * A database lives until [shutdown], which waits for its end; there is no blocking `close`. For a short life there is
 * [use].
 */
public class Interocitor private constructor(private val inner: FfiInterocitor, private val json: RowJson) {
    private val ended = Job()

    /** Name of the app, as configured. */
    public val appName: String get() = inner.appName()

    /** Id of this device in its mesh. */
    public val deviceId: String get() = inner.deviceId()

    /** Sets which mesh to take part in, from the next connect on. */
    public suspend fun configureMesh(mesh: MeshConfiguration) {
        withContext(Dispatchers.IO) { engine { inner.configureMesh(mesh.asFfi()) } }
    }

    /** Sets the mailbox, or takes it away. A connection to the former one ends. */
    public suspend fun setRemoteStorage(mailbox: Mailbox?) {
        engine { inner.setRemoteStorage(mailbox?.inner) }
    }

    /**
     * Connects to the mailbox: founds the mesh where it is certainly empty, else takes part in the one that is there,
     * pulls, and publishes what waits.
     */
    public suspend fun connect(): Connection = engine { inner.connect() }.asPublic()

    /** Takes part in a mesh that exists, as an invitation describes it. Never founds one. */
    public suspend fun join(mesh: MeshConfiguration): Connection = engine { inner.join(mesh.asFfi()) }.asPublic()

    /** Founds the mesh of this store anew in a mailbox that lost it, from the rows that are here, and connects. */
    public suspend fun rebuildRemote(): Connection = engine { inner.rebuildRemote() }.asPublic()

    /** Ends the connection. What was written stays and is published after the next connect. */
    public suspend fun disconnect() {
        engine { inner.disconnect() }
    }

    /** Reads what is new in the mailbox; gives the number of changed rows. */
    public suspend fun pull(): Long = engine { inner.pull() }

    /** Publishes what waits; gives the number of change files that the mailbox acknowledged. */
    public suspend fun flush(): Long = engine { inner.flush() }

    /** Pulls, publishes and acknowledges. */
    public suspend fun sync() {
        engine { inner.sync() }
    }

    /**
     * Connects where that is needed and exchanges once, within the deadline: for the short time that an operating
     * system gives to an app in the background.
     */
    public suspend fun syncOnce(deadline: Duration) {
        engine { inner.syncOnce(deadline.inWholeMilliseconds) }
    }

    /**
     * Publishes and pulls everything, then writes one snapshot of all rows, so that new devices need not read every
     * change file. On a managed mesh only its server may (`WRITER_MISMATCH`).
     *
     * @param grace files that the snapshot covers are deleted by later compactions of this device, when they have been
     * covered for longer than this: a day or more, so that slow peers can still read them.
     */
    public suspend fun compact(grace: Duration = 1.days): Compaction =
        engine { inner.compact(grace.inWholeMilliseconds) }.asPublic()

    /** Marks everything that was written so far, for [awaitPublished] and [seenBy]. */
    public suspend fun writeMark(): WriteMark = WriteMark(rowCall { inner.writeMark() })

    /**
     * Returns when the mailbox has confirmed everything up to the mark.
     *
     * ```
     * notes.add(note)
     * db.awaitPublished(db.writeMark()) // from here on other devices can have it
     * ```
     *
     * It only waits: a connected database publishes by itself, others when they are told to. A write that is stuck keeps
     * it waiting, and [Status.pendingProblems] says why; one that was put into quarantine is not waited for.
     */
    public suspend fun awaitPublished(mark: WriteMark) {
        engine { inner.awaitPublished(mark.inner) }
    }

    /**
     * Whether a device has merged everything up to the mark. `true` is certain. `false` means that the device did not
     * say so yet: devices write their record seldom, when they join, when they have merged a new snapshot, and once a
     * day.
     *
     * @param deviceId its id, as [devices] tells it.
     */
    public suspend fun seenBy(deviceId: String, mark: WriteMark): Boolean = engine { inner.seenBy(deviceId, mark.inner) }

    /**
     * Tells that the mailbox has news, as a push message says. They are pulled at once; messages of the following second
     * become one more pull. While pulls fail, the retry that comes anyway is waited for. Does nothing where the database
     * does not sync by itself, or is not connected.
     */
    public fun poke() {
        engineNow { inner.poke() }
    }

    /**
     * Tells whether the device has a network. Without one nothing is tried in the background and the state is
     * [ConnectionState.OFFLINE]; when it is back an exchange follows at once. Explicit calls try in any case. Until this
     * is called there counts as being one. (On Android `follow` calls it.)
     */
    public fun setNetwork(isAvailable: Boolean) {
        engineNow { inner.setNetwork(isAvailable) }
    }

    /** Tells whether the user sees the app: in the background it polls ten times as seldom. */
    public fun setForeground(isForeground: Boolean) {
        engineNow { inner.setForeground(isForeground) }
    }

    /**
     * Lets go of every file and lock, so that the operating system may freeze the app. Returns when no lock is held
     * any more; calls answer `SUSPENDED` until [resume].
     */
    public suspend fun suspend() {
        engine { inner.suspend() }
    }

    /** Takes the files up again after [suspend], and exchanges at once where the database is connected. */
    public suspend fun resume() {
        engine { inner.resume() }
    }

    /** Ends everything and lets go of the store; flows of this database complete. Calls after it answer `SHUT_DOWN`. */
    public suspend fun shutdown() {
        engine { inner.shutdown() }
        ended.complete()
    }

    /** Runs the block, and shuts the database down after it, whatever happens. */
    public suspend inline fun <R> use(block: (Interocitor) -> R): R {
        try {
            return block(this)
        } finally {
            withContext(NonCancellable) { shutdown() }
        }
    }

    /** A table of rows of a `@Serializable` class, or of `JsonObject`. It is made by its first write. */
    public inline fun <reified T : Any> table(name: String): Table<T> = table(name, serializer<T>())

    /**
     * A table of rows that this serializer writes as objects.
     *
     * @throws InterocitorException.Rejected where it writes something else.
     */
    public fun <T : Any> table(name: String, serializer: KSerializer<T>): Table<T> {
        val codec = RowCodec(name, serializer, json)
        return Table(engineNow { inner.table(name) }, codec)
    }

    /** Names of all tables that hold or held rows. */
    public suspend fun tableNames(): List<String> = engine { inner.tableNames() }

    /**
     * All or nothing: the writes of the block are stored in one transaction when it ends, and published as one change.
     * Where it throws, nothing is written. Reads within it see its writes through [BatchTable.row] only.
     *
     * ```
     * db.batch {
     *     table<Todo>("todos").delete(id)
     *     table<Entry>("log").add(Entry("tidied up"))
     * }
     * ```
     *
     * @return what the block returns.
     */
    public suspend fun <R> batch(block: suspend Batch.() -> R): R {
        val batch = Batch(engine { inner.beginBatch() }, json)
        try {
            val result = batch.block()
            engine { batch.inner.commit() }
            return result
        } finally {
            batch.end()
        }
    }

    /**
     * Puts a file under a path of the app, such as `receipts/may.pdf`. When this returns, the content lies on this device and
     * will be uploaded, whatever happens to the source; a connected database does so by itself, others with [sync]. Files
     * are not merged: the last upload under a path wins.
     *
     * ```
     * val receipt = db.putFile("receipts/may.pdf", FileSource(File(folder, "scan.pdf")), "application/pdf")
     * ```
     *
     * @param contentType a media type; in the plain form only WebDAV keeps it.
     */
    public suspend fun putFile(path: String, source: FileSource, contentType: String? = null): FileInfo =
        engine { inner.putFile(path, source.inner, contentType) }.asPublic()

    /** Takes content over from its source for [Batch.putFile], which puts it together with the rows that name it. */
    public suspend fun stageFile(path: String, source: FileSource, contentType: String? = null): StagedFile =
        StagedFile(engine { inner.stageFile(path, source.inner, contentType) })

    /**
     * The content of a file. A copy on this device is given where the mailbox has no newer one or cannot be asked; otherwise
     * the file is downloaded, and kept as long as there is space.
     *
     * @param digest the SHA-256 that a row holds: no other content is given, and a copy on this device without asking.
     * @param prefersCache whether a copy on this device is given without asking whether it is still current.
     */
    public suspend fun getFile(path: String, digest: String? = null, prefersCache: Boolean = false): FileContent =
        FileContent(engine { inner.getFile(path, digest, prefersCache) })

    /**
     * What is known of a file, or null where there is none. In the hashed form everything lies inside the file, which is
     * downloaded for it; without a connection what this device knows is told.
     */
    public suspend fun getFileMetadata(path: String): FileInfo? = engine { inner.getFileMetadata(path) }?.asPublic()

    /**
     * Deletes a file: here at once, in the mailbox as soon as it can be reached. One that does not exist counts as deleted.
     * Rows of a batch that waited for its upload are published without it.
     */
    public suspend fun deleteFile(path: String) {
        engine { inner.deleteFile(path) }
    }

    /** The files whose paths begin with a prefix. Connected, the mailbox is listed. */
    public suspend fun listFiles(prefix: String = ""): FileListing = engine { inner.listFiles(prefix) }.asPublic()

    /** Keeps a file on this device, whatever the size of the cache, and downloads it if it is not here. */
    public suspend fun pinFile(path: String) {
        engine { inner.pinFile(path) }
    }

    /** Lets a pinned file go when the cache needs the space. */
    public suspend fun unpinFile(path: String) {
        engine { inner.unpinFile(path) }
    }

    /** Gives up the copy of a file on this device, also of a pinned one. The mailbox must have it, and keeps it. */
    public suspend fun evictFile(path: String) {
        engine { inner.evictFile(path) }
    }

    /** Stops what is to be done about a file, also across restarts, until [resumeFile]. Then it begins anew. */
    public suspend fun pauseFile(path: String) {
        engine { inner.pauseFile(path) }
    }

    /** Goes on with what is to be done about a file, at once: after a pause, or after it failed. */
    public suspend fun resumeFile(path: String) {
        engine { inner.resumeFile(path) }
    }

    /**
     * Gives up what is to be done about a file. Content that waited to be uploaded is gone; what the mailbox has stays.
     * Refused where rows of a batch wait for the upload.
     */
    public suspend fun cancelFile(path: String) {
        engine { inner.cancelFile(path) }
    }

    /** What is still to be done about files, how far it is, and why it failed. */
    public suspend fun fileTransfers(): List<FileInfo> = engine { inner.fileTransfers() }.map { it.asPublic() }

    /**
     * What [fileTransfers] gives, now and again whenever that has changed, for progress bars: at most four times in a second.
     * Completes when the database is shut down.
     */
    public val fileQueue: Flow<List<FileInfo>> get() = fileQueue(inner)

    /** Moves all files that wait, each tried once; rows that waited for them follow with the next [flush]. So does [sync]. */
    public suspend fun syncFiles(): FilesSynced = engine { inner.syncFiles() }.asPublic()

    /**
     * Puts an image: a durable file, for which all that is said of files holds.
     *
     * ```
     * db.putImage("photos/1.jpg", ImageSource(file))
     * db.putImage("icons/dot.svg", ImageSource.text("<svg xmlns=…"))
     * ```
     *
     * @param contentType a media type such as `image/heic`; where it is left out that of the data URL, `image/svg+xml` for
     * text, else what the path ends with, and `image/png` where that says nothing. One that is not an image's is refused.
     */
    public suspend fun putImage(path: String, source: ImageSource, contentType: String? = null): FileInfo =
        engine { inner.putImage(path, source.inner, contentType) }.asPublic()

    /** Takes an image over from its source for [Batch.putFile], which puts it together with the rows that name it. */
    public suspend fun stageImage(path: String, source: ImageSource, contentType: String? = null): StagedFile =
        StagedFile(engine { inner.stageImage(path, source.inner, contentType) })

    /** An image in memory, of up to 64 MiB; a larger one is refused (`LIMIT`), and shown by [getImageUrl]. */
    public suspend fun getImage(path: String): ImageContent = ImageContent(engine { inner.getImage(path) })

    /** Lays an image out in the clear, in a temporary file for a view that takes one. Close what this gives. */
    public suspend fun getImageUrl(path: String): ImageUrl = ImageUrl(engine { inner.getImageUrl(path) })

    /**
     * A small picture of an image, which fits into a square and stands upright. Made once and kept on this device; a copy of
     * the image that lies here is taken without asking whether it is still current. Made of PNG, JPEG, GIF, WebP, BMP and
     * ICO; anything else is refused (`DECODE`), and so is what would take too much memory (`LIMIT`).
     *
     * @param edge of the square, in pixels: 1 to 2048.
     */
    public suspend fun getThumbnail(path: String, edge: Int): Thumbnail =
        Thumbnail(engine { inner.getThumbnail(path, edge.coerceAtLeast(0).toUInt()) })

    /**
     * Brings a replica up to date with the main mailbox, whatever it lacks; connect first. What is there already is not
     * written again, so that a call that was given up is continued by the next. [Event.ReplicaProgress] tells how far it is.
     *
     * @param replica its name.
     * @param verifies whether what is there is read on both sides and compared, and copied again where it differs.
     */
    public suspend fun replicate(replica: String, verifies: Boolean = false): Replicated =
        engine { inner.replicate(replica, verifies) }.asPublic()

    /** How the replicas stand. */
    public suspend fun replicas(): List<ReplicaState> = engine { inner.replicas() }.map { it.asPublic() }

    /**
     * Writes all rows, with deletions, and all durable files into a folder or an archive, which can be read without this
     * library. It shows there when it is whole; where the call fails or is given up, nothing is left.
     *
     * ```
     * val exported = db.exportTo(file, ExportFormat.Archive(passphrase))
     * ```
     *
     * Rows are of one moment. Files that lie in the mailbox alone are fetched: connect first. [Event.ExportProgress] tells
     * how far it is.
     *
     * @param target must not exist yet; an empty folder may.
     */
    public suspend fun exportTo(target: File, format: ExportFormat = ExportFormat.Folder): Exported =
        engine { inner.exportTo(target.path, format.asFfi()) }.asPublic()

    /** As [exportTo]. */
    public suspend fun exportTo(target: Path, format: ExportFormat = ExportFormat.Folder): Exported =
        exportTo(target.toFile(), format)

    /**
     * Takes over an export. All of it is read and proven first, then taken over in one step, or nothing is changed
     * (`EXPORT_INVALID`, `EXPORT_NEWER`, `PASSPHRASE_WRONG`). [Event.ImportProgress] tells how far it is.
     *
     * Into a new store it is a restore: in an empty mailbox the store founds a fresh mesh under a key of its own, since an
     * export holds none; with the passphrase of the mesh that was exported it joins that again. Into a store of the same
     * mesh it is a merge, in which whatever is newer stays. One of another mesh is refused.
     *
     * @param passphrase that of the archive; of one under the key of a mesh that mesh's, unless it is this database's own.
     */
    public suspend fun importFrom(source: File, passphrase: String? = null): Imported =
        engine { inner.importFrom(source.path, passphrase) }.asPublic()

    /** As [importFrom]. */
    public suspend fun importFrom(source: Path, passphrase: String? = null): Imported =
        importFrom(source.toFile(), passphrase)

    /** The whole store: `{"meshId","epoch","generation","tables":{T:{ROW:{…}}},"tombstones":{T:[ROW]}}`. */
    public suspend fun dump(): JsonObject {
        val text = engine { inner.dump() }
        return withContext(Dispatchers.Default) { parseJson(text).jsonObject }
    }

    /**
     * Everything that happens while it is collected. A collector that falls behind is told so ([Event.Lagged]); it
     * holds up nobody. Completes when the database is shut down.
     */
    public val events: Flow<Event> get() = events(inner, ended)

    /** How things stand. */
    public suspend fun status(): Status = engine { inner.status() }.asPublic()

    /**
     * How things stand now, and again whenever that has changed: at most four times in a second, and of many changes
     * only the last. Completes when the database is shut down. With `stateIn` it is the state of a screen:
     *
     * ```
     * val status = db.statuses.stateIn(viewModelScope, SharingStarted.WhileSubscribed(), null)
     * ```
     */
    public val statuses: Flow<Status> get() = statuses(inner)

    /**
     * Looks at everything: the store's file, every row and waiting change, the clocks; and, where a mailbox is set, its
     * shape and every file in it. Takes long on large meshes.
     *
     * ```
     * for (finding in db.doctor().findings) println("${finding.place}: ${finding.meaning}; ${finding.advice}")
     * ```
     *
     * @param mends without it nothing is written anywhere. With it, what is mendable is mended, and nothing is touched
     * that any device could miss.
     */
    public suspend fun doctor(mends: Boolean = false): Diagnosis = engine { inner.doctor(mends) }.asPublic()

    /** State of the connection, always the current one. */
    public val connectionState: StateFlow<ConnectionState> get() = connectionWatch.state

    private val connectionWatch by lazy { ConnectionWatch(inner, ended) }

    /** The devices of the mesh, read from the mailbox. */
    public suspend fun devices(): List<Device> = engine { inner.devices() }.map { it.asPublic() }

    /**
     * Retires a device that will not come back: nobody waits for it any more before deletions are forgotten. If it does
     * come back, what it wrote meanwhile is published or put into quarantine.
     *
     * @param id its id, as [devices] tells it.
     */
    public suspend fun retireDevice(id: String) {
        engine { inner.retireDevice(id) }
    }

    /** Files of the mailbox that cannot be read, and writes of this device that were put aside. */
    public suspend fun quarantined(): List<QuarantinedItem> = engine { inner.quarantined() }.map { it.asPublic() }

    /**
     * Takes something out of quarantine: a write is made once more, and its row comes back with these columns; a file is
     * tried again with the next pull.
     *
     * @param name its name, as [quarantined] tells it.
     */
    public suspend fun restoreQuarantined(name: String) {
        engine { inner.restoreQuarantined(name) }
    }

    /**
     * Lets something in quarantine go: a write is forgotten for good; a file stays in the mailbox, and is not tried again
     * before its content changes.
     *
     * @param name its name, as [quarantined] tells it.
     */
    public suspend fun discardQuarantined(name: String) {
        engine { inner.discardQuarantined(name) }
    }

    /**
     * The mesh passphrase in use; null where there is none yet or the mesh is not encrypted. Treat it as what it is:
     * everything.
     */
    public fun getPassphrase(): String? = engineNow { inner.getPassphrase() }

    /**
     * Uses another passphrase from the next connect on. It is checked against the mesh there, and saved only when it
     * opens it.
     */
    public suspend fun setPassphrase(passphrase: String) {
        withContext(Dispatchers.IO) { engine { inner.setPassphrase(passphrase) } }
    }

    /** The passphrases that others took the place of, oldest first. */
    public suspend fun supersededKeys(): List<SupersededKey> = engine { inner.supersededKeys() }.map { it.asPublic() }

    /**
     * Uses such a passphrase from the next connect on, which must lead to the mesh that it was of. It is checked there,
     * and only then the two change places.
     *
     * @param id its id, as [supersededKeys] tells it.
     */
    public suspend fun restoreSupersededKey(id: String) {
        engine { inner.restoreSupersededKey(id) }
    }

    /**
     * Forgets such a passphrase for good; tells whether it was there.
     *
     * @param id its id, as [supersededKeys] tells it.
     */
    public suspend fun discardSupersededKey(id: String): Boolean = engine { inner.discardSupersededKey(id) }

    /**
     * The passphrase in use with its mesh, as the JavaScript client keeps them: `{"passphrase","deviceId","meshId"}`. As
     * secret as the passphrase.
     */
    public suspend fun exportCredentials(): String = withContext(Dispatchers.IO) { engine { inner.exportCredentials() } }

    /**
     * Takes over what [exportCredentials] or the JavaScript client wrote, from the next connect on, which checks it. The
     * device id stays this store's own.
     */
    public suspend fun importCredentials(json: String) {
        withContext(Dispatchers.IO) { engine { inner.importCredentials(json) } }
    }

    /** The key in use, to be written down, printed or shown as a QR code. */
    public suspend fun recoveryKit(): RecoveryKit =
        RecoveryKit(withContext(Dispatchers.IO) { engine { inner.recoveryKit() } })

    /**
     * Uses the key of a recovery kit from the next connect on: its text, the content of its QR code, or its words. It is
     * checked against the mesh there, and saved only when it opens it.
     */
    public suspend fun recover(text: String) {
        withContext(Dispatchers.IO) { engine { inner.recover(text) } }
    }

    /** Begins to share this device's mesh with another device, which is to scan the [Pairing.payload]. */
    public suspend fun pairShare(options: PairingOptions = PairingOptions()): Pairing =
        Pairing(engine { inner.pairShare(options.asFfi()) })

    /**
     * Asks to take part in the mesh of another device, which is to scan the [Pairing.payload]. Not while connected; the
     * mailbox must be set.
     */
    public suspend fun pairJoin(options: PairingOptions = PairingOptions()): Pairing =
        Pairing(engine { inner.pairJoin(options.asFfi()) })

    /**
     * Takes part in the pairing that another device offers, in the part that is left: takes the mesh of a device that
     * shares, and gives this one's to a device that wants to join. The mailbox of this database is used, whatever the
     * payload says of one.
     */
    public suspend fun pairScan(payload: PairingPayload, options: PairingOptions = PairingOptions()): Pairing =
        Pairing(engine { inner.pairScan(payload.inner, options.asFfi()) })

    /** Whether there is a copy of the passphrase that [restoreWithBiometrics] could open. */
    public suspend fun isSecuredWithBiometrics(): Boolean = engine { inner.isSecuredWithBiometrics() }

    /** Keeps a copy of the passphrase that only biometrics open. `reason` is shown to the user. */
    public suspend fun secureWithBiometrics(reason: String) {
        engine { inner.secureWithBiometrics(reason) }
    }

    /** Takes the passphrase from the copy that biometrics open. `reason` is shown to the user. */
    public suspend fun restoreWithBiometrics(reason: String) {
        engine { inner.restoreWithBiometrics(reason) }
    }

    /** Forgets the passphrase, here and in the credential store; rows and the copy that biometrics open are kept. */
    public suspend fun clearCredentials() {
        engine { inner.clearCredentials() }
    }

    /** Credentials of sub-stores, kept beside the rows and never synced. */
    public val connectedStores: ConnectedStores by lazy { ConnectedStores(inner.connectedStores()) }

    override fun toString(): String = "Interocitor($appName)"

    public companion object {
        /** Version of the engine. */
        public val version: String
            get() {
                Native.load()
                return dev.interocitor.ffi.libraryVersion()
            }

        /**
         * Opens the local database, making it where it is missing. Ready for local work at once; the network is not
         * touched.
         *
         * @throws InterocitorException where the store cannot be opened or the configuration is unusable.
         * @throws MissingNativeLibraryError where the app is packed without the engine's library.
         */
        public suspend fun open(configuration: Configuration): Interocitor {
            withContext(Dispatchers.IO) { Native.load() }
            val inner = engine { FfiInterocitor.open(configuration.asFfi()) }
            return Interocitor(inner, RowJson(configuration.serializersModule))
        }

        /** As [open], configured by a block. */
        public suspend inline fun open(appName: String, configure: Configuration.() -> Unit = {}): Interocitor =
            open(Configuration(appName).apply(configure))

        /**
         * Sends log lines of at least this level to the sink, or nowhere. Values, keys and passphrases are never
         * logged. Lines wait in a bounded queue for a thread of their own; where the sink is too slow, the number of
         * those that were left out is logged instead.
         */
        public fun setLogSink(sink: LogSink?, level: LogLevel = LogLevel.INFO) {
            Native.load()
            engineNow { dev.interocitor.ffi.setLogSink(sink?.let(::ForeignLogSink), level.asFfi()) }
        }

        /**
         * Moves a store that cannot be opened (`STORE_CORRUPT`) out of the way, with its log, and returns where it is
         * now. The next open starts empty and can join the mesh again.
         */
        public suspend fun setAsideStore(path: File): File {
            withContext(Dispatchers.IO) { Native.load() }
            return File(engine { dev.interocitor.ffi.setAsideStore(path.path) })
        }
    }
}
