package dev.interocitor.android

import dev.interocitor.Configuration
import dev.interocitor.Connection
import dev.interocitor.Interocitor
import dev.interocitor.InterocitorException
import dev.interocitor.Mailbox
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.awaitCancellation
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.launch
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.BeforeEach
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir
import java.io.File

/** A database over both: the engine, and a keystore in memory. */
class KeysOfADatabaseTest {
    @TempDir
    lateinit var folder: File

    private val device = TestDevice()
    private val prompt = TestPrompt()
    private val mailbox = Mailbox.memory()

    @BeforeEach
    fun begin() = SoftwareKeystore.reset()

    private fun store() = AndroidKeystoreCredentials(device, isReadableWhileLocked = false) { File(folder, "credentials") }

    private suspend fun open(configure: Configuration.() -> Unit = {}): Interocitor {
        val configuration = Configuration("todo").forAndroid(File(folder, "todo.db"), "Pixel").apply {
            remotePath = "/Todo"
            autoSync = false
            credentials = store()
            biometrics = AndroidBiometrics(device, orDeviceCredential = false) { prompt }
            configure()
        }
        return Interocitor.open(configuration).apply { setRemoteStorage(mailbox) }
    }

    @Test
    fun `a passphrase is kept between runs, and lies nowhere in clear`() = test {
        val passphrase = open().use { db ->
            assertEquals(Connection.Online, db.connect())
            db.secureWithBiometrics("to keep it")
            checkNotNull(db.getPassphrase())
        }
        open().use { db ->
            assertEquals(passphrase, db.getPassphrase())
            assertEquals(Connection.Online, db.connect())
        }
        for (file in folder.walk().filter { it.isFile }) {
            assertFalse(passphrase in file.readBytes().toString(Charsets.ISO_8859_1), file.name)
        }
    }

    @Test
    fun `biometrics bring a passphrase back, and a new finger asks for it once more`() = test {
        open { passphrase = PASSPHRASE }.use { db ->
            db.connect()
            db.secureWithBiometrics("to keep it")
            db.disconnect()
            db.clearCredentials()
        }
        open().use { db ->
            assertNull(db.getPassphrase())
            db.restoreWithBiometrics("to open it")
            assertEquals(PASSPHRASE, db.getPassphrase())
            SoftwareKeystore.enrolAnother()
            failsWith<InterocitorException.Credential>("CREDENTIAL_INVALIDATED") { db.restoreWithBiometrics("to open it") }
            // The silent copy is there still, and is secured anew.
            assertEquals(PASSPHRASE, db.getPassphrase())
            db.secureWithBiometrics("to keep it")
            db.restoreWithBiometrics("to open it")
        }
        assertEquals(listOf("to keep it", "to open it", "to keep it", "to open it"), prompt.reasons.toList())
    }

    @Test
    fun `dismissed and cancelled prompts change nothing`() = test {
        open { passphrase = PASSPHRASE }.use { db ->
            db.connect()
            prompt.user = { throw cancelled("dismissed") }
            failsWith<InterocitorException.Cancelled>("USER_CANCELLED") { db.secureWithBiometrics("x") }
            val (shown, closed) = CompletableDeferred<Unit>() to CompletableDeferred<Unit>()
            prompt.user = {
                shown.complete(Unit)
                try {
                    awaitCancellation()
                } finally {
                    closed.complete(Unit)
                }
            }
            val securing = launch { db.secureWithBiometrics("x") }
            shown.await()
            securing.cancelAndJoin()
            closed.await()
            prompt.user = { true }
            failsWith<InterocitorException.Credential>("BIOMETRICS_UNAVAILABLE") { db.restoreWithBiometrics("x") }
            db.disconnect()
            db.secureWithBiometrics("x")
            db.restoreWithBiometrics("x")
        }
    }

    @Test
    fun `a device that was never unlocked opens no database, and makes no key`() = test {
        open { passphrase = PASSPHRASE }.use { it.connect() }
        device.isUnlocked = false
        val failure = failsWith<InterocitorException.Credential>("CREDENTIALS_LOCKED") { open() }
        assertTrue(failure.isRetryable)
        device.isUnlocked = true
        open().use { assertEquals(PASSPHRASE, it.getPassphrase()) }
    }

    @Test
    fun `a lost key asks for the passphrase, and all is well again`() = test {
        open { passphrase = PASSPHRASE }.use { it.connect() }
        SoftwareKeystore.held.clear()
        failsWith<InterocitorException.Credential>("CREDENTIAL_INVALIDATED") { open() }
        assertTrue(store().discardLost() > 0)
        open().use { db ->
            failsWith<InterocitorException.Credential>("PASSPHRASE_REQUIRED") { db.connect() }
            db.setPassphrase(PASSPHRASE)
            assertEquals(Connection.Online, db.connect())
        }
        open().use { assertEquals(PASSPHRASE, it.getPassphrase()) }
    }
}
