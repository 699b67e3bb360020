package dev.interocitor

import dev.interocitor.ffi.Replica as FfiReplica
import dev.interocitor.ffi.ReplicaState as FfiReplicaState
import dev.interocitor.ffi.Replicated as FfiReplicated

/**
 * A further mailbox that is written to and never read for merging: [Configuration.replicas].
 *
 * One that is down holds nothing up: it is told by [Event.ReplicaError], and caught up later, or at once by
 * [Interocitor.replicate].
 *
 * @property name what the app calls it: 1 to 128 bytes, another name for each.
 * @property mailbox the mailbox. It must not be the main one.
 * @property mirror whether a device can be restored from it: it gets snapshot, device records and durable files, too. Else
 * change files alone, as from the JavaScript client.
 * @property remotePath the mesh's folder there; null: as in the main mailbox.
 */
public class Replica(
    public val name: String,
    public val mailbox: Mailbox,
    public val mirror: Boolean = false,
    public val remotePath: String? = null,
) {
    override fun toString(): String = "Replica(name=$name, mailbox=$mailbox, mirror=$mirror)"

    internal fun asFfi() = FfiReplica(name, mailbox.inner, mirror, remotePath)
}

/**
 * What [Interocitor.replicate] gave a replica.
 *
 * @property files files that it should have, as far as this device can tell.
 * @property copied those of them that were written now.
 * @property bytes bytes written.
 * @property damaged files of the main mailbox that are damaged, and were not copied; [Interocitor.doctor] tells which.
 */
public data class Replicated(val files: Long, val copied: Long, val bytes: Long, val damaged: Long)

/**
 * How a replica stands.
 *
 * @property name its name.
 * @property mirror whether a device can be restored from it.
 * @property waiting change files of this device that it lacks.
 * @property problem why it lacks them: the last failure since this database was opened, until the next success.
 */
public data class ReplicaState(val name: String, val mirror: Boolean, val waiting: Long, val problem: Problem?)

internal fun FfiReplicated.asPublic() = Replicated(files, copied, bytes, damaged)

internal fun FfiReplicaState.asPublic() =
    ReplicaState(name, mirror, waiting, problem?.let { Problem(it.code, it.reason) })
