package dev.interocitor

import kotlinx.coroutines.withContext
import kotlin.coroutines.cancellation.CancellationException
import kotlin.time.Duration
import kotlin.time.Instant
import dev.interocitor.ffi.MailboxCapabilities as FfiMailboxCapabilities
import dev.interocitor.ffi.MailboxFailure as FfiMailboxFailure
import dev.interocitor.ffi.MailboxFault as FfiMailboxFault
import dev.interocitor.ffi.MailboxFile as FfiMailboxFile
import dev.interocitor.ffi.StorageAdapter as FfiStorageAdapter

/**
 * A remote, seen as a tree of files under `/`-separated absolute paths.
 *
 * A write is all or nothing: a reader sees the old body or the new one, never a part. A missing file or folder is
 * [MailboxFault.NOT_FOUND], and only where the remote is certain of it. Functions are called from several coroutines
 * at once, on threads that they may block. They fail with a [MailboxException]; anything else counts as
 * [MailboxFault.IO].
 *
 * Paths were checked before a function sees them, and names that begin with a dot need not be left out of listings.
 * [Mailbox.check] tells in a test whether an adapter does all that it must.
 */
public interface StorageAdapter {
    /** Checks access and tells what the remote can do. Called once for a connection, before the other functions. */
    public suspend fun authenticate(): MailboxCapabilities

    /** Makes sure that a folder and its parents exist. */
    public suspend fun ensureFolder(path: String)

    /** The files directly in a folder, in any order; folders and temporary files left out. */
    public suspend fun listFiles(folder: String): List<MailboxFile>

    /** The names of the folders directly in a folder. */
    public suspend fun listFolders(folder: String): List<String>

    /** A whole file. */
    public suspend fun readFile(path: String): ByteArray

    /** Writes or overwrites a file, creating missing parent folders. */
    public suspend fun writeFile(path: String, body: ByteArray)

    /** Writes a file that must not exist yet; otherwise [MailboxFault.ALREADY_EXISTS]. */
    public suspend fun createFile(path: String, body: ByteArray)

    /** Overwrites a file whose stored version is still `etag`; otherwise [MailboxFault.CONFLICT]. */
    public suspend fun replaceFile(path: String, body: ByteArray, etag: String)

    /** Removes a file; a missing one counts as removed. */
    public suspend fun deleteFile(path: String)

    /** Facts about one file, or null where it is certain that there is none. */
    public suspend fun metadata(path: String): MailboxFile?
}

/**
 * What a remote can do beyond the plain contract. Claim only what was probed.
 *
 * @property exclusiveCreate `createFile` lets exactly one of several racing writers win.
 * @property conditionalReplace `replaceFile` refuses when the stored version is not the expected one.
 * @property maxBody largest body the remote is known to accept, in bytes.
 */
public data class MailboxCapabilities(
    val exclusiveCreate: Boolean = false,
    val conditionalReplace: Boolean = false,
    val maxBody: Long? = null,
)

/**
 * One file of a listing.
 *
 * @property name last path segment, decoded.
 * @property path absolute path within the adapter.
 * @property size size in bytes, where the remote tells it.
 * @property modified modification time, where the remote tells it.
 * @property etag opaque version of the content.
 */
public data class MailboxFile(
    val name: String,
    val path: String,
    val size: Long? = null,
    val modified: Instant? = null,
    val etag: String? = null,
)

/** What went wrong in a mailbox. */
public enum class MailboxFault(internal val ffi: FfiMailboxFault) {
    /** The remote is certain that there is no such file or folder. */
    NOT_FOUND(FfiMailboxFault.NOT_FOUND),

    /** The file to be created exists. */
    ALREADY_EXISTS(FfiMailboxFault.ALREADY_EXISTS),

    /** The stored version is not the expected one. */
    CONFLICT(FfiMailboxFault.CONFLICT),

    /** The credentials are missing, wrong or expired. */
    UNAUTHORIZED(FfiMailboxFault.UNAUTHORIZED),

    /** The credentials are valid, but not for this. */
    FORBIDDEN(FfiMailboxFault.FORBIDDEN),

    /** Too many requests. */
    RATE_LIMITED(FfiMailboxFault.RATE_LIMITED),

    /** The remote answered, but cannot serve now, or broke off. */
    UNAVAILABLE(FfiMailboxFault.UNAVAILABLE),

    /** No answer in time. */
    TIMEOUT(FfiMailboxFault.TIMEOUT),

    /** The remote cannot be reached at all. */
    OFFLINE(FfiMailboxFault.OFFLINE),

    /** The remote is full. */
    QUOTA_FULL(FfiMailboxFault.QUOTA_FULL),

    /** The body is larger than the remote accepts. */
    TOO_LARGE(FfiMailboxFault.TOO_LARGE),

    /** The path cannot be expressed on this remote. */
    INVALID_PATH(FfiMailboxFault.INVALID_PATH),

    /** The remote answered something that its protocol does not allow. */
    PROTOCOL(FfiMailboxFault.PROTOCOL),

    /** Any other fault. */
    IO(FfiMailboxFault.IO),
}

/**
 * What a [StorageAdapter] or [TokenProvider] answers where a call fails.
 *
 * @property fault what went wrong.
 * @property reason what happened, for people. It never holds credentials.
 * @property retryAfter how long the remote asked to wait.
 */
public class MailboxException(
    public val fault: MailboxFault,
    public val reason: String,
    public val retryAfter: Duration? = null,
    cause: Throwable? = null,
) : Exception("$fault: $reason", cause)

/** As [appWork], for code that answers with a [MailboxException]. */
internal suspend fun <T> mailboxWork(what: String, call: suspend () -> T): T = try {
    withContext(appThreads) { call() }
} catch (failure: Throwable) {
    throw when (failure) {
        is MailboxException ->
            FfiMailboxFailure.Failed(failure.fault.ffi, failure.reason, failure.retryAfter?.inWholeMilliseconds)
        is CancellationException -> failure
        else -> FfiMailboxFailure.Failed(FfiMailboxFault.IO, "$what of the app failed with ${failure.javaClass.name}", null)
    }
}

internal class ForeignAdapter(private val adapter: StorageAdapter) : FfiStorageAdapter {
    private suspend fun <T> call(call: suspend StorageAdapter.() -> T): T =
        mailboxWork("the storage adapter") { adapter.call() }

    override suspend fun authenticate(): FfiMailboxCapabilities =
        call { authenticate().run { FfiMailboxCapabilities(exclusiveCreate, conditionalReplace, maxBody) } }

    override suspend fun ensureFolder(path: String) = call { ensureFolder(path) }

    override suspend fun listFiles(folder: String): List<FfiMailboxFile> = call { listFiles(folder).map(::ffi) }

    override suspend fun listFolders(folder: String): List<String> = call { listFolders(folder) }

    override suspend fun readFile(path: String): ByteArray = call { readFile(path) }

    override suspend fun writeFile(path: String, body: ByteArray) = call { writeFile(path, body) }

    override suspend fun createFile(path: String, body: ByteArray) = call { createFile(path, body) }

    override suspend fun replaceFile(path: String, body: ByteArray, etag: String) = call { replaceFile(path, body, etag) }

    override suspend fun deleteFile(path: String) = call { deleteFile(path) }

    override suspend fun metadata(path: String): FfiMailboxFile? = call { metadata(path)?.let(::ffi) }

    private fun ffi(file: MailboxFile) =
        file.run { FfiMailboxFile(name, path, size, modified?.toEpochMilliseconds(), etag) }
}
