package dev.interocitor

import kotlin.time.Duration
import kotlin.time.Duration.Companion.milliseconds
import dev.interocitor.ffi.Event as FfiEvent

/**
 * Something that happened. Never holds values, keys or passphrases. Newer engines may tell more: give a `when` an
 * `else`.
 */
public sealed interface Event {
    /**
     * Rows have new values or came to life.
     *
     * @property table the table.
     * @property rowIds the rows.
     */
    public data class Change(val table: String, val rowIds: List<String>) : Event

    /**
     * Rows were deleted.
     *
     * @property table the table.
     * @property rowIds the rows.
     */
    public data class Delete(val table: String, val rowIds: List<String>) : Event

    /** This listener fell behind: read again what you show. */
    public data object Lagged : Event

    /** A pull began. */
    public data object SyncStart : Event

    /**
     * A pull ended; so many rows changed.
     *
     * @property entriesMerged so many rows changed.
     */
    public data class SyncComplete(val entriesMerged: Long) : Event

    /**
     * A pull failed.
     *
     * @property code stable code; see [ErrorCode].
     * @property reason what happened.
     */
    public data class SyncError(val code: String, val reason: String) : Event

    /**
     * Publishing began, with so many batches.
     *
     * @property entryCount so many batches.
     */
    public data class FlushStart(val entryCount: Long) : Event

    /**
     * So many change files are in the mailbox, and so many batches still wait.
     *
     * @property published change files that are in the mailbox.
     * @property waiting batches that still wait.
     */
    public data class FlushProgress(val published: Long, val waiting: Long) : Event

    /** Publishing ended. */
    public data object FlushComplete : Event

    /**
     * Publishing failed; what is left waits.
     *
     * @property code stable code; see [ErrorCode].
     * @property reason what happened.
     */
    public data class FlushError(val code: String, val reason: String) : Event

    /**
     * A snapshot is being adopted.
     *
     * @property epoch the epoch of the snapshot.
     */
    public data class RehydrateStart(val epoch: Long) : Event

    /**
     * A snapshot was adopted.
     *
     * @property rowCount so many rows.
     */
    public data class RehydrateComplete(val rowCount: Long) : Event

    /**
     * The state of the connection changed.
     *
     * @property state the new state.
     */
    public data class ConnectionChanged(val state: ConnectionState) : Event

    /**
     * A connect found this mesh.
     *
     * @property remotePath the mesh's folder in the mailbox.
     * @property deviceId the device.
     * @property localEpoch the epoch here.
     * @property remoteEpoch the epoch in the mailbox.
     * @property meshId the mesh.
     * @property encrypted whether bodies are encrypted.
     */
    public data class ConnectState(
        val remotePath: String,
        val deviceId: String,
        val localEpoch: Long,
        val remoteEpoch: Long,
        val meshId: String,
        val encrypted: Boolean,
    ) : Event

    /**
     * A connect had nothing to do.
     *
     * @property cause why.
     */
    public data class ConnectNoop(val cause: String) : Event

    /**
     * A connect failed at this stage.
     *
     * @property stage how far it came.
     * @property code stable code; see [ErrorCode].
     * @property reason what happened.
     */
    public data class ConnectError(val stage: String, val code: String, val reason: String) : Event

    /**
     * The store changes to another mesh.
     *
     * @property previousMeshId the former mesh.
     * @property nextMeshId the new mesh.
     * @property policy `reset-to-remote` or `merge-with-remote`.
     * @property localRowCount rows that were here.
     * @property queuedChangeCount changes that waited.
     */
    public data class JoinExistingMesh(
        val previousMeshId: String,
        val nextMeshId: String,
        val policy: String,
        val localRowCount: Long,
        val queuedChangeCount: Long,
    ) : Event

    /**
     * A connection ended.
     *
     * @property cause why.
     */
    public data class TransportTeardown(val cause: String) : Event

    /** The mailbox is asked for access. */
    public data object AuthRequired : Event

    /** The mailbox gave access. */
    public data object AuthComplete : Event

    /**
     * A mesh was configured.
     *
     * @property deviceId the device.
     * @property encrypted whether bodies are encrypted.
     * @property hadPassphrase whether a passphrase was among it.
     */
    public data class MeshConfigured(val deviceId: String, val encrypted: Boolean, val hadPassphrase: Boolean) : Event

    /**
     * It is settled how bodies are encrypted.
     *
     * @property strategy how that was settled.
     * @property encrypted whether bodies are encrypted.
     */
    public data class EncryptionResolved(val strategy: String, val encrypted: Boolean) : Event

    /**
     * Credentials were taken from where they are kept.
     *
     * @property source where from.
     * @property deviceIdChanged whether this device has another id now.
     * @property hadPassphrase whether a passphrase was among it.
     */
    public data class CredentialsRestored(
        val source: String,
        val deviceIdChanged: Boolean,
        val hadPassphrase: Boolean,
    ) : Event

    /**
     * Credentials were saved.
     *
     * @property deviceId the device.
     * @property encrypted whether bodies are encrypted.
     */
    public data class CredentialsPersisted(val deviceId: String, val encrypted: Boolean) : Event

    /**
     * The saved credentials were written by another copy of the store.
     *
     * @property storedDeviceId the device that saved them.
     * @property activeDeviceId this device.
     */
    public data class CredentialsConflict(val storedDeviceId: String, val activeDeviceId: String) : Event

    /**
     * The saved credentials belong to another mesh.
     *
     * @property storedMeshId the mesh that they open.
     * @property activeMeshId the mesh in use.
     */
    public data class CredentialsMeshMismatch(val storedMeshId: String, val activeMeshId: String) : Event

    /**
     * A file could not be read; it is in quarantine and sync goes on.
     *
     * @property path the file.
     * @property reason what happened.
     */
    public data class DecodeError(val path: String, val reason: String) : Event

    /**
     * A write was not published: its row was deleted for good elsewhere. It waits in quarantine.
     *
     * @property table the table.
     * @property rowId the row.
     */
    public data class WriteQuarantined(val table: String, val rowId: String) : Event

    /**
     * The app and the mesh have different schema versions.
     *
     * @property localVersion the app's version.
     * @property remoteVersion the mesh's version.
     */
    public data class SchemaMismatch(val localVersion: Long, val remoteVersion: Long) : Event

    /**
     * A clock is further from the wall clock than five minutes.
     *
     * @property device whose clock it is.
     * @property ahead how far it is ahead.
     */
    public data class ClockSkew(val device: String, val ahead: Duration) : Event

    /**
     * Two values met under one clock; the greater one was kept.
     *
     * @property table the table.
     * @property rowId the row.
     * @property field the column.
     */
    public data class MergeTie(val table: String, val rowId: String, val field: String) : Event

    /**
     * A peer's row holds a value that is unique here.
     *
     * @property table the table.
     * @property rowId the row.
     * @property field the column.
     */
    public data class UniqueDuplicate(val table: String, val rowId: String, val field: String) : Event

    /**
     * The mailbox shows an older state than was seen before.
     *
     * @property knownGeneration the generation seen before.
     * @property generation the generation shown.
     * @property knownEpoch the epoch seen before.
     * @property epoch the epoch of the snapshot.
     */
    public data class RemoteRollback(
        val knownGeneration: Long,
        val generation: Long,
        val knownEpoch: Long,
        val epoch: Long,
    ) : Event

    /**
     * Something that must be in the mailbox is not: the snapshot at [path], or the change files of [device] from [first]
     * to [last], missing for a day although later ones are there.
     *
     * @property path where the snapshot should be.
     * @property device whose change files are missing.
     * @property first the number of the first of them.
     * @property last the number of the last of them.
     */
    public data class RemoteWithheld(val path: String?, val device: String?, val first: Long, val last: Long) : Event

    /**
     * Another client had put an older or another mesh in the place of ours; ours is in force again.
     *
     * @property generation the generation that is in force.
     * @property foundGeneration the generation that was found.
     */
    public data class RemoteRepaired(val generation: Long, val foundGeneration: Long) : Event

    /**
     * The mailbox refused or failed; tried again after the wait.
     *
     * @property code stable code; see [ErrorCode].
     * @property reason what happened.
     * @property retryIn the wait.
     */
    public data class RemoteAccess(val code: String, val reason: String, val retryIn: Duration) : Event

    /**
     * A pairing code is ready to be scanned.
     *
     * @property intent what the device that shows the code wants.
     */
    public data class PairingWaiting(val intent: PairingIntent) : Event

    /**
     * The other device of a pairing is there.
     *
     * @property intent what the device that shows the code wants.
     */
    public data class PairingScanned(val intent: PairingIntent) : Event

    /**
     * The mesh's credential lies in the mailbox, for the other device alone.
     *
     * @property intent what the device that shows the code wants.
     */
    public data class PairingSent(val intent: PairingIntent) : Event

    /**
     * The device that wanted the credential has it: both are done.
     *
     * @property intent what the device that shows the code wants.
     */
    public data class PairingReceived(val intent: PairingIntent) : Event

    /**
     * A file or what is to be done about it is in another state.
     *
     * @property path the file.
     * @property isHere whether its content lies on this device.
     * @property kind what is to be done; null where nothing is.
     * @property state where that stands; null where nothing is to be done.
     */
    public data class FileState(
        val path: String,
        val isHere: Boolean,
        val kind: TransferKind?,
        val state: TransferState?,
    ) : Event

    /**
     * The transfer of a file moves on, told at most four times a second.
     *
     * @property path the file.
     * @property bytes bytes on their way so far; encrypted ones, about a third more than the file has.
     * @property bytesTotal bytes in all, where that is known.
     */
    public data class FileProgress(val path: String, val bytes: Long, val bytesTotal: Long?) : Event

    /**
     * The transfer of a file failed.
     *
     * @property path the file.
     * @property code stable code; see [ErrorCode].
     * @property reason what happened.
     * @property retryIn the wait before the next try; null: as it is there is none.
     */
    public data class FileError(val path: String, val code: String, val reason: String, val retryIn: Duration?) : Event

    /**
     * A replica is being brought up to date, told at most four times a second.
     *
     * @property replica its name.
     * @property files files that it has so far.
     * @property filesTotal files that it should have.
     * @property bytes bytes written.
     */
    public data class ReplicaProgress(val replica: String, val files: Long, val filesTotal: Long, val bytes: Long) : Event

    /**
     * A replica was brought up to date.
     *
     * @property replica its name.
     * @property files files that it has.
     * @property copied those of them that were written now.
     * @property bytes bytes written.
     */
    public data class ReplicaComplete(val replica: String, val files: Long, val copied: Long, val bytes: Long) : Event

    /**
     * A replica could not be written to; the main mailbox is not concerned.
     *
     * @property replica its name.
     * @property code stable code; see [ErrorCode].
     * @property reason what happened.
     * @property isRetryable whether it may succeed later by itself.
     * @property retryIn the wait before what it lacks is caught up; null: that is done with the next exchange.
     */
    public data class ReplicaError(
        val replica: String,
        val code: String,
        val reason: String,
        val isRetryable: Boolean,
        val retryIn: Duration?,
    ) : Event

    /**
     * An export moves on, told at most four times a second.
     *
     * @property rows rows so far.
     * @property files durable files so far.
     * @property bytes bytes so far.
     */
    public data class ExportProgress(val rows: Long, val files: Long, val bytes: Long) : Event

    /**
     * An import moves on, told at most four times a second.
     *
     * @property rows rows so far.
     * @property files durable files so far.
     * @property bytes bytes so far.
     */
    public data class ImportProgress(val rows: Long, val files: Long, val bytes: Long) : Event

    /**
     * Anything else: the name and the whole event as JSON.
     *
     * @property name the name of the event.
     * @property json the whole event.
     */
    public data class Other(val name: String, val json: String) : Event
}

internal fun FfiEvent.asPublic(): Event = when (this) {
    is FfiEvent.Change -> Event.Change(table, rowIds)
    is FfiEvent.Delete -> Event.Delete(table, rowIds)
    is FfiEvent.Lagged -> Event.Lagged
    is FfiEvent.SyncStart -> Event.SyncStart
    is FfiEvent.SyncComplete -> Event.SyncComplete(entriesMerged)
    is FfiEvent.SyncError -> Event.SyncError(code, reason)
    is FfiEvent.FlushStart -> Event.FlushStart(entryCount)
    is FfiEvent.FlushProgress -> Event.FlushProgress(published, waiting)
    is FfiEvent.FlushComplete -> Event.FlushComplete
    is FfiEvent.FlushError -> Event.FlushError(code, reason)
    is FfiEvent.RehydrateStart -> Event.RehydrateStart(epoch)
    is FfiEvent.RehydrateComplete -> Event.RehydrateComplete(rowCount)
    is FfiEvent.ConnectionChanged -> Event.ConnectionChanged(state.asPublic())
    is FfiEvent.ConnectState -> Event.ConnectState(remotePath, deviceId, localEpoch, remoteEpoch, meshId, encrypted)
    is FfiEvent.ConnectNoop -> Event.ConnectNoop(cause)
    is FfiEvent.ConnectError -> Event.ConnectError(stage, code, reason)
    is FfiEvent.JoinExistingMesh ->
        Event.JoinExistingMesh(previousMeshId, nextMeshId, policy, localRowCount, queuedChangeCount)
    is FfiEvent.TransportTeardown -> Event.TransportTeardown(cause)
    is FfiEvent.AuthRequired -> Event.AuthRequired
    is FfiEvent.AuthComplete -> Event.AuthComplete
    is FfiEvent.MeshConfigured -> Event.MeshConfigured(deviceId, encrypted, hadPassphrase)
    is FfiEvent.EncryptionResolved -> Event.EncryptionResolved(strategy, encrypted)
    is FfiEvent.CredentialsRestored -> Event.CredentialsRestored(source, deviceIdChanged, hadPassphrase)
    is FfiEvent.CredentialsPersisted -> Event.CredentialsPersisted(deviceId, encrypted)
    is FfiEvent.CredentialsConflict -> Event.CredentialsConflict(storedDeviceId, activeDeviceId)
    is FfiEvent.CredentialsMeshMismatch -> Event.CredentialsMeshMismatch(storedMeshId, activeMeshId)
    is FfiEvent.DecodeError -> Event.DecodeError(path, reason)
    is FfiEvent.WriteQuarantined -> Event.WriteQuarantined(table, rowId)
    is FfiEvent.SchemaMismatch -> Event.SchemaMismatch(localVersion, remoteVersion)
    is FfiEvent.ClockSkew -> Event.ClockSkew(device, aheadMs.milliseconds)
    is FfiEvent.MergeTie -> Event.MergeTie(table, rowId, field)
    is FfiEvent.UniqueDuplicate -> Event.UniqueDuplicate(table, rowId, field)
    is FfiEvent.RemoteRollback -> Event.RemoteRollback(knownGeneration, generation, knownEpoch, epoch)
    is FfiEvent.RemoteWithheld -> Event.RemoteWithheld(path, device, first, last)
    is FfiEvent.RemoteRepaired -> Event.RemoteRepaired(generation, foundGeneration)
    is FfiEvent.RemoteAccess -> Event.RemoteAccess(code, reason, retryInMs.milliseconds)
    is FfiEvent.PairingWaiting -> Event.PairingWaiting(intent.asPublic())
    is FfiEvent.PairingScanned -> Event.PairingScanned(intent.asPublic())
    is FfiEvent.PairingSent -> Event.PairingSent(intent.asPublic())
    is FfiEvent.PairingReceived -> Event.PairingReceived(intent.asPublic())
    is FfiEvent.FileState -> Event.FileState(path, isHere, kind?.asPublic(), state?.asPublic())
    is FfiEvent.FileProgress -> Event.FileProgress(path, bytes, bytesTotal)
    is FfiEvent.FileError -> Event.FileError(path, code, reason, retryInMs?.milliseconds)
    is FfiEvent.ReplicaProgress -> Event.ReplicaProgress(replica, files, filesTotal, bytes)
    is FfiEvent.ReplicaComplete -> Event.ReplicaComplete(replica, files, copied, bytes)
    is FfiEvent.ReplicaError -> Event.ReplicaError(replica, code, reason, retryable, retryInMs?.milliseconds)
    is FfiEvent.ExportProgress -> Event.ExportProgress(rows, files, bytes)
    is FfiEvent.ImportProgress -> Event.ImportProgress(rows, files, bytes)
    is FfiEvent.Other -> Event.Other(name, json)
}
