package dev.interocitor.android

import android.os.Build
import android.security.keystore.KeyGenParameterSpec
import android.security.keystore.KeyPermanentlyInvalidatedException
import android.security.keystore.KeyProperties
import android.security.keystore.UserNotAuthenticatedException
import dev.interocitor.ErrorCode
import dev.interocitor.InterocitorException
import java.security.GeneralSecurityException
import java.security.KeyStore
import java.security.ProviderException
import java.security.UnrecoverableKeyException
import javax.crypto.AEADBadTagException
import javax.crypto.Cipher
import javax.crypto.KeyGenerator
import javax.crypto.SecretKey
import javax.crypto.spec.GCMParameterSpec
import kotlin.coroutines.cancellation.CancellationException
import android.security.KeyStoreException as FrameworkKeystoreException

/** An AES-256-GCM key in the keystore of the device. It never leaves that. */
internal class KeystoreKey(
    private val device: Device,
    private val alias: String,
    private val needsUnlockedScreen: Boolean,
    private val protect: KeyGenParameterSpec.Builder.() -> Unit,
) {
    /** The key; null where it is certain that there is none. */
    fun find(): SecretKey? = keystore().getKey(alias, null) as SecretKey?

    /** Works with the key; failures of the keystore come out as ours. */
    inline fun <T> use(work: (KeystoreKey) -> T): T = try {
        work(this)
    } catch (failure: GeneralSecurityException) {
        throw told(failure)
    } catch (failure: ProviderException) {
        throw told(failure)
    } catch (failure: IllegalStateException) {
        // Ciphers of the keystore throw it where their operation was taken away. A cancellation is one, too.
        throw if (failure is CancellationException) failure else told(failure)
    }

    /** Makes the key, in the place of one that is there. In StrongBox where the device has one that can. */
    fun make(): SecretKey {
        if (device.level < Build.VERSION_CODES.P) return generate(isInStrongBox = false)
        return try {
            generate(isInStrongBox = true)
        } catch (_: ProviderException) {
            // There is none (StrongBoxUnavailableException), it is full, or it does not know such keys.
            generate(isInStrongBox = false)
        }
    }

    fun delete() = keystore().deleteEntry(alias)

    private fun generate(isInStrongBox: Boolean): SecretKey {
        val spec = KeyGenParameterSpec.Builder(alias, KeyProperties.PURPOSE_ENCRYPT or KeyProperties.PURPOSE_DECRYPT)
            .setBlockModes(KeyProperties.BLOCK_MODE_GCM)
            .setEncryptionPaddings(KeyProperties.ENCRYPTION_PADDING_NONE)
            .setKeySize(256)
            .apply(protect)
            .apply { if (isInStrongBox) setIsStrongBoxBacked(true) }
            .build()
        return KeyGenerator.getInstance(KeyProperties.KEY_ALGORITHM_AES, KEYSTORE).apply { init(spec) }.generateKey()
    }

    /** What a failure of the keystore means. */
    fun told(failure: Exception): InterocitorException {
        val causes = generateSequence<Throwable>(failure) { it.cause }.take(8).toList()
        return when {
            causes.any { it is KeyPermanentlyInvalidatedException } -> lost("the device made its key invalid")
            failure is AEADBadTagException -> lost("it is damaged, or of another key than this device has")
            !device.isUnlockedSinceStart() -> neverUnlocked()
            causes.any { it is UserNotAuthenticatedException } -> locked("the keystore asks for an unlocked screen")
            needsUnlockedScreen && device.isScreenLocked() -> locked("the screen is locked")
            failure is UnrecoverableKeyException && !mayPass(failure.cause) -> lost("its key cannot be recovered")
            else -> unavailable("the keystore of the device failed", failure)
        }
    }

    /** The keystore tells since Android 13 whether a failure is one of the key, or its own of the moment. */
    private fun mayPass(cause: Throwable?) = device.level >= Build.VERSION_CODES.TIRAMISU &&
        cause is FrameworkKeystoreException && (cause.isTransientFailure || cause.isSystemError)

    companion object {
        const val KEYSTORE = "AndroidKeyStore"
        const val IV_BYTES = 12
        private const val TAG_BITS = 128

        private fun keystore() = KeyStore.getInstance(KEYSTORE).apply { load(null) }

        /** A cipher with a fresh IV, which the keystore chooses. */
        fun encryption(key: SecretKey): Cipher = cipher().apply { init(Cipher.ENCRYPT_MODE, key) }

        fun decryption(key: SecretKey, iv: ByteArray): Cipher =
            cipher().apply { init(Cipher.DECRYPT_MODE, key, GCMParameterSpec(TAG_BITS, iv)) }

        private fun cipher() = Cipher.getInstance("AES/GCM/NoPadding")
    }
}

internal fun lost(reason: String) = InterocitorException.Credential(ErrorCode.CREDENTIAL_INVALIDATED, reason)

internal fun locked(reason: String) =
    InterocitorException.Credential(ErrorCode.CREDENTIALS_LOCKED, reason, isRetryable = true)

internal fun neverUnlocked() = locked("the device was not unlocked since it started")

internal fun unavailable(what: String, failure: Exception) = InterocitorException.Credential(
    ErrorCode.CREDENTIALS_UNAVAILABLE,
    "$what (${failure.javaClass.simpleName}: ${failure.message})",
    isRetryable = true,
    cause = failure,
)
