package dev.interocitor.android

import dev.interocitor.InterocitorException
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.fail
import java.io.File
import java.util.concurrent.ConcurrentLinkedQueue
import javax.crypto.Cipher
import kotlin.time.Duration.Companion.seconds

/** A device whose user and screen the test commands. */
internal class TestDevice(override val level: Int = 36) : Device {
    @Volatile
    var isUnlocked = true

    @Volatile
    var biometrics = 0

    override fun isUnlockedSinceStart() = isUnlocked
    override fun isScreenLocked() = SoftwareKeystore.isScreenLocked
    override fun biometrics(orDeviceCredential: Boolean) = biometrics
    override fun sync(folder: File) = assertTrue(folder.isDirectory)
}

/** A prompt whose user the test commands; at first one who shows the right finger. */
internal class TestPrompt(var user: suspend () -> Boolean = { true }) : Prompt {
    val reasons = ConcurrentLinkedQueue<String>()

    override suspend fun approve(cipher: Cipher, reason: String): Cipher {
        reasons += reason
        if (user()) SoftwareKeystore.approve(cipher)
        return cipher
    }
}

/** A test that may wait, but not forever. */
internal fun test(block: suspend CoroutineScope.() -> Unit): Unit =
    runBlocking(Dispatchers.Default) { withTimeout(60.seconds) { block() } }

/** What the block throws, with this code. */
internal inline fun <reified E : InterocitorException> failsWith(code: String, block: () -> Unit): E {
    try {
        block()
    } catch (failure: InterocitorException) {
        assertEquals(code, failure.code, failure.reason)
        assertTrue(failure.reason.isNotEmpty())
        return failure as? E ?: fail("it is a ${failure.javaClass.simpleName}: $failure")
    }
    fail("it did not fail with $code")
}

internal const val PASSPHRASE = "1thX6LZfHDZZKUs92febYZhYRcXddmzfzF2NvTkPNE"
