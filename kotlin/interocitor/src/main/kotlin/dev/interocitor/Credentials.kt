package dev.interocitor

import dev.interocitor.ffi.fileCredentials
import java.io.File
import dev.interocitor.ffi.BiometricPrompt as FfiBiometricPrompt
import dev.interocitor.ffi.CredentialStore as FfiCredentialStore
import dev.interocitor.ffi.StoredCredentials as FfiStoredCredentials

/**
 * What is remembered for one store. Its text never shows secrets.
 *
 * @property passphrase the mesh passphrase; null for a mesh without encryption, or where only biometrics open it.
 * @property deviceId the device that saved it.
 * @property meshId the mesh that it opens, once that is known.
 * @property sealed the passphrase once more, as [BiometricPrompt.seal] gave it.
 */
public class StoredCredentials(
    public val passphrase: String?,
    public val deviceId: String,
    public val meshId: String?,
    public val sealed: ByteArray?,
) {
    override fun toString(): String = "StoredCredentials(deviceId=$deviceId, meshId=$meshId)"
}

/**
 * A safe place for credentials: a keychain. Throw [InterocitorException.Credential]: with `CREDENTIALS_UNAVAILABLE`
 * where it cannot be used, `CREDENTIALS_LOCKED` where it is locked, and `CREDENTIAL_INVALIDATED` where what was saved
 * can never be read again. Answer null only where it is certain that nothing was saved.
 *
 * Names are any text, and a database uses more than one. Functions may block their thread.
 */
public interface CredentialStore {
    /** What was saved under a name. */
    public suspend fun load(name: String): StoredCredentials?

    /** Saves under a name, replacing what was there. */
    public suspend fun save(name: String, credentials: StoredCredentials)

    /** Removes what was saved under a name. */
    public suspend fun clear(name: String)
}

/**
 * The platform's biometrics: a key in secure hardware that only works while the user shows face or finger, and the
 * prompt that asks for it. Throw [InterocitorException.Cancelled] with `USER_CANCELLED`, or
 * [InterocitorException.Credential] with `BIOMETRICS_UNAVAILABLE`, `BIOMETRICS_NOT_ENROLLED`,
 * `BIOMETRICS_LOCKED_OUT`, or `CREDENTIAL_INVALIDATED` where the key is gone.
 */
public interface BiometricPrompt {
    /** Seals a secret, so that only [unseal] on this device gives it back. `reason` is shown to the user. */
    public suspend fun seal(secret: ByteArray, reason: String): ByteArray

    /** Opens what was sealed. `reason` is shown to the user. */
    public suspend fun unseal(sealed: ByteArray, reason: String): ByteArray

    /**
     * What was sealed is not wanted any more, since the secret was sealed anew: a prompt that keeps something for it lets
     * go of that.
     */
    public suspend fun discard(sealed: ByteArray) {}
}

/**
 * Credentials in one file under a master passphrase, for servers and CI. The passphrase is stretched by Argon2id, the
 * content encrypted; who has the file can guess at a short one, so let a generator make it.
 *
 * @param file it is made by the first save; its folder must be there.
 * @throws InterocitorException.Rejected with `INVALID_ARGUMENT` for an empty master passphrase. A wrong one is found by
 * the first use: `MASTER_PASSPHRASE_WRONG`.
 */
public class FileCredentials(file: File, masterPassphrase: String) : CredentialStore {
    internal val inner: FfiCredentialStore = run {
        Native.load()
        engineNow { fileCredentials(file.path, masterPassphrase) }
    }

    override suspend fun load(name: String): StoredCredentials? =
        engine { inner.load(name) }?.run { StoredCredentials(passphrase, deviceId, meshId, sealed) }

    override suspend fun save(name: String, credentials: StoredCredentials) {
        engine { inner.save(name, credentials.run { FfiStoredCredentials(passphrase, deviceId, meshId, sealed) }) }
    }

    override suspend fun clear(name: String) {
        engine { inner.clear(name) }
    }

    override fun toString(): String = "FileCredentials"
}

/** The engine uses its own stores itself. */
internal fun CredentialStore.asFfi(): FfiCredentialStore =
    if (this is FileCredentials) inner else ForeignCredentialStore(this)

internal class ForeignCredentialStore(private val store: CredentialStore) : FfiCredentialStore {
    override suspend fun load(name: String): FfiStoredCredentials? = appWork("the credential store") {
        store.load(name)?.run { FfiStoredCredentials(passphrase, deviceId, meshId, sealed) }
    }

    override suspend fun save(name: String, credentials: FfiStoredCredentials) = appWork("the credential store") {
        store.save(name, credentials.run { StoredCredentials(passphrase, deviceId, meshId, sealed) })
    }

    override suspend fun clear(name: String) = appWork("the credential store") { store.clear(name) }
}

internal class ForeignBiometricPrompt(private val prompt: BiometricPrompt) : FfiBiometricPrompt {
    override suspend fun seal(secret: ByteArray, reason: String): ByteArray =
        appWork("the biometric prompt") { prompt.seal(secret, reason) }

    override suspend fun unseal(sealed: ByteArray, reason: String): ByteArray =
        appWork("the biometric prompt") { prompt.unseal(sealed, reason) }

    override suspend fun discard(sealed: ByteArray) = appWork("the biometric prompt") { prompt.discard(sealed) }
}
