package dev.interocitor.android

import android.hardware.biometrics.BiometricManager
import android.hardware.biometrics.BiometricPrompt
import android.security.keystore.KeyProperties
import dev.interocitor.InterocitorException
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitAll
import kotlinx.coroutines.awaitCancellation
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.delay
import kotlinx.coroutines.launch
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.BeforeEach
import org.junit.jupiter.api.Test
import java.util.concurrent.atomic.AtomicInteger
import kotlin.time.Duration.Companion.milliseconds

class AndroidBiometricsTest {
    private val device = TestDevice()
    private val prompt = TestPrompt()
    private val biometrics = AndroidBiometrics(device, orDeviceCredential = false) { prompt }
    private val secret = PASSPHRASE.encodeToByteArray()

    @BeforeEach
    fun begin() = SoftwareKeystore.reset()

    private fun key() = SoftwareKeystore.held.values.single()

    @Test
    fun `what is sealed comes back after a prompt each time`() = test {
        val sealed = biometrics.seal(secret, "to keep it")
        assertFalse(PASSPHRASE in sealed.toString(Charsets.ISO_8859_1))
        repeat(2) { assertArrayEquals(secret, biometrics.unseal(sealed, "to open it")) }
        assertEquals(listOf("to keep it", "to open it", "to open it"), prompt.reasons.toList())
        assertFalse(PASSPHRASE in "$biometrics")
    }

    @Test
    fun `the key asks for strong biometrics at every use and ends with a new enrolment`() = test {
        for ((level, hasStrongBox) in listOf(28 to true, 29 to false, 30 to true, 36 to false)) {
            SoftwareKeystore.reset()
            SoftwareKeystore.hasStrongBox = hasStrongBox
            val biometrics = AndroidBiometrics(TestDevice(level), orDeviceCredential = false) { prompt }
            assertArrayEquals(secret, biometrics.unseal(biometrics.seal(secret, "x"), "x"))
            val spec = key().spec
            assertTrue(spec.isUserAuthenticationRequired && spec.isInvalidatedByBiometricEnrollment, "level $level")
            assertTrue(spec.userAuthenticationValidityDurationSeconds <= 0, "level $level")
            assertEquals(0, spec.userAuthenticationType and KeyProperties.AUTH_DEVICE_CREDENTIAL, "level $level")
            assertEquals(hasStrongBox, spec.isStrongBoxBacked, "level $level")
        }
    }

    @Test
    fun `the code of the device does as well only where the app says so`() = test {
        val both = KeyProperties.AUTH_BIOMETRIC_STRONG or KeyProperties.AUTH_DEVICE_CREDENTIAL
        for ((level, wanted) in listOf(36 to true, 30 to true, 29 to false)) {
            SoftwareKeystore.reset()
            val asked = ArrayList<Boolean>()
            val biometrics = AndroidBiometrics(TestDevice(level), orDeviceCredential = true) { prompt.also { _ -> asked += it } }
            val sealed = biometrics.seal(secret, "x")
            assertEquals(listOf(wanted), asked, "level $level")
            if (wanted) assertEquals(both to 0, key().spec.run { userAuthenticationType to userAuthenticationValidityDurationSeconds })
            SoftwareKeystore.enrolAnother()
            if (wanted) {
                assertArrayEquals(secret, biometrics.unseal(sealed, "x"))
            } else {
                failsWith<InterocitorException.Credential>("CREDENTIAL_INVALIDATED") { biometrics.unseal(sealed, "x") }
            }
        }
    }

    @Test
    fun `each secret has a key of its own, which goes with it`() = test {
        val sealed = List(2) { biometrics.seal(secret, "x") }
        assertEquals(2, SoftwareKeystore.held.size)
        biometrics.discard(sealed[0])
        biometrics.discard(sealed[0])
        biometrics.discard(byteArrayOf(1, 2, 3))
        failsWith<InterocitorException.Credential>("CREDENTIAL_INVALIDATED") { biometrics.unseal(sealed[0], "x") }
        assertArrayEquals(secret, biometrics.unseal(sealed[1], "x"))
    }

    @Test
    fun `a prompt that says yes without a finger opens nothing`() = test {
        val sealed = biometrics.seal(secret, "x")
        prompt.user = { false }
        failsWith<InterocitorException.Credential>("CREDENTIALS_UNAVAILABLE") { biometrics.unseal(sealed, "x") }
        failsWith<InterocitorException.Credential>("CREDENTIALS_UNAVAILABLE") { biometrics.seal(secret, "x") }
        assertEquals(1, SoftwareKeystore.held.size)
        prompt.user = { true }
        assertArrayEquals(secret, biometrics.unseal(sealed, "x"))
    }

    @Test
    fun `every answer of the framework has its code`() = test {
        val sealed = biometrics.seal(secret, "x")
        val answers = mapOf(
            BiometricPrompt.BIOMETRIC_ERROR_HW_UNAVAILABLE to "BIOMETRICS_UNAVAILABLE",
            BiometricPrompt.BIOMETRIC_ERROR_UNABLE_TO_PROCESS to "BIOMETRICS_UNAVAILABLE",
            BiometricPrompt.BIOMETRIC_ERROR_TIMEOUT to "USER_CANCELLED",
            BiometricPrompt.BIOMETRIC_ERROR_NO_SPACE to "BIOMETRICS_UNAVAILABLE",
            BiometricPrompt.BIOMETRIC_ERROR_CANCELED to "USER_CANCELLED",
            BiometricPrompt.BIOMETRIC_ERROR_LOCKOUT to "BIOMETRICS_LOCKED_OUT",
            BiometricPrompt.BIOMETRIC_ERROR_VENDOR to "BIOMETRICS_UNAVAILABLE",
            BiometricPrompt.BIOMETRIC_ERROR_LOCKOUT_PERMANENT to "BIOMETRICS_LOCKED_OUT",
            BiometricPrompt.BIOMETRIC_ERROR_USER_CANCELED to "USER_CANCELLED",
            BiometricPrompt.BIOMETRIC_ERROR_NO_BIOMETRICS to "BIOMETRICS_NOT_ENROLLED",
            BiometricPrompt.BIOMETRIC_ERROR_HW_NOT_PRESENT to "BIOMETRICS_UNAVAILABLE",
            BiometricPrompt.BIOMETRIC_ERROR_NO_DEVICE_CREDENTIAL to "BIOMETRICS_UNAVAILABLE",
            BiometricManager.BIOMETRIC_ERROR_SECURITY_UPDATE_REQUIRED to "BIOMETRICS_UNAVAILABLE",
            4711 to "BIOMETRICS_UNAVAILABLE",
        )
        for ((number, code) in answers) {
            prompt.user = { throw biometricFailure(number) }
            val failures = listOf<suspend () -> Unit>({ biometrics.unseal(sealed, "x") }, { biometrics.seal(secret, "x") }).map { attempt ->
                failsWith<InterocitorException>(code) { attempt() }
            }
            for (failure in failures) {
                assertEquals(code == "USER_CANCELLED", failure is InterocitorException.Cancelled, "$number")
                assertEquals(code == "BIOMETRICS_LOCKED_OUT", failure.isRetryable, "$number")
            }
            // The key of what was not sealed is not left behind.
            assertEquals(1, SoftwareKeystore.held.size, "$number")
        }
        prompt.user = { true }
        assertArrayEquals(secret, biometrics.unseal(sealed, "x"))
    }

    @Test
    fun `a device that cannot is not asked to show a prompt`() = test {
        val sealed = biometrics.seal(secret, "x")
        val answers = mapOf(
            BiometricManager.BIOMETRIC_ERROR_NONE_ENROLLED to "BIOMETRICS_NOT_ENROLLED",
            BiometricManager.BIOMETRIC_ERROR_NO_HARDWARE to "BIOMETRICS_UNAVAILABLE",
            BiometricManager.BIOMETRIC_ERROR_HW_UNAVAILABLE to "BIOMETRICS_UNAVAILABLE",
            BiometricManager.BIOMETRIC_ERROR_SECURITY_UPDATE_REQUIRED to "BIOMETRICS_UNAVAILABLE",
        )
        for ((number, code) in answers) {
            device.biometrics = number
            failsWith<InterocitorException.Credential>(code) { biometrics.seal(secret, "x") }
            failsWith<InterocitorException.Credential>(code) { biometrics.unseal(sealed, "x") }
        }
        val old = AndroidBiometrics(TestDevice(27), orDeviceCredential = false) { prompt }
        failsWith<InterocitorException.Credential>("BIOMETRICS_UNAVAILABLE") { old.seal(secret, "x") }
        failsWith<InterocitorException.Credential>("BIOMETRICS_UNAVAILABLE") { old.unseal(sealed, "x") }
        device.isUnlocked = false
        failsWith<InterocitorException.Credential>("CREDENTIALS_LOCKED") { biometrics.unseal(sealed, "x") }
        assertEquals(1, prompt.reasons.size)
    }

    @Test
    fun `Android 9 says only when a key is made that nobody is enrolled`() = test {
        SoftwareKeystore.isEnrolled = false
        val biometrics = AndroidBiometrics(TestDevice(28), orDeviceCredential = false) { prompt }
        failsWith<InterocitorException.Credential>("BIOMETRICS_NOT_ENROLLED") { biometrics.seal(secret, "x") }
        assertEquals(0, prompt.reasons.size)
    }

    @Test
    fun `another finger ends what was sealed, and it can be sealed anew`() = test {
        val sealed = biometrics.seal(secret, "x")
        SoftwareKeystore.enrolAnother()
        val failure = failsWith<InterocitorException.Credential>("CREDENTIAL_INVALIDATED") { biometrics.unseal(sealed, "x") }
        assertFalse(failure.isRetryable)
        assertTrue(SoftwareKeystore.held.isEmpty(), "a key that opens nothing is left")
        assertEquals(1, prompt.reasons.size)
        assertArrayEquals(secret, biometrics.unseal(biometrics.seal(secret, "x"), "x"))
    }

    @Test
    fun `without any finger left, what was sealed is lost first and then nobody is enrolled`() = test {
        val sealed = biometrics.seal(secret, "x")
        SoftwareKeystore.enrolAnother()
        device.biometrics = BiometricManager.BIOMETRIC_ERROR_NONE_ENROLLED
        failsWith<InterocitorException.Credential>("CREDENTIAL_INVALIDATED") { biometrics.unseal(sealed, "x") }
        failsWith<InterocitorException.Credential>("BIOMETRICS_NOT_ENROLLED") { biometrics.seal(secret, "x") }
    }

    @Test
    fun `what was damaged or sealed elsewhere is lost`() = test {
        val sealed = biometrics.seal(secret, "x")
        for (damage in listOf(
            ByteArray(0),
            byteArrayOf(9) + sealed.drop(1),
            sealed.copyOf(29),
            sealed.copyOf().also { it[3] = (it[3] + 1).toByte() },
        )) {
            failsWith<InterocitorException.Credential>("CREDENTIAL_INVALIDATED") { biometrics.unseal(damage, "x") }
        }
        assertArrayEquals(secret, biometrics.unseal(sealed, "x"))
        val tampered = sealed.copyOf().also { it[40] = (it[40] + 1).toByte() }
        failsWith<InterocitorException.Credential>("CREDENTIAL_INVALIDATED") { biometrics.unseal(tampered, "x") }
    }

    @Test
    fun `a cancelled call takes its prompt and its key along`() = test {
        val (shown, closed) = CompletableDeferred<Unit>() to CompletableDeferred<Unit>()
        prompt.user = {
            shown.complete(Unit)
            try {
                awaitCancellation()
            } finally {
                closed.complete(Unit)
            }
        }
        val sealing = launch { biometrics.seal(secret, "x") }
        shown.await()
        assertEquals(1, SoftwareKeystore.held.size)
        sealing.cancelAndJoin()
        closed.await()
        assertTrue(SoftwareKeystore.held.isEmpty())
        prompt.user = { true }
        assertArrayEquals(secret, biometrics.unseal(biometrics.seal(secret, "x"), "x"))
    }

    @Test
    fun `prompts asked for at once are shown one after another`() = test {
        val sealed = biometrics.seal(secret, "x")
        val (shown, most) = AtomicInteger() to AtomicInteger()
        prompt.user = {
            most.accumulateAndGet(shown.incrementAndGet(), ::maxOf)
            delay(20.milliseconds)
            shown.decrementAndGet()
            true
        }
        val opened = List(5) { async { biometrics.unseal(sealed, "x") } }.awaitAll()
        assertTrue(opened.all { it.contentEquals(secret) })
        assertEquals(1, most.get())
    }
}
