package dev.interocitor

import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.jsonObject
import kotlin.time.Instant
import dev.interocitor.ffi.Background as FfiBackground
import dev.interocitor.ffi.Compaction as FfiCompaction
import dev.interocitor.ffi.Connection as FfiConnection
import dev.interocitor.ffi.ConnectionState as FfiConnectionState
import dev.interocitor.ffi.Device as FfiDevice
import dev.interocitor.ffi.Operation as FfiOperation
import dev.interocitor.ffi.Phase as FfiPhase
import dev.interocitor.ffi.Problem as FfiProblem
import dev.interocitor.ffi.QuarantinedItem as FfiQuarantinedItem
import dev.interocitor.ffi.QuarantinedWrite as FfiQuarantinedWrite
import dev.interocitor.ffi.Status as FfiStatus
import dev.interocitor.ffi.WriteMark as FfiWriteMark

/** State of the connection. */
public enum class ConnectionState {
    /** Not connected: local work goes on. */
    OFFLINE,

    /** Connecting. */
    CONNECTING,

    /** Exchanging changes. */
    SYNCING,

    /** Connected, nothing to do. */
    IDLE,
}

/** How a connect ended. */
public sealed interface Connection {
    /** Connected, and up to date at that moment. */
    public data object Online : Connection

    /**
     * The mailbox cannot be used now. Local work goes on; a database that syncs by itself tries again.
     *
     * @property stage how far the connect came.
     * @property code stable code of the reason; see [ErrorCode].
     * @property reason what happened and what to do.
     */
    public data class Offline(val stage: String, val code: String, val reason: String) : Connection
}

/** How a compaction ended. */
public sealed interface Compaction {
    /**
     * A new snapshot is in force.
     *
     * @property epoch its epoch.
     * @property rows rows in it, deleted ones included.
     * @property covered change files that it covers.
     * @property deleted files deleted from the mailbox, since they were covered for longer than the grace.
     */
    public data class Written(val epoch: Long, val rows: Long, val covered: Long, val deleted: Long) : Compaction

    /** Another device compacted at the same time; nothing was changed. */
    public data object Overtaken : Compaction
}

/**
 * A failure that was met in the background.
 *
 * @property code stable code; see [ErrorCode].
 * @property reason what happened and what to do.
 */
public data class Problem(val code: String, val reason: String)

/**
 * Everything that was written to a store up to a moment, as [Interocitor.writeMark] gives it. Good for every handle of
 * that store until the process ends.
 */
public class WriteMark internal constructor(internal val inner: FfiWriteMark)

/** Who exchanges with the mailbox in the background, where several processes have the store open: one does it for all. */
public enum class Background {
    /** This handle. */
    HERE,

    /** Another process, or another handle of this one. */
    ELSEWHERE,

    /** Nobody, as far as the store knows: what is written waits until somebody does. */
    NOWHERE,
}

/** A part of an exchange. */
public enum class Phase {
    /** Reading who is there and whether the key fits. */
    CONNECTING,

    /** Reading change files. */
    PULLING,

    /** Reading a snapshot. */
    RESTORING,

    /** Writing change files. */
    PUBLISHING,
}

/**
 * How far a part of an exchange has come. Totals are given where they are known.
 *
 * @property phase which part it is.
 * @property files files read or written.
 * @property filesTotal files in all.
 * @property rows rows that changed here.
 * @property bytes bytes read or written.
 * @property bytesTotal bytes in all.
 */
public data class Operation(
    val phase: Phase,
    val files: Long,
    val filesTotal: Long?,
    val rows: Long,
    val bytes: Long,
    val bytesTotal: Long?,
) {
    /** How much of it is done, from 0 to 1, for a progress bar; null where that is not known. */
    val fraction: Float?
        get() {
            val (done, total) = bytesTotal?.let { bytes to it } ?: filesTotal?.let { files to it } ?: return null
            return if (total > 0) (done.toFloat() / total).coerceAtMost(1f) else null
        }
}

/**
 * A true picture of the database at one moment.
 *
 * @property connection state of the connection.
 * @property hasNetwork whether the device has a network, as far as [Interocitor.setNetwork] was told.
 * @property background who exchanges in the background.
 * @property operation what goes on with the mailbox just now.
 * @property problem the last failure since the last success.
 * @property meshId mesh that the store belongs to.
 * @property deviceId id of this device.
 * @property remotePath folder of the mesh in the mailbox.
 * @property isEncrypted whether the mesh is encrypted.
 * @property epoch epoch of the snapshot that was adopted last.
 * @property generation highest manifest generation seen.
 * @property pendingCount batches that wait to be published, or rows of a store that never belonged to a mesh.
 * @property pendingSince when the oldest batch was opened: its age tells how long nothing could be published.
 * @property pendingProblems why batches could not be published when it was last tried.
 * @property pendingFiles files that wait to be uploaded, downloaded or deleted.
 * @property failedFiles those of them that cannot succeed as they are; [Interocitor.fileTransfers] says why.
 * @property quarantined how much is in quarantine.
 * @property quarantinedItems the first hundred of it, with the reason.
 * @property lastSync when the mailbox last confirmed every step of an exchange: up to there everything here is in the
 * mailbox, and everything there is here.
 */
public data class Status(
    val connection: ConnectionState,
    val hasNetwork: Boolean,
    val background: Background,
    val operation: Operation?,
    val problem: Problem?,
    val meshId: String?,
    val deviceId: String,
    val remotePath: String?,
    val isEncrypted: Boolean,
    val epoch: Long,
    val generation: Long,
    val pendingCount: Long,
    val pendingSince: Instant?,
    val pendingProblems: List<String>,
    val pendingFiles: Long,
    val failedFiles: Long,
    val quarantined: Long,
    val quarantinedItems: List<QuarantinedItem>,
    val lastSync: Instant?,
)

/**
 * A device of the mesh, as it describes itself.
 *
 * @property id its id.
 * @property name its name, if it has one.
 * @property type `ios`, `android`, `desktop`, `web`, …
 * @property lastSeen when it last wrote its record.
 * @property observedEpoch epoch of the snapshot that it has merged.
 * @property isRetired whether it was retired.
 * @property isThisDevice whether it is this device.
 */
public data class Device(
    val id: String,
    val name: String?,
    val type: String?,
    val lastSeen: Instant?,
    val observedEpoch: Long?,
    val isRetired: Boolean,
    val isThisDevice: Boolean,
)

/**
 * Something in quarantine: a file of the mailbox that cannot be read, which is tried again by itself, or a write of this
 * device that was not published, since its row was deleted for good elsewhere meanwhile.
 *
 * @property name of a file its name below the mesh's folder, of a write `writes/…`.
 * @property code stable code of the fault: `DECODE` mostly, `ROW_DELETED` for a write.
 * @property reason what is wrong with it.
 * @property first when it was first met.
 * @property last when it was last tried.
 * @property tries how often it was tried.
 * @property write the write, where it is one.
 */
public data class QuarantinedItem(
    val name: String,
    val code: String,
    val reason: String,
    val first: Instant,
    val last: Instant,
    val tries: Long,
    val write: QuarantinedWrite?,
)

/**
 * A write in quarantine: what was set on a row that is gone.
 *
 * @property table the table.
 * @property rowId the row.
 * @property columns the columns that were set.
 */
public data class QuarantinedWrite(val table: String, val rowId: String, val columns: JsonObject)

internal fun instant(ms: Long) = Instant.fromEpochMilliseconds(ms)

internal fun FfiConnectionState.asPublic(): ConnectionState = when (this) {
    FfiConnectionState.OFFLINE -> ConnectionState.OFFLINE
    FfiConnectionState.CONNECTING -> ConnectionState.CONNECTING
    FfiConnectionState.SYNCING -> ConnectionState.SYNCING
    FfiConnectionState.IDLE -> ConnectionState.IDLE
}

internal fun FfiConnection.asPublic(): Connection = when (this) {
    is FfiConnection.Online -> Connection.Online
    is FfiConnection.Offline -> Connection.Offline(stage, code, reason)
}

internal fun FfiCompaction.asPublic(): Compaction = when (this) {
    is FfiCompaction.Written -> Compaction.Written(epoch, rows, covered, deleted)
    is FfiCompaction.Overtaken -> Compaction.Overtaken
}

internal fun FfiProblem.asPublic(): Problem = Problem(code, reason)

private fun FfiBackground.asPublic() = when (this) {
    FfiBackground.HERE -> Background.HERE
    FfiBackground.ELSEWHERE -> Background.ELSEWHERE
    FfiBackground.NOWHERE -> Background.NOWHERE
}

private fun FfiPhase.asPublic() = when (this) {
    FfiPhase.CONNECTING -> Phase.CONNECTING
    FfiPhase.PULLING -> Phase.PULLING
    FfiPhase.RESTORING -> Phase.RESTORING
    FfiPhase.PUBLISHING -> Phase.PUBLISHING
}

private fun FfiOperation.asPublic() = Operation(phase.asPublic(), files, filesTotal, rows, bytes, bytesTotal)

internal fun FfiStatus.asPublic(): Status = Status(
    connection = connection.asPublic(),
    hasNetwork = hasNetwork,
    background = background.asPublic(),
    operation = operation?.asPublic(),
    problem = problem?.asPublic(),
    meshId = meshId,
    deviceId = deviceId,
    remotePath = remotePath,
    isEncrypted = encrypted,
    epoch = epoch,
    generation = generation,
    pendingCount = pendingCount,
    pendingSince = pendingSinceMs?.let(::instant),
    pendingProblems = pendingProblems,
    pendingFiles = pendingFiles,
    failedFiles = failedFiles,
    quarantined = quarantined,
    quarantinedItems = quarantinedItems.map { it.asPublic() },
    lastSync = lastSyncMs?.let(::instant),
)

internal fun FfiDevice.asPublic(): Device = Device(
    id = deviceId,
    name = name,
    type = deviceType,
    lastSeen = lastSeenMs?.let(::instant),
    observedEpoch = observedEpoch,
    isRetired = retired,
    isThisDevice = isThisDevice,
)

internal fun FfiQuarantinedItem.asPublic(): QuarantinedItem =
    QuarantinedItem(name, code, reason, instant(firstMs), instant(lastMs), tries, write?.asPublic())

private fun FfiQuarantinedWrite.asPublic() = QuarantinedWrite(table, rowId, parseJson(columns).jsonObject)
