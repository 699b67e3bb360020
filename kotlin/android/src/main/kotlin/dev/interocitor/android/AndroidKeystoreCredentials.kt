package dev.interocitor.android

import android.content.Context
import dev.interocitor.CredentialStore
import dev.interocitor.ErrorCode
import dev.interocitor.InterocitorException
import dev.interocitor.StoredCredentials
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.withContext
import kotlinx.serialization.Serializable
import kotlinx.serialization.SerializationException
import kotlinx.serialization.json.Json
import java.io.File
import java.io.IOException
import kotlin.io.encoding.Base64

/**
 * Credentials on this device only: encrypted under a key of the Android keystore, in files that no backup takes along.
 *
 * ```
 * val db = Interocitor.open(context, "todo") { credentials = AndroidKeystoreCredentials(context) }
 * ```
 *
 * The key is AES-256-GCM, in StrongBox where the device has one, and works without a prompt. From Android 15 on it
 * works only while the screen is unlocked, unless the app says otherwise; before, from the first unlock after a start on:
 * Android 12 to 14 delete keys of the stricter kind with the screen lock, and passphrases would be lost with them.
 *
 * What is told where they cannot be read: `CREDENTIALS_LOCKED` before the first unlock, or while the screen is locked;
 * `CREDENTIAL_INVALIDATED` where the key is gone for good, for instance since the files were carried to another device
 * (see [discardLost]); `CREDENTIALS_UNAVAILABLE` where keystore or disk fail, which may pass.
 *
 * Any number of these may be in use, also in several processes of the app: they share what is saved.
 */
public class AndroidKeystoreCredentials internal constructor(
    private val device: Device,
    isReadableWhileLocked: Boolean,
    locate: () -> File,
) : CredentialStore {
    /**
     * @param context any context of the app.
     * @param isReadableWhileLocked whether they can be read while the screen is locked, so that a [SyncJobService]
     *   which starts the app's process at night finds them. Never before the first unlock.
     */
    public constructor(context: Context, isReadableWhileLocked: Boolean = false) : this(
        AndroidDevice(context.lasting),
        isReadableWhileLocked,
        { File(context.lasting.noBackupFilesDir, "interocitor/credentials") },
    )

    private val folder = RecordFolder(device, locate)
    private val keys = Kind.entries.associateWith { it.key(device) }
    private val kind = if (isReadableWhileLocked || device.level < UNLOCKED_IS_SOUND) Kind.ANY_TIME else Kind.UNLOCKED

    override suspend fun load(name: String): StoredCredentials? = work {
        folder.read(name)?.let(::open)?.credentials(name)
    }

    override suspend fun save(name: String, credentials: StoredCredentials): Unit = work {
        folder.exclusively { folder.write(name, seal(Record(name, credentials))) }
    }

    override suspend fun clear(name: String): Unit = work {
        folder.exclusively { folder.delete(name) }
    }

    /**
     * Removes what can never be read again (`CREDENTIAL_INVALIDATED`), so that the app can ask for the passphrase and
     * save it anew. What can be read stays, and nothing is removed while the keystore is locked or fails.
     *
     * @return how many records were lost.
     */
    public suspend fun discardLost(): Int = work {
        folder.exclusively {
            val count = folder.deleteWhere { isLost { open(it) } }
            for (key in keys.values) {
                if (isLost { key.use { it.find()?.let(KeystoreKey::encryption) } }) key.use { it.delete() }
            }
            count
        }
    }

    override fun toString(): String = "AndroidKeystoreCredentials"

    private suspend fun <T> work(work: () -> T): T = withContext(Dispatchers.IO) {
        // Before, there are no files, and it would seem that nothing was saved.
        if (!device.isUnlockedSinceStart()) throw neverUnlocked()
        try {
            work()
        } catch (failure: IOException) {
            throw unavailable("the file of the credentials cannot be used", failure)
        }
    }

    private fun seal(record: Record): ByteArray = keys.getValue(kind).use { key ->
        val cipher = KeystoreKey.encryption(key.find() ?: key.make())
        val head = byteArrayOf(VERSION, kind.number)
        val plain = JSON.encodeToString(Record.serializer(), record).encodeToByteArray()
        try {
            cipher.updateAAD(head)
            head + cipher.iv + cipher.doFinal(plain)
        } finally {
            plain.fill(0)
        }
    }

    private fun open(content: ByteArray): Record {
        val start = HEAD_BYTES + KeystoreKey.IV_BYTES
        if (content.size <= start) throw damaged()
        if (content[0] > VERSION) throw newer()
        val kind = Kind.entries.find { it.number == content[1] } ?: throw damaged()
        return keys.getValue(kind).use { key ->
            val secretKey = key.find() ?: throw lost("the keystore of this device does not hold its key")
            val cipher = KeystoreKey.decryption(secretKey, content.copyOfRange(HEAD_BYTES, start))
            cipher.updateAAD(content, 0, HEAD_BYTES)
            val plain = cipher.doFinal(content, start, content.size - start)
            try {
                JSON.decodeFromString(Record.serializer(), plain.decodeToString())
            } catch (_: SerializationException) {
                // Its text shows a part of what it could not read.
                throw damaged()
            } finally {
                plain.fill(0)
            }
        }
    }

    /** Whether it is certain that this never works again. Where that cannot be told, it fails. */
    private inline fun isLost(use: () -> Unit): Boolean = try {
        use()
        false
    } catch (failure: InterocitorException) {
        if (failure.code != ErrorCode.CREDENTIAL_INVALIDATED) throw failure
        true
    }

    private fun damaged() = lost("its file is damaged")

    private fun newer() = InterocitorException.Credential(
        ErrorCode.CREDENTIALS_UNAVAILABLE,
        "its file was written by a newer version; update the app",
    )

    /** When a key can be used. Records name theirs: an app may change its mind. */
    private enum class Kind(val number: Byte, val alias: String) {
        ANY_TIME(1, "dev.interocitor.credentials"),
        UNLOCKED(2, "dev.interocitor.credentials.unlocked"),
        ;

        fun key(device: Device) = KeystoreKey(device, alias, needsUnlockedScreen = this == UNLOCKED) {
            if (this@Kind == UNLOCKED) setUnlockedDeviceRequired(true)
        }
    }

    /** The names of the fields are those of the engine and of the JavaScript client. */
    @Serializable
    private class Record(
        val name: String,
        val passphrase: String? = null,
        val deviceId: String,
        val meshId: String? = null,
        val sealed: String? = null,
    ) {
        constructor(name: String, from: StoredCredentials) :
            this(name, from.passphrase, from.deviceId, from.meshId, from.sealed?.let(Base64::encode))

        fun credentials(wanted: String): StoredCredentials {
            if (name != wanted) throw lost("its file is that of another store")
            return StoredCredentials(passphrase, deviceId, meshId, sealed?.let(Base64::decode))
        }
    }

    private companion object {
        const val VERSION: Byte = 1
        const val HEAD_BYTES = 2

        /** Android 15: see the class. */
        const val UNLOCKED_IS_SOUND = 35

        val JSON = Json {
            ignoreUnknownKeys = true
            explicitNulls = false
        }
    }
}
