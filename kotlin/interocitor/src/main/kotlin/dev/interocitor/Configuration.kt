package dev.interocitor

import kotlinx.serialization.modules.EmptySerializersModule
import kotlinx.serialization.modules.SerializersModule
import java.io.File
import kotlin.time.Duration
import kotlin.time.Duration.Companion.days
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.minutes
import kotlin.time.Duration.Companion.seconds
import dev.interocitor.ffi.AutoCompaction as FfiAutoCompaction
import dev.interocitor.ffi.Configuration as FfiConfiguration
import dev.interocitor.ffi.JoinPolicy as FfiJoinPolicy
import dev.interocitor.ffi.MergeRule as FfiMergeRule
import dev.interocitor.ffi.MergeStrategy as FfiMergeStrategy
import dev.interocitor.ffi.MeshConfiguration as FfiMeshConfiguration
import dev.interocitor.ffi.Publish as FfiPublish
import dev.interocitor.ffi.SchemaPolicy as FfiSchemaPolicy
import dev.interocitor.ffi.StoreEncryption as FfiStoreEncryption

/**
 * How a database is opened. Names and defaults are those of the JavaScript client where both have the option.
 * Its text never shows the passphrase.
 *
 * @property appName name of the app, for logs and peers.
 */
public class Configuration(public val appName: String) {
    /** The store's file; made where it is missing, its folder is not. Null: in memory, gone with the database. */
    public var path: File? = null

    /**
     * How the local file is encrypted; null: not, and it is as safe as the device keeps it. Needs [credentials] for the
     * key, and a native library that was built with it; otherwise `INVALID_ARGUMENT`. A file in another form is converted
     * when it is opened.
     */
    public var storeEncryption: StoreEncryption? = null

    /** The mesh's folder in the mailbox, `/Todo`; null: local only. */
    public var remotePath: String? = null

    /** The mesh's passphrase; null: from the credential store, else made when a mesh is founded. */
    public var passphrase: String? = null

    /** Whether the mesh is encrypted. */
    public var encrypted: Boolean = true

    /** Where passphrase and mesh id are kept between runs; null: nowhere. */
    public var credentials: CredentialStore? = null

    /** How biometrics guard a second copy of the passphrase; null: not at all. */
    public var biometrics: BiometricPrompt? = null

    /** Fixes the device id; null: one is made for this store. */
    public var deviceId: String? = null

    /** Name of this device, shown to peers; it is not encrypted. */
    public var deviceName: String? = null

    /** `ios`, `android`, `desktop`, `web`, `worker` or `tv`. */
    public var deviceType: String? = null

    /** Whether a mesh founded by this device lets only [serverId] compact. */
    public var serverManaged: Boolean = false

    /** Who writes manifests; on a managed mesh all participants configure the same. */
    public var serverId: String = "server_relay_1"

    /**
     * Tables, indexes and merge strategies that the app declares, as JSON:
     * `{"version":1,"tables":{"todos":{"fields":{"done":{"kind":"boolean","index":true}}}}}`.
     */
    public var schema: String? = null

    /** What to do when the app declares a greater schema version than the mesh has. */
    public var schemaPolicy: SchemaPolicy = SchemaPolicy.EXACT

    /** How values merge where neither the schema's field nor its table says so. */
    public var mergeStrategy: MergeStrategy = MergeStrategy.LAST_WRITER_WINS

    /** What to do with local rows when the mailbox holds another mesh. */
    public var joinPolicy: JoinPolicy = JoinPolicy.RESET_TO_REMOTE

    /** What travels when a row changes. */
    public var publish: Publish = Publish.FULL_ROWS

    /** Every commit waits for the disk instead of the write-ahead log only. */
    public var fullDurability: Boolean = false

    /** Single writes within this time are published as one batch; zero: each by itself. */
    public var batchWindow: Duration = 1.seconds

    /** How long after the last write a flush starts by itself. */
    public var flushDebounce: Duration = 2.seconds

    /** So many batches since the last flush start one at once. */
    public var flushThreshold: Int = 50

    /** Time between polls of an idle mailbox. */
    public var pollInterval: Duration = 30.seconds

    /** Deadline of each stage of a connect. */
    public var connectStageTimeout: Duration = 15_000.milliseconds

    /** Whether a connected database polls and flushes by itself. */
    public var autoSync: Boolean = true

    /** When a database that syncs by itself compacts, too; null: never. */
    public var autoCompact: AutoCompaction? = AutoCompaction()

    /** How durable files are written into the mailbox; null: as the mesh does already. Both forms are read. */
    public var fileForm: FileForm? = null

    /** The longest durable file, in bytes. */
    public var maxFileBytes: Long = 5_000_000_000

    /** How many bytes of durable files stay on this device although the mailbox has them, pinned ones not counted. */
    public var fileCacheBytes: Long = 256L * 1024 * 1024

    /**
     * Further mailboxes that are written to and never read for merging. Databases and processes that share a store configure
     * the same ones.
     */
    public var replicas: List<Replica> = emptyList()

    /** Serializers for contextual and polymorphic columns. */
    public var serializersModule: SerializersModule = EmptySerializersModule()

    private val mergeRules = mutableListOf<FfiMergeRule>()

    /** Merges a column of a table by a function of the app; without a column, all that have no rule of their own. */
    public fun merge(table: String, field: String? = null, function: MergeFunction) {
        mergeRules += FfiMergeRule(table, field, ForeignMergeFunction(function))
    }

    override fun toString(): String = "Configuration(appName=$appName, path=$path, remotePath=$remotePath)"

    internal fun asFfi() = FfiConfiguration(
        appName = appName,
        path = path?.path,
        storeEncryption = storeEncryption?.asFfi(),
        remotePath = remotePath,
        passphrase = passphrase,
        encrypted = encrypted,
        credentials = credentials?.asFfi(),
        biometrics = biometrics?.let(::ForeignBiometricPrompt),
        deviceId = deviceId,
        deviceName = deviceName,
        deviceType = deviceType,
        serverManaged = serverManaged,
        serverId = serverId,
        schema = schema,
        schemaPolicy = schemaPolicy.ffi,
        merge = mergeStrategy.ffi,
        mergeRules = mergeRules.toList(),
        joinPolicy = joinPolicy.ffi,
        publish = publish.ffi,
        fullDurability = fullDurability,
        batchWindowMs = batchWindow.inWholeMilliseconds,
        flushDebounceMs = flushDebounce.inWholeMilliseconds,
        flushThreshold = number("flushThreshold", flushThreshold),
        pollIntervalMs = pollInterval.inWholeMilliseconds,
        connectStageTimeoutMs = connectStageTimeout.inWholeMilliseconds,
        autoSync = autoSync,
        autoCompact = autoCompact?.asFfi() ?: FfiAutoCompaction(enabled = false),
        fileForm = fileForm?.ffi,
        maxFileBytes = maxFileBytes,
        fileCacheBytes = fileCacheBytes,
        replicas = replicas.map { it.asFfi() },
    )
}

internal fun number(name: String, given: Int): UInt =
    if (given < 0) throw invalid("$name is below zero; give a number of 0 or more") else given.toUInt()

/**
 * How the local file is encrypted: as a whole, with a random key in the credential store.
 *
 * @property plaintextHeader whether the first 32 bytes, which hold nothing of the rows, stay readable: iOS needs it where
 * an app shares its store with extensions.
 */
public data class StoreEncryption(val plaintextHeader: Boolean = false) {
    internal fun asFfi() = FfiStoreEncryption(plaintextHeader)
}

/**
 * When a device compacts by itself: after a burst of batches, drawn by lot from all devices, or some time after the last
 * batch. Never beside clients of another kind, whose files it might delete too early, nor on a managed mesh that another
 * device compacts.
 *
 * @property batches so many batches published at once make a compaction follow.
 * @property compactors of all devices about so many compact after such a flush.
 * @property firstDelay from the last batch to the count of the change files.
 * @property secondDelay from the count to the compaction.
 * @property jitter how much sooner or later each of the two may be.
 * @property changeFiles up to so many change files need no compaction.
 * @property grace how long covered files are kept for slow peers.
 */
public data class AutoCompaction(
    val batches: Int = 50,
    val compactors: Int = 10,
    val firstDelay: Duration = 10.minutes,
    val secondDelay: Duration = 15.minutes,
    val jitter: Duration = 5.minutes,
    val changeFiles: Long = 2,
    val grace: Duration = 1.days,
) {
    internal fun asFfi() = FfiAutoCompaction(
        batches = number("autoCompact.batches", batches),
        compactors = number("autoCompact.compactors", compactors),
        firstDelayMs = firstDelay.inWholeMilliseconds,
        secondDelayMs = secondDelay.inWholeMilliseconds,
        jitterMs = jitter.inWholeMilliseconds,
        changeFiles = changeFiles,
        graceMs = grace.inWholeMilliseconds,
    )
}

/**
 * Which mesh a device is to take part in. Its text never shows the passphrase.
 *
 * @property remotePath the mesh's folder in the mailbox.
 * @property passphrase its passphrase, where it is known.
 * @property encrypted whether it is encrypted.
 */
public class MeshConfiguration(
    public val remotePath: String,
    public val passphrase: String? = null,
    public val encrypted: Boolean = true,
) {
    override fun toString(): String = "MeshConfiguration(remotePath=$remotePath, encrypted=$encrypted)"

    internal fun asFfi() = FfiMeshConfiguration(remotePath, passphrase, encrypted)
}

/** What a device does whose app declares a greater schema version than the mesh. */
public enum class SchemaPolicy(internal val ffi: FfiSchemaPolicy) {
    /** It refuses to connect. */
    EXACT(FfiSchemaPolicy.EXACT),

    /** It connects; its next compaction raises the mesh's number. */
    MIGRATE(FfiSchemaPolicy.MIGRATE),
}

/** How two values of one column become one. */
public enum class MergeStrategy(internal val ffi: FfiMergeStrategy) {
    /** The later write wins. */
    LAST_WRITER_WINS(FfiMergeStrategy.LAST_WRITER_WINS),

    /** As the JavaScript client documents it: the later write wins with a fixed rule for ties. */
    REMOTE_WINS(FfiMergeStrategy.REMOTE_WINS),

    /** As the JavaScript client documents it: the later write wins with a fixed rule for ties. */
    LOCAL_WINS(FfiMergeStrategy.LOCAL_WINS),
}

/** What a device does whose store belongs to another mesh than the mailbox. */
public enum class JoinPolicy(internal val ffi: FfiJoinPolicy) {
    /** The local rows make way for those of the mailbox; a copy of the store is kept beside it. */
    RESET_TO_REMOTE(FfiJoinPolicy.RESET_TO_REMOTE),

    /** The local rows are kept and published into the mailbox's mesh. */
    MERGE_WITH_REMOTE(FfiJoinPolicy.MERGE_WITH_REMOTE),
}

/** What travels when a row changes. */
public enum class Publish(internal val ffi: FfiPublish) {
    /** The whole row with the clocks of its columns. */
    FULL_ROWS(FfiPublish.FULL_ROWS),

    /** Only the written columns: for meshes where older JavaScript clients use `remote-wins`. */
    CHANGED_COLUMNS(FfiPublish.CHANGED_COLUMNS),
}
