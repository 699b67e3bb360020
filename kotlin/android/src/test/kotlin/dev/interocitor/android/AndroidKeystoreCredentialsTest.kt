package dev.interocitor.android

import dev.interocitor.InterocitorException
import dev.interocitor.StoredCredentials
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.BeforeEach
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir
import java.io.File
import java.security.UnrecoverableKeyException
import android.security.KeyStoreException as FrameworkKeystoreException

class AndroidKeystoreCredentialsTest {
    @TempDir
    lateinit var folder: File

    private val saved = StoredCredentials(PASSPHRASE, "device-1", "mesh_1", byteArrayOf(1, 2, 3))
    private val device = TestDevice()

    @BeforeEach
    fun begin() = SoftwareKeystore.reset()

    private fun store(device: TestDevice = this.device, isReadableWhileLocked: Boolean = false) =
        AndroidKeystoreCredentials(device, isReadableWhileLocked) { File(folder, "credentials") }

    private fun files() = File(folder, "credentials").listFiles().orEmpty().filter { it.name != "lock" }

    private fun key() = SoftwareKeystore.held.values.single()

    @Test
    fun `it does what every store of credentials must do`() = test {
        for (level in listOf(24, 28, 34, 36)) {
            SoftwareKeystore.reset()
            CredentialSuite { store(TestDevice(level)) }.run()
            assertEquals(emptyList<File>(), files())
            assertEquals(1, SoftwareKeystore.held.size)
        }
    }

    @Test
    fun `nothing of it can be read in the files, nor which store they are of`() = test {
        store().save("app:/data/secret-app.db", saved)
        for (file in files()) {
            val text = file.name + file.readBytes().toString(Charsets.ISO_8859_1)
            for (word in listOf(PASSPHRASE, PASSPHRASE.take(8), "device-1", "mesh_1", "secret-app", "passphrase")) {
                assertFalse(word in text, word)
            }
        }
        assertEquals(1, files().size)
    }

    @Test
    fun `the same thing saved twice looks different`() = test {
        store().save("a", saved)
        val first = files().single().readBytes()
        store().save("a", saved)
        assertFalse(first.contentEquals(files().single().readBytes()))
    }

    @Test
    fun `the key lies in StrongBox where that can keep it, and is a silent one`() = test {
        for ((level, hasStrongBox, wanted) in listOf(Triple(36, true, true), Triple(36, false, false), Triple(27, true, false))) {
            SoftwareKeystore.reset()
            SoftwareKeystore.hasStrongBox = hasStrongBox
            store(TestDevice(level)).run {
                save("a", saved)
                assertEquals(PASSPHRASE, load("a")?.passphrase)
                clear("a")
            }
            assertEquals(wanted, key().spec.isStrongBoxBacked, "level $level, StrongBox $hasStrongBox")
            assertFalse(key().spec.isUserAuthenticationRequired)
        }
    }

    @Test
    fun `before the first unlock it is locked, and never empty`() = test {
        store().save("a", saved)
        device.isUnlocked = false
        val attempts = listOf<suspend () -> Unit>(
            { store().load("a") },
            { store().load("never saved") },
            { store().save("a", saved) },
            { store().clear("a") },
            { store().discardLost() },
        )
        for (attempt in attempts) {
            assertTrue(failsWith<InterocitorException.Credential>("CREDENTIALS_LOCKED") { attempt() }.isRetryable)
        }
        device.isUnlocked = true
        assertEquals(PASSPHRASE, store().load("a")?.passphrase)
    }

    @Test
    fun `a locked screen locks it from Android 15 on, unless the app says otherwise`() = test {
        store().save("a", saved)
        assertTrue(key().spec.isUnlockedDeviceRequired)
        SoftwareKeystore.isScreenLocked = true
        for (attempt in listOf<suspend () -> Unit>({ store().load("a") }, { store().save("a", saved) }, { store().discardLost() })) {
            assertTrue(failsWith<InterocitorException.Credential>("CREDENTIALS_LOCKED") { attempt() }.isRetryable)
        }
        store(isReadableWhileLocked = true).save("b", saved)
        assertEquals(PASSPHRASE, store(isReadableWhileLocked = true).load("b")?.passphrase)
        store(TestDevice(34)).save("c", saved)
        assertEquals(PASSPHRASE, store(TestDevice(34)).load("c")?.passphrase)
        SoftwareKeystore.isScreenLocked = false
        assertEquals(PASSPHRASE, store().load("a")?.passphrase)
    }

    @Test
    fun `an app may change its mind about the screen, and devices get newer systems`() = test {
        store(TestDevice(34)).save("a", saved)
        assertEquals(PASSPHRASE, store().load("a")?.passphrase)
        store().save("a", saved)
        assertEquals(PASSPHRASE, store(isReadableWhileLocked = true).load("a")?.passphrase)
    }

    @Test
    fun `a key that is gone is told, and the passphrase can be saved anew`() = test {
        val faults = listOf<() -> Unit>(
            { SoftwareKeystore.held.clear() },
            { key().isInvalid = true },
            { SoftwareKeystore.fault = UnrecoverableKeyException("Key permanently invalidated") },
        )
        for ((number, fault) in faults.withIndex()) {
            SoftwareKeystore.reset()
            store().save("a", saved)
            fault()
            val failure = failsWith<InterocitorException.Credential>("CREDENTIAL_INVALIDATED") { store().load("a") }
            assertFalse(failure.isRetryable)
            assertEquals(1, files().size)
            assertEquals(1, store().discardLost(), "fault $number")
            SoftwareKeystore.fault = null
            assertNull(store().load("a"))
            store().save("a", saved)
            assertEquals(PASSPHRASE, store().load("a")?.passphrase)
        }
    }

    @Test
    fun `what can be read stays when what is lost goes`() = test {
        store().save("a", saved)
        store().save("b", saved)
        files().first().writeBytes(ByteArray(40))
        assertEquals(1, store().discardLost())
        assertEquals(1, listOf("a", "b").mapNotNull { store().load(it) }.size)
        assertEquals(0, store().discardLost())
    }

    @Test
    fun `a keystore that only fails now loses nothing`() = test {
        store().save("a", saved)
        // As the framework throws it for the response SYSTEM_ERROR.
        SoftwareKeystore.fault = UnrecoverableKeyException("no information").apply { initCause(FrameworkKeystoreException(4, "busy")) }
        for (attempt in listOf<suspend () -> Unit>({ store().load("a") }, { store().save("a", saved) }, { store().discardLost() })) {
            assertTrue(failsWith<InterocitorException.Credential>("CREDENTIALS_UNAVAILABLE") { attempt() }.isRetryable)
        }
        SoftwareKeystore.fault = null
        assertEquals(PASSPHRASE, store().load("a")?.passphrase)
    }

    @Test
    fun `files that were damaged, carried over or exchanged are told apart from missing ones`() = test {
        store().save("a", saved)
        val a = files().single()
        val whole = a.readBytes()
        store().save("b", saved)
        val b = files().single { it != a }
        val damaged = listOf(
            ByteArray(0),
            whole.copyOf(14),
            whole.copyOf(whole.size - 1),
            whole.copyOf().also { it[0] = 0 },
            whole.copyOf().also { it[1] = 1 },
            whole.copyOf().also { it[1] = 9 },
            whole.copyOf().also { it[20] = (it[20] + 1).toByte() },
            b.readBytes(),
        )
        for ((number, content) in damaged.withIndex()) {
            a.writeBytes(content)
            val failure = failsWith<InterocitorException.Credential>("CREDENTIAL_INVALIDATED") { store().load("a") }
            assertFalse(PASSPHRASE in failure.stackTraceToString(), "damage $number")
        }
        a.writeBytes(whole.copyOf().also { it[0] = 2 })
        val newer = failsWith<InterocitorException.Credential>("CREDENTIALS_UNAVAILABLE") { store().load("a") }
        assertTrue("update" in newer.reason && !newer.isRetryable, newer.reason)
        assertEquals(PASSPHRASE, store().load("b")?.passphrase)
    }

    @Test
    fun `a save that fails leaves what was there`() = test {
        store().save("a", saved)
        val part = File("${files().single()}.part")
        part.mkdir()
        val failure = failsWith<InterocitorException.Credential>("CREDENTIALS_UNAVAILABLE") {
            store().save("a", StoredCredentials("another", "device-2", null, null))
        }
        assertTrue(failure.isRetryable)
        assertFalse("another" in failure.stackTraceToString())
        assertEquals(PASSPHRASE, store().load("a")?.passphrase)
        part.delete()
        // Half of a file, from a process that was killed.
        part.writeText("half")
        assertEquals(PASSPHRASE, store().load("a")?.passphrase)
        store().clear("a")
        assertEquals(emptyList<File>(), files())
    }

    @Test
    fun `a folder that cannot be made is told`() = test {
        File(folder, "credentials").writeText("in its place")
        failsWith<InterocitorException.Credential>("CREDENTIALS_UNAVAILABLE") { store().save("a", saved) }
    }
}
