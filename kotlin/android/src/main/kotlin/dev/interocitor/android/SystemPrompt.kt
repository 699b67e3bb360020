package dev.interocitor.android

import android.annotation.TargetApi
import android.content.Context
import android.content.DialogInterface
import android.hardware.biometrics.BiometricManager.Authenticators
import android.hardware.biometrics.BiometricPrompt
import android.os.Build
import android.os.CancellationSignal
import kotlinx.coroutines.CancellableContinuation
import kotlinx.coroutines.suspendCancellableCoroutine
import javax.crypto.Cipher
import kotlin.coroutines.resume
import kotlin.coroutines.resumeWithException

/** Asks the user to approve one use of a cipher. */
internal fun interface Prompt {
    /** The approved cipher. Throws what [biometricFailure] makes of an answer that is none. */
    suspend fun approve(cipher: Cipher, reason: String): Cipher
}

/** The prompt of the framework. It belongs to the app that is in front, and closes with the coroutine. */
@TargetApi(Build.VERSION_CODES.P)
internal class SystemPrompt(
    private val context: Context,
    private val title: CharSequence?,
    private val orDeviceCredential: Boolean,
) : Prompt {
    override suspend fun approve(cipher: Cipher, reason: String): Cipher = suspendCancellableCoroutine { asking ->
        val signal = CancellationSignal()
        asking.invokeOnCancellation { signal.cancel() }
        context.mainExecutor.execute {
            if (!asking.isActive) return@execute
            try {
                show(BiometricPrompt.CryptoObject(cipher), signal, reason, asking)
            } catch (failure: RuntimeException) {
                asking.fail(noBiometrics("the prompt cannot be shown: ${failure.javaClass.simpleName}: ${failure.message}"))
            }
        }
    }

    private fun show(
        cipher: BiometricPrompt.CryptoObject,
        signal: CancellationSignal,
        reason: String,
        asking: CancellableContinuation<Cipher>,
    ) {
        val dismissed = DialogInterface.OnClickListener { _, _ ->
            asking.fail(cancelled("the prompt was dismissed"))
        }
        val prompt = BiometricPrompt.Builder(context)
            .setTitle(title ?: context.applicationInfo.loadLabel(context.packageManager))
            .setDescription(reason)
            .apply {
                if (orDeviceCredential) {
                    setAllowedAuthenticators(Authenticators.BIOMETRIC_STRONG or Authenticators.DEVICE_CREDENTIAL)
                } else {
                    // Before Android 11, a cipher alone says that biometrics are to be strong.
                    if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.R) setAllowedAuthenticators(Authenticators.BIOMETRIC_STRONG)
                    setNegativeButton(context.getText(android.R.string.cancel), context.mainExecutor, dismissed)
                }
            }
            .build()
        prompt.authenticate(cipher, signal, context.mainExecutor, Answers(asking))
    }

    private class Answers(private val asking: CancellableContinuation<Cipher>) : BiometricPrompt.AuthenticationCallback() {
        override fun onAuthenticationSucceeded(result: BiometricPrompt.AuthenticationResult) {
            val cipher = result.cryptoObject?.cipher
            if (cipher != null) asking.answer(cipher) else asking.fail(noBiometrics("the prompt gave no cipher back"))
        }

        // After a finger that was not recognised the prompt stays open: only its end is an answer.
        override fun onAuthenticationError(errorCode: Int, errString: CharSequence?) =
            asking.fail(biometricFailure(errorCode))
    }

    private companion object {
        // The button and the end of the prompt may both answer: the first one counts.
        fun CancellableContinuation<Cipher>.answer(cipher: Cipher) {
            if (isActive) resume(cipher)
        }

        fun CancellableContinuation<Cipher>.fail(failure: Exception) {
            if (isActive) resumeWithException(failure)
        }
    }
}
