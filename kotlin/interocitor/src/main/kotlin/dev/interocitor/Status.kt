package dev.interocitor

import kotlin.time.Instant
import dev.interocitor.ffi.Connection as FfiConnection
import dev.interocitor.ffi.ConnectionState as FfiConnectionState
import dev.interocitor.ffi.Device as FfiDevice
import dev.interocitor.ffi.Problem as FfiProblem
import dev.interocitor.ffi.QuarantinedFile as FfiQuarantinedFile
import dev.interocitor.ffi.Status as FfiStatus

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

/**
 * A failure that was met in the background.
 *
 * @property code stable code; see [ErrorCode].
 * @property reason what happened and what to do.
 */
public data class Problem(val code: String, val reason: String)

/**
 * A true picture of the database at one moment.
 *
 * @property connection state of the connection.
 * @property problem the last failure since the last success.
 * @property meshId mesh that the store belongs to.
 * @property deviceId id of this device.
 * @property remotePath folder of the mesh in the mailbox.
 * @property isEncrypted whether the mesh is encrypted.
 * @property epoch epoch of the snapshot that was adopted last.
 * @property generation highest manifest generation seen.
 * @property pendingCount batches that wait to be published, or rows of a store that never belonged to a mesh.
 * @property pendingSince when the oldest of them was opened.
 * @property pendingProblems why batches could not be published when it was last tried.
 * @property quarantined files of the mailbox that cannot be read.
 * @property lastSync when the mailbox last confirmed every step of an exchange.
 */
public data class Status(
    val connection: ConnectionState,
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
    val quarantined: Long,
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
 * A file of the mailbox that cannot be read. It is tried again by itself.
 *
 * @property name name below the mesh's folder.
 * @property code stable code of the fault.
 * @property reason what is wrong with it.
 * @property first when it was first met.
 * @property last when it was last tried.
 * @property tries how often it was tried.
 */
public data class QuarantinedFile(
    val name: String,
    val code: String,
    val reason: String,
    val first: Instant,
    val last: Instant,
    val tries: Long,
)

private fun instant(ms: Long) = Instant.fromEpochMilliseconds(ms)

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

private fun FfiProblem.asPublic() = Problem(code, reason)

internal fun FfiStatus.asPublic(): Status = Status(
    connection = connection.asPublic(),
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
    quarantined = quarantined,
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

internal fun FfiQuarantinedFile.asPublic(): QuarantinedFile =
    QuarantinedFile(name, code, reason, instant(firstMs), instant(lastMs), tries)
