package dev.interocitor

import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.flow
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withContext
import java.io.File
import java.io.IOException
import java.io.InputStream
import java.io.OutputStream
import java.nio.file.Path
import kotlin.time.Instant
import dev.interocitor.ffi.FileContent as FfiFileContent
import dev.interocitor.ffi.FileForm as FfiFileForm
import dev.interocitor.ffi.FileInfo as FfiFileInfo
import dev.interocitor.ffi.FileInput as FfiFileInput
import dev.interocitor.ffi.FileListing as FfiFileListing
import dev.interocitor.ffi.FileReader as FfiFileReader
import dev.interocitor.ffi.FileSource as FfiFileSource
import dev.interocitor.ffi.FileTransfer as FfiFileTransfer
import dev.interocitor.ffi.FilesSynced as FfiFilesSynced
import dev.interocitor.ffi.Interocitor as FfiInterocitor
import dev.interocitor.ffi.StagedFile as FfiStagedFile
import dev.interocitor.ffi.TransferKind as FfiTransferKind
import dev.interocitor.ffi.TransferState as FfiTransferState

/** Where the content of a file comes from. It is read once, in bounded memory; bytes are held as they are. */
public class FileSource private constructor(internal val inner: FfiFileSource) {
    /** Memory. */
    public constructor(bytes: ByteArray) : this(FfiFileSource.Bytes(bytes))

    /** A file of this device, which may change or go afterwards. */
    public constructor(file: File) : this(FfiFileSource.Path(file.path))

    /** A file of this device, which may change or go afterwards. */
    public constructor(path: Path) : this(path.toFile())

    /**
     * A stream, read to its end on a thread of its own. It is not closed: `stream.use { db.putFile(path, FileSource(it)) }`.
     */
    public constructor(stream: InputStream) : this(FfiFileSource.Input(ForeignFileInput(stream)))
}

internal class ForeignFileInput(private val stream: InputStream) : FfiFileInput {
    override fun read(limit: UInt): ByteArray = appCode("the stream") {
        val piece = ByteArray(limit.toInt())
        var count: Int
        // None is no end.
        do count = stream.read(piece) while (count == 0)
        piece.copyOf(count.coerceAtLeast(0))
    }
}

/** How durable files lie in a mailbox. */
public enum class FileForm(internal val ffi: FfiFileForm) {
    /**
     * Under the path of the app: the mailbox sees paths and, on WebDAV, media types, and a swap of two files is told only by
     * whoever knows the digest.
     */
    PLAIN(FfiFileForm.PLAIN),

    /** Under a hidden name, with digest, media type and path inside: a swap is always told. */
    HASHED(FfiFileForm.HASHED),
}

/** What can be done about a file. */
public enum class TransferKind {
    /** The mailbox is to get the content. */
    UPLOAD,

    /** This device is to get the content. */
    DOWNLOAD,

    /** The mailbox is to lose the file. */
    DELETE,
}

/** Where a transfer stands. */
public enum class TransferState {
    /** It waits for its turn, for the mailbox, or for the next try. */
    WAITING,

    /** It is under way. */
    RUNNING,

    /** It waits for [Interocitor.resumeFile]. */
    PAUSED,

    /** Another try would end as the last one did. [Interocitor.resumeFile] tries all the same. */
    FAILED,
}

/**
 * A durable file.
 *
 * @property path its path.
 * @property size length in bytes, where it is known.
 * @property digest SHA-256 of its content, lowercase hex, where it is known. Kept in a row, it makes sure that
 * [Interocitor.getFile] gives this content and no other.
 * @property contentType media type, where one was given and is kept.
 * @property modified when it was last changed, where that is known.
 * @property isHere whether its content lies on this device.
 * @property isPinned whether it stays here whatever the size of the cache.
 * @property transfer what is still to be done about it.
 */
public data class FileInfo(
    val path: String,
    val size: Long?,
    val digest: String?,
    val contentType: String?,
    val modified: Instant?,
    val isHere: Boolean,
    val isPinned: Boolean,
    val transfer: FileTransfer?,
)

/**
 * Something that is to be done about a file. It survives restarts.
 *
 * @property kind what.
 * @property state where it stands.
 * @property bytes bytes on their way so far; encrypted ones, about a third more than the file has.
 * @property bytesTotal bytes in all, where that is known.
 * @property attempts tries that failed.
 * @property retryAt when it is tried again.
 * @property problem why the last try failed.
 */
public data class FileTransfer(
    val kind: TransferKind,
    val state: TransferState,
    val bytes: Long,
    val bytesTotal: Long?,
    val attempts: Long,
    val retryAt: Instant?,
    val problem: Problem?,
) {
    /** How much of it is done, from 0 to 1, for a progress bar; null where that is not known. */
    val fraction: Float?
        get() = bytesTotal?.takeIf { it > 0 }?.let { (bytes.toFloat() / it).coerceAtMost(1f) }
}

/**
 * The files of a mesh, as far as their paths are known.
 *
 * @property files in the order of their paths.
 * @property unnamed files in the mailbox whose paths are hidden, and which this device has not met yet. Whoever knows a path
 * gets the file; rows are the place to keep paths.
 */
public data class FileListing(val files: List<FileInfo>, val unnamed: Long)

/**
 * What [Interocitor.syncFiles] did.
 *
 * @property done files that were uploaded, downloaded or deleted.
 * @property failed tries that failed; [Interocitor.fileTransfers] says which and why.
 * @property problem why the mailbox cannot be used now, where it cannot: the rest was not tried.
 */
public data class FilesSynced(val done: Long, val failed: Long, val problem: Problem?)

/** Content that lies on this device and waits to be put under its path by [Batch.putFile]. Forgotten, it is gone. */
public class StagedFile internal constructor(internal val inner: FfiStagedFile) {
    /** Where it is to be put. */
    public val path: String = inner.path()

    /** Length in bytes. */
    public val size: Long = inner.size()

    /** SHA-256 of the content, lowercase hex. */
    public val digest: String = inner.digest()

    override fun toString(): String = "StagedFile(path=$path, size=$size)"
}

/**
 * The content of a file, as it was when it was asked for: nothing that happens to the file changes it. It is taken out once,
 * in one of four ways, and nothing of it is given out before all of it has been checked against its digest.
 */
public class FileContent internal constructor(private val inner: FfiFileContent) {
    /** What is known of the file. */
    public val info: FileInfo = inner.info().asPublic()

    /** The whole content. For what fits into memory. */
    public suspend fun bytes(): ByteArray = engine { inner.bytes() }

    /**
     * Writes the content to a file of this device, readable by its owner only. A file that is there is replaced in one step;
     * on failure it stays as it was.
     */
    public suspend fun saveTo(file: File) {
        engine { inner.saveTo(file.path) }
    }

    /** As [saveTo]. */
    public suspend fun saveTo(path: Path) {
        saveTo(path.toFile())
    }

    /** Writes the content to a stream, piece by piece. It is not closed. */
    public suspend fun copyTo(output: OutputStream) {
        val reader = engine { inner.reader() }
        try {
            while (true) {
                val piece = engine { reader.read(PIECE) }
                if (piece.isEmpty()) return
                withContext(Dispatchers.IO) { output.write(piece) }
            }
        } finally {
            reader.destroy()
        }
    }

    /** The content as a stream, for code that reads one. Reading blocks while the disk works; close it. */
    public suspend fun inputStream(): InputStream = ContentStream(engine { inner.reader() })

    override fun toString(): String = "FileContent(path=${info.path}, size=${info.size})"
}

/** Bytes that cross at once. */
private val PIECE = (256u * 1024u)

private class ContentStream(private val reader: FfiFileReader) : InputStream() {
    private var piece = ByteArray(0)
    private var taken = 0
    private var isClosed = false

    override fun read(): Int = if (fill()) piece[taken++].toInt() and 0xff else -1

    override fun read(buffer: ByteArray, offset: Int, length: Int): Int {
        if (length == 0) return 0
        if (!fill()) return -1
        val count = minOf(length, piece.size - taken)
        piece.copyInto(buffer, offset, taken, taken + count)
        taken += count
        return count
    }

    override fun available(): Int = piece.size - taken

    /** Whether there is a byte to take. */
    @Synchronized
    private fun fill(): Boolean {
        if (isClosed) throw IOException("the stream is closed")
        if (taken == piece.size) {
            piece = try {
                runBlocking { engine { reader.read(PIECE) } }
            } catch (failure: InterocitorException) {
                throw IOException(failure.reason, failure)
            }
            taken = 0
        }
        return piece.isNotEmpty()
    }

    @Synchronized
    override fun close() {
        if (!isClosed) reader.destroy()
        isClosed = true
    }
}

/** What is still to be done about files, as it changes. */
internal fun fileQueue(inner: FfiInterocitor): Flow<List<FileInfo>> = flow {
    val watch = engine { inner.watchFileTransfers() }
    try {
        while (true) emit((engine { watch.next() } ?: break).map { it.asPublic() })
    } finally {
        watch.cancel()
        watch.destroy()
    }
}

internal fun FfiTransferKind.asPublic(): TransferKind = when (this) {
    FfiTransferKind.UPLOAD -> TransferKind.UPLOAD
    FfiTransferKind.DOWNLOAD -> TransferKind.DOWNLOAD
    FfiTransferKind.DELETE -> TransferKind.DELETE
}

internal fun FfiTransferState.asPublic(): TransferState = when (this) {
    FfiTransferState.WAITING -> TransferState.WAITING
    FfiTransferState.RUNNING -> TransferState.RUNNING
    FfiTransferState.PAUSED -> TransferState.PAUSED
    FfiTransferState.FAILED -> TransferState.FAILED
}

private fun FfiFileTransfer.asPublic() = FileTransfer(
    kind.asPublic(),
    state.asPublic(),
    bytes,
    bytesTotal,
    attempts,
    retryAtMs?.let(::instant),
    problem?.asPublic(),
)

internal fun FfiFileInfo.asPublic(): FileInfo =
    FileInfo(path, size, digest, contentType, modifiedMs?.let(::instant), isHere, isPinned, transfer?.asPublic())

internal fun FfiFileListing.asPublic(): FileListing = FileListing(files.map { it.asPublic() }, unnamed)

internal fun FfiFilesSynced.asPublic(): FilesSynced = FilesSynced(done, failed, problem?.asPublic())
