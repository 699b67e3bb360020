package dev.interocitor

import java.io.IOException
import java.net.URLDecoder
import java.net.URLEncoder
import java.nio.file.FileAlreadyExistsException
import java.nio.file.Files
import java.nio.file.NoSuchFileException
import java.nio.file.Path
import java.nio.file.StandardCopyOption.ATOMIC_MOVE
import java.nio.file.StandardCopyOption.REPLACE_EXISTING
import kotlin.io.path.createDirectories
import kotlin.io.path.deleteIfExists
import kotlin.io.path.exists
import kotlin.io.path.fileSize
import kotlin.io.path.getLastModifiedTime
import kotlin.io.path.isDirectory
import kotlin.io.path.isRegularFile
import kotlin.io.path.listDirectoryEntries
import kotlin.io.path.name
import kotlin.io.path.readBytes
import kotlin.io.path.writeBytes
import kotlin.time.Instant

/**
 * A mailbox of an app: a directory, by `java.nio.file`. The example for an adapter of your own.
 *
 * The engine checks paths before an adapter sees them, and leaves names that begin with a dot out of listings. What
 * is left: a write is all or nothing, of several who create a file one wins, and what is missing is told from what
 * failed.
 */
class DirectoryAdapter(private val root: Path) : StorageAdapter {
    override suspend fun authenticate(): MailboxCapabilities {
        if (!root.isDirectory()) throw MailboxException(MailboxFault.OFFLINE, "$root is no directory; is the disk there?")
        return MailboxCapabilities(exclusiveCreate = true)
    }

    // Escaped: a file system may know fewer characters than a mailbox.
    private fun place(path: String): Path =
        path.split('/').filter { it.isNotEmpty() }.fold(root) { place, name -> place.resolve(URLEncoder.encode(name, "UTF-8")) }

    private fun name(place: Path) = URLDecoder.decode(place.name, "UTF-8")

    override suspend fun ensureFolder(path: String) {
        place(path).createDirectories()
    }

    private fun entries(folder: String): List<Path> {
        val place = place(folder)
        if (!place.exists()) throw missing(folder)
        if (!place.isDirectory()) throw MailboxException(MailboxFault.INVALID_PATH, "$folder is a file")
        return place.listDirectoryEntries()
    }

    override suspend fun listFiles(folder: String): List<MailboxFile> =
        entries(folder).filter { it.isRegularFile() }.mapNotNull { facts(it, "${folder.trimEnd('/')}/${name(it)}") }

    override suspend fun listFolders(folder: String): List<String> = entries(folder).filter { it.isDirectory() }.map(::name)

    override suspend fun readFile(path: String): ByteArray {
        val place = place(path)
        if (!place.isRegularFile()) throw missing(path)
        return try {
            place.readBytes()
        } catch (_: NoSuchFileException) {
            throw missing(path)
        }
    }

    override suspend fun writeFile(path: String, body: ByteArray) {
        beside(path, body) { Files.move(it, place(path), ATOMIC_MOVE, REPLACE_EXISTING) }
    }

    override suspend fun createFile(path: String, body: ByteArray) {
        // A link is made once; who comes second finds it there.
        beside(path, body) {
            try {
                Files.createLink(place(path), it)
            } catch (_: FileAlreadyExistsException) {
                throw MailboxException(MailboxFault.ALREADY_EXISTS, "$path exists")
            }
        }
    }

    /** Writes the body under a hidden name beside its place, for [finish] to put it there at once. */
    private fun beside(path: String, body: ByteArray, finish: (Path) -> Unit) {
        val folder = place(path).parent.createDirectories()
        val temporary = Files.createTempFile(folder, ".part-", null)
        try {
            temporary.writeBytes(body)
            finish(temporary)
        } finally {
            temporary.deleteIfExists()
        }
    }

    override suspend fun replaceFile(path: String, body: ByteArray, etag: String): Unit =
        throw MailboxException(MailboxFault.PROTOCOL, "a directory has no versions")

    override suspend fun deleteFile(path: String) {
        val place = place(path)
        if (place.isDirectory()) throw MailboxException(MailboxFault.INVALID_PATH, "$path is a folder")
        place.deleteIfExists()
    }

    override suspend fun metadata(path: String): MailboxFile? = place(path).takeIf { it.isRegularFile() }?.let { facts(it, path) }

    private fun facts(place: Path, path: String): MailboxFile? = try {
        val modified = Instant.fromEpochMilliseconds(place.getLastModifiedTime().toMillis())
        MailboxFile(name(place), path, place.fileSize(), modified)
    } catch (gone: IOException) {
        if (place.exists()) throw gone else null
    }

    private fun missing(path: String) = MailboxException(MailboxFault.NOT_FOUND, "there is no $path")
}
