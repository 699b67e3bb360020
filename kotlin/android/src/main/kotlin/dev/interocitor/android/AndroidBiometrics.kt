package dev.interocitor.android

import android.content.Context
import android.os.Build
import android.security.keystore.KeyGenParameterSpec
import android.security.keystore.KeyProperties
import dev.interocitor.BiometricPrompt
import dev.interocitor.ErrorCode
import dev.interocitor.InterocitorException
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.sync.Mutex
import kotlinx.coroutines.sync.withLock
import kotlinx.coroutines.withContext
import java.security.InvalidAlgorithmParameterException
import java.security.SecureRandom
import javax.crypto.Cipher

/**
 * Face and finger by the framework's prompt. Each secret is sealed under a key of its own in the keystore, which
 * works for one use after the prompt, and no more once another face or finger is enrolled.
 *
 * ```
 * val db = Interocitor.open(context, "todo") {
 *     credentials = AndroidKeystoreCredentials(context)
 *     biometrics = AndroidBiometrics(context)
 * }
 * db.secureWithBiometrics("Keep the key of your list")
 * ```
 *
 * Only strong biometrics count (class 3), and nothing else: no PIN, pattern or password of the device, unless the app
 * says so. Sealing shows the prompt as well, so that the user has seen it work before relying on it. The prompt is
 * dismissed when the coroutine that asks for it is cancelled; prompts asked for at once are shown one after another.
 *
 * Android 9 (API 28) or newer; before, `BIOMETRICS_UNAVAILABLE`. What else is told: `BIOMETRICS_NOT_ENROLLED`,
 * `BIOMETRICS_LOCKED_OUT`, `USER_CANCELLED`, and `CREDENTIAL_INVALIDATED` where the key is gone: the app asks for the
 * passphrase, and secures it anew.
 */
public class AndroidBiometrics internal constructor(
    private val device: Device,
    orDeviceCredential: Boolean,
    prompt: (orDeviceCredential: Boolean) -> Prompt,
) : BiometricPrompt {
    /**
     * @param context any context of the app, which is in front when the prompt is to be shown.
     * @param title what the prompt begins with; null: the name of the app. The reason of the call follows.
     * @param orDeviceCredential whether the PIN, pattern or password of the device does as well, from Android 11 on.
     *   A new face or finger does not end such a key; removing the screen lock does.
     */
    public constructor(context: Context, title: CharSequence? = null, orDeviceCredential: Boolean = false) : this(
        AndroidDevice(context.lasting),
        orDeviceCredential,
        { SystemPrompt(context.lasting, title, it) },
    )

    // Keys of older systems know one of both, and not for every use.
    private val orDeviceCredential = orDeviceCredential && device.level >= Build.VERSION_CODES.R
    private val prompt = prompt(this.orDeviceCredential)
    private val oneAtATime = Mutex()

    override suspend fun seal(secret: ByteArray, reason: String): ByteArray = asking {
        checkBiometrics()
        val id = ByteArray(ID_BYTES).also(SecureRandom()::nextBytes)
        val key = key(id)
        var isSealed = false
        try {
            val head = byteArrayOf(VERSION) + id
            val cipher = prompt.approve(begin(key), reason)
            key.use { cipher.updateAAD(head); head + cipher.iv + cipher.doFinal(secret) }.also { isSealed = true }
        } finally {
            if (!isSealed) forget(key)
        }
    }

    override suspend fun unseal(sealed: ByteArray, reason: String): ByteArray = asking {
        val key = key(idOf(sealed) ?: throw lost("it was not sealed by this app"))
        try {
            open(sealed, key, reason)
        } catch (failure: InterocitorException) {
            // The engine forgets what was sealed, so that nothing would find the key again.
            if (failure.code == ErrorCode.CREDENTIAL_INVALIDATED) forget(key)
            throw failure
        }
    }

    private suspend fun open(sealed: ByteArray, key: KeystoreKey, reason: String): ByteArray {
        val start = HEAD_BYTES + KeystoreKey.IV_BYTES
        // First, since a key that is gone is the better answer where everybody was taken out of the settings.
        val cipher = key.use {
            val secretKey = key.find() ?: throw lost("this device does not hold its key")
            KeystoreKey.decryption(secretKey, sealed.copyOfRange(HEAD_BYTES, start))
        }
        checkBiometrics()
        val approved = prompt.approve(cipher, reason)
        return key.use {
            approved.updateAAD(sealed, 0, HEAD_BYTES)
            approved.doFinal(sealed, start, sealed.size - start)
        }
    }

    /** Removes the key of what was sealed, which nothing opens any more. Does nothing where it is gone already. */
    override suspend fun discard(sealed: ByteArray) {
        val id = idOf(sealed) ?: return
        withContext(Dispatchers.IO) { key(id).use { it.delete() } }
    }

    override fun toString(): String = "AndroidBiometrics"

    /** One prompt at a time: the framework would close the first one for the second. */
    private suspend fun <T> asking(work: suspend () -> T): T = withContext(Dispatchers.IO) {
        if (device.level < Build.VERSION_CODES.P) throw noBiometrics("it needs Android 9 or newer; use the passphrase")
        if (!device.isUnlockedSinceStart()) throw neverUnlocked()
        oneAtATime.withLock { work() }
    }

    private fun checkBiometrics() {
        val answer = device.biometrics(orDeviceCredential)
        if (answer != 0) throw biometricFailure(answer)
    }

    private fun begin(key: KeystoreKey): Cipher = key.use {
        try {
            KeystoreKey.encryption(key.make())
        } catch (failure: InvalidAlgorithmParameterException) {
            // What the keystore says where there is nobody that the key could be bound to. Android 9 says it only here.
            throw if (failure.cause is IllegalStateException) notEnrolled() else failure
        }
    }

    private fun forget(key: KeystoreKey) {
        try {
            key.use { it.delete() }
        } catch (_: InterocitorException) {
            // It guards nothing: what failed before is what counts.
        }
    }

    private fun idOf(sealed: ByteArray): ByteArray? =
        if (sealed.size > HEAD_BYTES + KeystoreKey.IV_BYTES && sealed[0] == VERSION) sealed.copyOfRange(1, HEAD_BYTES) else null

    private fun key(id: ByteArray): KeystoreKey {
        val alias = "dev.interocitor.biometrics." + id.toHexString()
        return KeystoreKey(device, alias, needsUnlockedScreen = true) { guard() }
    }

    private fun KeyGenParameterSpec.Builder.guard() {
        setUserAuthenticationRequired(true)
        setInvalidatedByBiometricEnrollment(true)
        // Before Android 11 this is the only kind of a key that is asked for at every use.
        if (device.level < Build.VERSION_CODES.R) return
        val other = if (orDeviceCredential) KeyProperties.AUTH_DEVICE_CREDENTIAL else 0
        setUserAuthenticationParameters(0, KeyProperties.AUTH_BIOMETRIC_STRONG or other)
    }

    private companion object {
        const val VERSION: Byte = 1
        const val ID_BYTES = 16
        const val HEAD_BYTES = 1 + ID_BYTES
    }
}
