package dev.interocitor

import kotlinx.coroutines.delay
import java.util.concurrent.ConcurrentHashMap
import kotlin.time.Duration

/** A mailbox in memory, written by an app. */
open class MemoryAdapter : StorageAdapter {
    val files = ConcurrentHashMap<String, ByteArray>()

    override suspend fun authenticate() = MailboxCapabilities(exclusiveCreate = true)
    override suspend fun ensureFolder(path: String) = Unit
    override suspend fun listFiles(folder: String): List<MailboxFile> =
        below(folder).filter { '/' !in it }.map { MailboxFile(it, "$folder/$it", files["$folder/$it"]?.size?.toLong()) }

    override suspend fun listFolders(folder: String): List<String> =
        below(folder).filter { '/' in it }.map { it.substringBefore('/') }.distinct()

    private fun below(folder: String) = files.keys.filter { it.startsWith("$folder/") }.map { it.removePrefix("$folder/") }

    override suspend fun readFile(path: String): ByteArray = files[path] ?: throw MailboxException(MailboxFault.NOT_FOUND, path)

    override suspend fun writeFile(path: String, body: ByteArray) {
        files[path] = body
    }

    override suspend fun createFile(path: String, body: ByteArray) {
        if (files.putIfAbsent(path, body) != null) throw MailboxException(MailboxFault.ALREADY_EXISTS, path)
    }

    override suspend fun replaceFile(path: String, body: ByteArray, etag: String): Unit =
        throw MailboxException(MailboxFault.PROTOCOL, "not offered")

    override suspend fun deleteFile(path: String) {
        files.remove(path)
    }

    override suspend fun metadata(path: String): MailboxFile? =
        files[path]?.let { MailboxFile(path.substringAfterLast('/'), path, it.size.toLong()) }
}

/** A mailbox that takes its time. */
class SlowAdapter(private val wait: Duration) : MemoryAdapter() {
    override suspend fun readFile(path: String): ByteArray {
        delay(wait)
        return super.readFile(path)
    }

    override suspend fun authenticate(): MailboxCapabilities {
        delay(wait)
        return super.authenticate()
    }
}
