package dev.interocitor.android

import android.app.KeyguardManager
import android.content.Context
import android.hardware.biometrics.BiometricManager
import android.hardware.biometrics.BiometricManager.Authenticators
import android.os.Build
import android.os.UserManager
import android.system.Os
import android.system.OsConstants
import java.io.File

/** What credentials need to know of the device. */
internal interface Device {
    /** The level of its API. */
    val level: Int

    /** Whether the user has unlocked it since it started: before, neither files nor keys are there. */
    fun isUnlockedSinceStart(): Boolean

    /** Whether its screen is locked, by something that has to be shown or typed. */
    fun isScreenLocked(): Boolean

    /** Whether biometrics can be asked for: zero, or what [biometricFailure] knows. Android 9 cannot tell. */
    fun biometrics(orDeviceCredential: Boolean): Int

    /** Waits until the entries of a folder are on the disk. */
    fun sync(folder: File)
}

/** The context of the app: one of an activity would keep that alive. */
internal val Context.lasting: Context get() = applicationContext ?: this

internal class AndroidDevice(private val context: Context) : Device {
    override val level: Int get() = Build.VERSION.SDK_INT

    override fun isUnlockedSinceStart(): Boolean =
        (context.getSystemService(Context.USER_SERVICE) as UserManager).isUserUnlocked

    override fun isScreenLocked(): Boolean =
        (context.getSystemService(Context.KEYGUARD_SERVICE) as KeyguardManager).isDeviceLocked

    @Suppress("DEPRECATION") // What Android 10 has.
    override fun biometrics(orDeviceCredential: Boolean): Int {
        if (level < Build.VERSION_CODES.Q) return BiometricManager.BIOMETRIC_SUCCESS
        val manager = context.getSystemService(BiometricManager::class.java)
            ?: return BiometricManager.BIOMETRIC_ERROR_NO_HARDWARE
        if (level < Build.VERSION_CODES.R) return manager.canAuthenticate()
        val other = if (orDeviceCredential) Authenticators.DEVICE_CREDENTIAL else 0
        return manager.canAuthenticate(Authenticators.BIOMETRIC_STRONG or other)
    }

    override fun sync(folder: File) {
        val descriptor = Os.open(folder.path, OsConstants.O_RDONLY, 0)
        try {
            Os.fsync(descriptor)
        } finally {
            Os.close(descriptor)
        }
    }
}
