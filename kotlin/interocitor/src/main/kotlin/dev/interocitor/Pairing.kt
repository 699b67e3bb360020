package dev.interocitor

import kotlin.time.Duration
import kotlin.time.Duration.Companion.minutes
import kotlin.time.Duration.Companion.seconds
import dev.interocitor.ffi.Paired as FfiPaired
import dev.interocitor.ffi.Pairing as FfiPairing
import dev.interocitor.ffi.PairingIntent as FfiPairingIntent
import dev.interocitor.ffi.PairingOptions as FfiPairingOptions
import dev.interocitor.ffi.PairingPayload as FfiPairingPayload

/** What the device that shows a [PairingPayload] wants. */
public enum class PairingIntent {
    /** It has a mesh and gives it to the device that scans. */
    SHARE,

    /** It wants the mesh of the device that scans. */
    JOIN,
}

internal fun FfiPairingIntent.asPublic(): PairingIntent = when (this) {
    FfiPairingIntent.SHARE -> PairingIntent.SHARE
    FfiPairingIntent.JOIN -> PairingIntent.JOIN
}

/**
 * How to pair. The defaults are those of the JavaScript client.
 *
 * @property relayBase the folder of the mailbox below which the devices meet; the same on both.
 * @property timeout how long to wait for the other device, at each step.
 * @property pollInterval time between two looks into the mailbox meanwhile.
 * @property supported what this app can do in a pairing, as ids that apps agree on: `notes:v2`.
 * @property required what of it both apps must be able to do.
 */
public data class PairingOptions(
    val relayBase: String = "/Interocitor",
    val timeout: Duration = 2.minutes,
    val pollInterval: Duration = 2.seconds,
    val supported: List<String> = emptyList(),
    val required: List<String> = emptyList(),
) {
    internal fun asFfi() =
        FfiPairingOptions(relayBase, timeout.inWholeMilliseconds, pollInterval.inWholeMilliseconds, supported, required)
}

/**
 * What a QR code or a pair link holds. Whoever has it may take part in the pairing: it is for the eyes of the two
 * devices only, and good for one pairing within the timeout. Its text never shows it.
 */
public class PairingPayload internal constructor(internal val inner: FfiPairingPayload) {
    /** What the device that shows it wants. */
    public val intent: PairingIntent get() = inner.intent().asPublic()

    /**
     * How the other device says that the mailbox is reached, as JSON of its kind of mailbox. **Unproven**: nothing here
     * ever follows it. Show it, and use it only if the user knows the place.
     */
    public val adapterConfig: String? get() = inner.adapterConfig()

    /** The text for a [QrCode]. */
    public fun encode(): String = inner.encode()

    /** A link that opens an app, or a page, with the payload: `<base>#hs=<payload>`. */
    public fun toUrl(base: String): String = engineNow { inner.toUrl(base) }

    override fun toString(): String = "PairingPayload(intent=$intent)"

    public companion object {
        /**
         * Reads what was scanned: the bare payload, or a link with it. That alone does nothing.
         *
         * @throws InterocitorException.Rejected with `PAIRING_REJECTED` for anything else.
         */
        public fun parse(scanned: String): PairingPayload {
            Native.load()
            return PairingPayload(engineNow { FfiPairingPayload.parse(scanned) })
        }
    }
}

/**
 * What came of a pairing.
 *
 * @property remotePath the mesh's folder in the mailbox, now the same on both devices.
 * @property received whether this device received the mesh, and did not give it.
 * @property connectionConfig how to reach the mailbox from now on, as the other device says, for apps that agreed on
 * something of that kind. Nothing here follows it.
 */
public class Paired internal constructor(
    public val remotePath: String,
    public val received: Boolean,
    public val connectionConfig: String?,
) {
    override fun toString(): String = "Paired(remotePath=$remotePath, received=$received)"
}

private fun FfiPaired.asPublic() = Paired(remotePath, received, connectionConfig)

/**
 * One pairing with another device, by [Interocitor.pairShare], [Interocitor.pairJoin] or [Interocitor.pairScan].
 *
 * ```
 * val pairing = db.pairShare()
 * show(QrCode(pairing.payload.encode()))
 * val code = pairing.code() // the other device is there
 * if (ask("Does the other device show $code?")) pairing.complete() else pairing.cancel()
 * ```
 *
 * Cancelling the coroutine gives up a wait, and the pairing can go on; [cancel] ends it. One that is forgotten ends some
 * time later.
 */
public class Pairing internal constructor(private val inner: FfiPairing) {
    /** What the other device is to scan, or what this one has scanned. */
    public val payload: PairingPayload by lazy { PairingPayload(inner.payload()) }

    /** Whether this device gives its mesh; else it gets one. */
    public val sends: Boolean get() = inner.sends()

    /**
     * Waits until the other device is there, and gives the code that both devices show then, `1234 5678 9012`. People
     * compare them: if they differ, another device has taken the place of theirs.
     */
    public suspend fun code(): String = engine { inner.code() }

    /**
     * Gives the mesh to the other device, or takes it from there: the codes were compared. What was taken is used from the
     * next [Interocitor.connect] on, which proves it against the mesh and saves it; before that nothing is saved.
     */
    public suspend fun complete(): Paired = engine { inner.complete() }.asPublic()

    /**
     * Ends it, for instance because the codes differ. Calls under way and later ones answer `USER_CANCELLED` or
     * `PAIRING_REJECTED`. What the other device has not taken yet is taken back.
     */
    public suspend fun cancel() {
        engine { inner.cancel() }
    }

    override fun toString(): String = "Pairing(sends=$sends)"
}
