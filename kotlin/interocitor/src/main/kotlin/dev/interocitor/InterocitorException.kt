package dev.interocitor

/**
 * Why a call failed, by what an app can do about it.
 *
 * A cancelled coroutine sees its own `CancellationException`, never one of these.
 *
 * @property code stable and the same in every language; see [ErrorCode].
 * @property reason what happened and what to do, for people.
 * @property isRetryable whether the same call may succeed later by itself.
 */
public sealed class InterocitorException(
    public val code: String,
    public val reason: String,
    public val isRetryable: Boolean,
    cause: Throwable? = null,
) : Exception("$code: $reason", cause) {

    /** The mailbox cannot be reached or used now: `OFFLINE`, `REMOTE_TIMEOUT`, `REMOTE_ACCESS`, `QUOTA_FULL`. */
    public class Remote(code: String, reason: String, isRetryable: Boolean = true, cause: Throwable? = null) :
        InterocitorException(code, reason, isRetryable, cause)

    /**
     * The mesh cannot be taken part in: `REMOTE_MISSING`, `REMOTE_ROLLBACK`, `MANIFEST_INVALID`, `MANIFEST_HASH`,
     * `SCHEMA_MISMATCH`, `WRITER_MISMATCH`, `MESH_ENCRYPTION_MISMATCH`.
     */
    public class Mesh(code: String, reason: String, isRetryable: Boolean = false, cause: Throwable? = null) :
        InterocitorException(code, reason, isRetryable, cause)

    /**
     * Passphrase, keychain or biometrics: `PASSPHRASE_REQUIRED`, `PASSPHRASE_WRONG`, `MESH_CREDENTIAL_MISMATCH`,
     * `CREDENTIALS_UNAVAILABLE`, `CREDENTIALS_LOCKED`, `CREDENTIAL_INVALIDATED`, `MASTER_PASSPHRASE_WRONG`,
     * `BIOMETRICS_UNAVAILABLE`, `BIOMETRICS_NOT_ENROLLED`, `BIOMETRICS_LOCKED_OUT`.
     *
     * A [CredentialStore] or [BiometricPrompt] throws it as well.
     */
    public class Credential(code: String, reason: String, isRetryable: Boolean = false, cause: Throwable? = null) :
        InterocitorException(code, reason, isRetryable, cause)

    /** The local store: `STORE_OPEN`, `STORE_NEWER`, `STORE_CORRUPT`, `STORE_LOCKED`, `STORE_BUSY`, `DISK_FULL`. */
    public class Store(code: String, reason: String, isRetryable: Boolean = false, cause: Throwable? = null) :
        InterocitorException(code, reason, isRetryable, cause)

    /**
     * What was given or found does not fit: `INVALID_ARGUMENT`, `LIMIT`, `ENTRY_TOO_LARGE`, `UNIQUE_VIOLATION`,
     * `PAIRING_REJECTED`, `PAIRING_TIMEOUT`, `FILE_NOT_FOUND`, `FILE_INTEGRITY`, `EXPORT_INVALID`, `EXPORT_NEWER`, and `DECODE`:
     * as [Decode] for a row, as this for an image that cannot be decoded.
     */
    public open class Rejected(code: String, reason: String, isRetryable: Boolean = false, cause: Throwable? = null) :
        InterocitorException(code, reason, isRetryable, cause)

    /**
     * A row that does not fit the class of its table (`DECODE`).
     *
     * @property table the table.
     * @property rowId the row.
     * @property field the column that does not fit, where that is known.
     */
    public class Decode(public val table: String, public val rowId: String, public val field: String?, reason: String) :
        Rejected(ErrorCode.DECODE, reason)

    /** Somebody broke it off: `CANCELLED`, `USER_CANCELLED`. */
    public class Cancelled(code: String, reason: String, isRetryable: Boolean = false, cause: Throwable? = null) :
        InterocitorException(code, reason, isRetryable, cause)

    /** The database is not there to be used: `SHUT_DOWN`, `SUSPENDED`. */
    public class Closed(code: String, reason: String, isRetryable: Boolean = false, cause: Throwable? = null) :
        InterocitorException(code, reason, isRetryable, cause)

    /** A fault of this library (`INTERNAL`): report it, with the reason. */
    public class Internal(reason: String, cause: Throwable? = null) :
        InterocitorException(ErrorCode.INTERNAL, reason, false, cause)
}

/** The stable codes of [InterocitorException.code]. Newer engines may know more. */
public object ErrorCode {
    /** The mailbox cannot be reached. Writes wait and are tried again. */
    public const val OFFLINE: String = "OFFLINE"

    /** The mailbox did not answer in time. Writes wait and are tried again. */
    public const val REMOTE_TIMEOUT: String = "REMOTE_TIMEOUT"

    /** The mailbox refused, throttled or failed: sign in again, or wait; the reason says which. */
    public const val REMOTE_ACCESS: String = "REMOTE_ACCESS"

    /** The mailbox is full. Free space there; writes wait. */
    public const val QUOTA_FULL: String = "QUOTA_FULL"

    /** A mesh that this store knows is gone from the mailbox: check the remote path. */
    public const val REMOTE_MISSING: String = "REMOTE_MISSING"

    /** The mailbox shows an older state than before. */
    public const val REMOTE_ROLLBACK: String = "REMOTE_ROLLBACK"

    /** The mesh's manifest is damaged, edited or of a newer kind. */
    public const val MANIFEST_INVALID: String = "MANIFEST_INVALID"

    /** The mesh's manifest is not the one that its pointer names. */
    public const val MANIFEST_HASH: String = "MANIFEST_HASH"

    /** The mesh exists and no passphrase was given. */
    public const val PASSPHRASE_REQUIRED: String = "PASSPHRASE_REQUIRED"

    /** The passphrase opens nothing of this mesh, or is none. */
    public const val PASSPHRASE_WRONG: String = "PASSPHRASE_WRONG"

    /** The mesh is encrypted and this device is not, or the other way round. */
    public const val MESH_ENCRYPTION_MISMATCH: String = "MESH_ENCRYPTION_MISMATCH"

    /** The saved credential belongs to another mesh. */
    public const val MESH_CREDENTIAL_MISMATCH: String = "MESH_CREDENTIAL_MISMATCH"

    /** The app declares another schema version than the mesh has. */
    public const val SCHEMA_MISMATCH: String = "SCHEMA_MISMATCH"

    /** A managed mesh is written by another server id. */
    public const val WRITER_MISMATCH: String = "WRITER_MISMATCH"

    /** The local file cannot be opened: no folder, no permission, read-only. */
    public const val STORE_OPEN: String = "STORE_OPEN"

    /** The local file was written by a newer version: update the app. */
    public const val STORE_NEWER: String = "STORE_NEWER"

    /** The local file is damaged or something else; see [Interocitor.setAsideStore]. */
    public const val STORE_CORRUPT: String = "STORE_CORRUPT"

    /** The local file is encrypted, and the credential store has no key that opens it. */
    public const val STORE_LOCKED: String = "STORE_LOCKED"

    /** Another process held the store for too long. */
    public const val STORE_BUSY: String = "STORE_BUSY"

    /** The local disk is full; nothing of the change was stored. */
    public const val DISK_FULL: String = "DISK_FULL"

    /** A value or a name is too large, or nested too deeply. */
    public const val LIMIT: String = "LIMIT"

    /** One change is larger than the mailbox accepts. */
    public const val ENTRY_TOO_LARGE: String = "ENTRY_TOO_LARGE"

    /** Another row holds that value in a unique column. */
    public const val UNIQUE_VIOLATION: String = "UNIQUE_VIOLATION"

    /** Something given is unusable; the reason says what. */
    public const val INVALID_ARGUMENT: String = "INVALID_ARGUMENT"

    /** A row does not fit the class of its table, or an image cannot be decoded. */
    public const val DECODE: String = "DECODE"

    /** The keychain cannot be used now: it failed, or there is none. */
    public const val CREDENTIALS_UNAVAILABLE: String = "CREDENTIALS_UNAVAILABLE"

    /** The keychain is locked, as before the first unlock of a device: unlock that and try again. */
    public const val CREDENTIALS_LOCKED: String = "CREDENTIALS_LOCKED"

    /** A saved credential is lost: face or finger were enrolled anew, or the keychain was emptied or damaged. */
    public const val CREDENTIAL_INVALIDATED: String = "CREDENTIAL_INVALIDATED"

    /** The master passphrase does not open the file of credentials. */
    public const val MASTER_PASSPHRASE_WRONG: String = "MASTER_PASSPHRASE_WRONG"

    /** No biometrics, none configured, or nothing secured yet: use the passphrase. */
    public const val BIOMETRICS_UNAVAILABLE: String = "BIOMETRICS_UNAVAILABLE"

    /** The device has biometrics, but no face or finger is enrolled: that is done in its settings. */
    public const val BIOMETRICS_NOT_ENROLLED: String = "BIOMETRICS_NOT_ENROLLED"

    /** Biometrics are locked after too many tries: unlock the device with its code and try again. */
    public const val BIOMETRICS_LOCKED_OUT: String = "BIOMETRICS_LOCKED_OUT"

    /** The devices were not paired: what was scanned is no code, a used one, or not for this app. */
    public const val PAIRING_REJECTED: String = "PAIRING_REJECTED"

    /** The other device did not do its part of a pairing in time. */
    public const val PAIRING_TIMEOUT: String = "PAIRING_TIMEOUT"

    /** There is no durable file under this path. */
    public const val FILE_NOT_FOUND: String = "FILE_NOT_FOUND"

    /** A durable file is not what it should be; nothing of it was given out. */
    public const val FILE_INTEGRITY: String = "FILE_INTEGRITY"

    /** What was to be imported is no export, or not whole; nothing was changed. */
    public const val EXPORT_INVALID: String = "EXPORT_INVALID"

    /** What was to be imported was written by a newer version; nothing was changed. */
    public const val EXPORT_NEWER: String = "EXPORT_NEWER"

    /** The user dismissed a prompt, or ended a pairing. */
    public const val USER_CANCELLED: String = "USER_CANCELLED"

    /** The call was cancelled. */
    public const val CANCELLED: String = "CANCELLED"

    /** The database was suspended: [Interocitor.resume] first. */
    public const val SUSPENDED: String = "SUSPENDED"

    /** The database was shut down. */
    public const val SHUT_DOWN: String = "SHUT_DOWN"

    /** A fault of this library: report it, with the reason. */
    public const val INTERNAL: String = "INTERNAL"
}
