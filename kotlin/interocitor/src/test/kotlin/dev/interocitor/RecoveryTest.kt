package dev.interocitor

import kotlinx.serialization.json.JsonObject
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir
import java.io.File
import java.util.Collections

class RecoveryTest {
    @TempDir
    lateinit var folder: File

    @Test
    fun `every form of a kit brings the key back`() = test {
        val mailbox = Mailbox.memory()
        val kit = member(mailbox).use { it.connect(); it.recoveryKit() }
        assertEquals(PASSPHRASE, kit.passphrase)
        assertEquals(24, kit.words.size)
        assertFalse(kit.words[3] in "$kit")
        for (form in listOf(kit.text, kit.qr, kit.words.joinToString(" "))) {
            member(mailbox) { passphrase = null }.use { db ->
                failsWith<InterocitorException.Credential>("PASSPHRASE_REQUIRED") { db.connect() }
                db.recover(form)
                assertEquals(Connection.Online, db.connect())
            }
            assertEquals(PASSPHRASE, RecoveryKit.parse(form).passphrase)
        }
        val asked = kit.quiz(3)
        assertEquals(3, asked.distinct().size)
        assertTrue(asked.all { kit.isWord(it, kit.words[it - 1].uppercase()) && !kit.isWord(it, "nonsense") })
        assertFalse(kit.isWord(0, kit.words[0]) || kit.isWord(-1, kit.words[0]))
        assertEquals((1..24).toList(), kit.quiz(99))
        failsWith<InterocitorException.Rejected>("INVALID_ARGUMENT") { RecoveryKit.parse("nonsense") }
    }

    @Test
    fun `credentials travel as text`() = test {
        val mailbox = Mailbox.memory()
        val text = member(mailbox).use { it.connect(); it.exportCredentials() }
        assertEquals(PASSPHRASE, json(text)["passphrase"].text)
        member(mailbox) { passphrase = null }.use { db ->
            db.importCredentials(text)
            assertEquals(Connection.Online, db.connect())
            failsWith<InterocitorException.Rejected>("INVALID_ARGUMENT") { db.importCredentials("{}") }
        }
    }

    @Test
    fun `a file under a master passphrase keeps keys, and those that were replaced`() = test {
        val (former, next) = Mailbox.memory() to Mailbox.memory()
        val keys = File(folder, "keys.json")
        val founded = member(former) { passphrase = null; path = File(folder, "t.db"); credentials = FileCredentials(keys, "master") }
            .use { db ->
                db.connect()
                assertEquals(emptyList<SupersededKey>(), db.supersededKeys())
                db.getPassphrase()
            }
        assertFalse(checkNotNull(founded) in keys.readText())
        member(next).use { it.connect() }
        member(next) { path = File(folder, "t.db"); credentials = FileCredentials(keys, "master") }.use { db ->
            db.connect()
            db.disconnect()
            val key = db.supersededKeys().single()
            assertFalse(founded in "$key")
            db.restoreSupersededKey(key.id)
            assertEquals(founded, db.getPassphrase())
            assertTrue(db.discardSupersededKey(key.id))
            assertFalse(db.discardSupersededKey(key.id))
        }
        failsWith<InterocitorException.Credential>("MASTER_PASSPHRASE_WRONG") { FileCredentials(keys, "another").load("any") }
        failsWith<InterocitorException.Rejected>("INVALID_ARGUMENT") { FileCredentials(keys, "") }
        val store = FileCredentials(keys, "master")
        store.save("any", StoredCredentials(PASSPHRASE, "dev-1", "mesh", byteArrayOf(1)))
        assertEquals(PASSPHRASE to "mesh", store.load("any")?.run { passphrase to meshId })
        store.clear("any")
        assertNull(store.load("any"))
    }

    @Test
    fun `a library without a cipher says so`() = test {
        failsWith<InterocitorException.Rejected>("INVALID_ARGUMENT") {
            Interocitor.open("tests") {
                path = File(folder, "sealed.db")
                credentials = FileCredentials(File(folder, "keys.json"), "master")
                storeEncryption = StoreEncryption()
            }
        }
    }

    @Test
    fun `a prompt is told of what it need not keep, if it wants to know`() = test {
        val discarded = Collections.synchronizedList(mutableListOf<ByteArray>())
        open class Plain : BiometricPrompt {
            override suspend fun seal(secret: ByteArray, reason: String) = secret.reversedArray()

            override suspend fun unseal(sealed: ByteArray, reason: String) = sealed.reversedArray()
        }
        val tidy = object : Plain() {
            override suspend fun discard(sealed: ByteArray) {
                discarded += sealed
            }
        }
        for (prompt in listOf(Plain(), tidy)) {
            member(Mailbox.memory()) { credentials = FileCredentials(File(folder, "keys.json"), "master"); biometrics = prompt }.use { db ->
                db.connect()
                assertFalse(db.isSecuredWithBiometrics())
                repeat(2) { db.secureWithBiometrics("please") }
                assertTrue(db.isSecuredWithBiometrics())
            }
            File(folder, "keys.json").delete()
        }
        assertEquals(1, discarded.size)
    }

    @Test
    fun `connected stores of the JavaScript client are taken over`() = test {
        inMemory { db ->
            val records = listOf(json("""{"id":"a","createdAt":"2020-01-01T00:00:00.000Z"}"""), json("""{"id":"b"}"""))
            assertEquals(2L, db.connectedStores.importAll(records))
            assertEquals("2020-01-01T00:00:00.000Z", db.connectedStores.get("a")?.get("createdAt").text)
            failsWith<InterocitorException.Rejected>("INVALID_ARGUMENT") { db.connectedStores.importAll(records + JsonObject(emptyMap())) }
        }
    }
}
