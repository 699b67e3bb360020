package dev.interocitor.android

import dev.interocitor.ErrorCode
import dev.interocitor.InterocitorException
import android.hardware.biometrics.BiometricManager as Framework
import android.hardware.biometrics.BiometricPrompt as FrameworkPrompt

/** What the framework says where it does not say yes. Its manager and its prompt share the numbers. */
internal fun biometricFailure(code: Int): InterocitorException = when (code) {
    FrameworkPrompt.BIOMETRIC_ERROR_USER_CANCELED -> cancelled("the prompt was dismissed")
    FrameworkPrompt.BIOMETRIC_ERROR_TIMEOUT -> cancelled("nobody answered the prompt")
    FrameworkPrompt.BIOMETRIC_ERROR_CANCELED ->
        cancelled("the system closed the prompt: the app was not in front, or another prompt was")
    FrameworkPrompt.BIOMETRIC_ERROR_LOCKOUT, FrameworkPrompt.BIOMETRIC_ERROR_LOCKOUT_PERMANENT ->
        InterocitorException.Credential(
            ErrorCode.BIOMETRICS_LOCKED_OUT,
            "biometrics are locked after too many tries; unlock the device with its code, then try again",
            isRetryable = true,
        )
    FrameworkPrompt.BIOMETRIC_ERROR_NO_BIOMETRICS -> notEnrolled()
    FrameworkPrompt.BIOMETRIC_ERROR_HW_UNAVAILABLE, FrameworkPrompt.BIOMETRIC_ERROR_UNABLE_TO_PROCESS ->
        noBiometrics("the sensor does not work now; try again")
    FrameworkPrompt.BIOMETRIC_ERROR_HW_NOT_PRESENT -> noBiometrics("the device has no sensor that is strong enough")
    FrameworkPrompt.BIOMETRIC_ERROR_NO_DEVICE_CREDENTIAL ->
        noBiometrics("the device has no screen lock; set one in its settings")
    Framework.BIOMETRIC_ERROR_SECURITY_UPDATE_REQUIRED ->
        noBiometrics("the sensor has a weakness; install the security updates of the device")
    else -> noBiometrics("the device refuses with code $code; use the passphrase")
}

internal fun notEnrolled() = InterocitorException.Credential(
    ErrorCode.BIOMETRICS_NOT_ENROLLED,
    "no strong face or finger is enrolled on this device; enrol one in its settings, or use the passphrase",
)

internal fun noBiometrics(reason: String) = InterocitorException.Credential(ErrorCode.BIOMETRICS_UNAVAILABLE, reason)

internal fun cancelled(reason: String) = InterocitorException.Cancelled(ErrorCode.USER_CANCELLED, reason)
