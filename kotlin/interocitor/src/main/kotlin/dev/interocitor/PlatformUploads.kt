package dev.interocitor

import kotlinx.coroutines.suspendCancellableCoroutine
import java.io.ByteArrayOutputStream
import java.io.File
import java.io.IOException
import java.io.InputStream
import java.net.HttpURLConnection
import java.net.SocketTimeoutException
import java.net.URI
import java.util.concurrent.Executor
import java.util.concurrent.Executors
import kotlin.coroutines.resume
import kotlin.coroutines.resumeWithException
import kotlin.time.Duration
import kotlin.time.Duration.Companion.seconds
import dev.interocitor.ffi.HttpHeader as FfiHttpHeader
import dev.interocitor.ffi.PlatformHttp as FfiPlatformHttp
import dev.interocitor.ffi.PlatformUploads as FfiPlatformUploads
import dev.interocitor.ffi.UploadRequest as FfiUploadRequest
import dev.interocitor.ffi.UploadResponse as FfiUploadResponse

/**
 * Hands large uploads of mailboxes to the platform, so that they go on while the app is not seen.
 *
 * Durable files of 1 MiB and more are written to a folder on this device as the server is to store them, encrypted in an
 * encrypted mesh, and sent from there; everything else goes as ever. Google Drive (over 5 MB) and S3 (over 8 MiB) take
 * such a file in parts of 8 MiB, each an upload of its own: while the process is frozen, no new part begins.
 *
 * One serves any number of mailboxes. [Interocitor.suspend] leaves alone what is under way, and after [Interocitor.resume] it is waited for again. After the
 * process was ended the file is uploaded once more: what had been sent by then was encrypted for that one try.
 */
public class PlatformUploads private constructor(internal val inner: FfiPlatformUploads) {
    /**
     * @param http carries the uploads.
     * @param folder for what waits to be sent, made where it is missing. It must be this process's own: what another one
     * left there when it was killed is removed.
     * @throws InterocitorException where the folder cannot be used.
     */
    public constructor(http: PlatformHttp, folder: File) : this(made(http, folder))

    private companion object {
        fun made(http: PlatformHttp, folder: File): FfiPlatformUploads {
            Native.load()
            return engineNow { FfiPlatformUploads(ForeignHttp(http), folder.path) }
        }
    }
}

/**
 * Carries uploads for the engine, as [HttpUploads] does.
 *
 * Redirects are answers and not followed. The request is sent as it is, with these headers and the file as its body, and
 * may take its time; after a day the upload is given up. Whatever the server answers is an answer. Throw a
 * [MailboxException] only for what hinders the way there. A cancelled call cancels its upload.
 */
public fun interface PlatformHttp {
    /** Sends a file and gives the answer of the server, whatever its status. */
    public suspend fun upload(request: UploadRequest): UploadResponse
}

/**
 * An upload that the platform is to carry. Its text never shows secrets.
 *
 * @property id names the upload; no two have the same.
 * @property method such as `PUT`.
 * @property url where to; keep it out of logs.
 * @property headers names and values, credentials among them.
 * @property body the file. It stays as it is until the upload ends.
 * @property size its length in bytes.
 */
public class UploadRequest(
    public val id: String,
    public val method: String,
    public val url: String,
    public val headers: List<Pair<String, String>>,
    public val body: File,
    public val size: Long,
) {
    override fun toString(): String = "UploadRequest($id)"
}

/**
 * What a server answered to an upload.
 *
 * @property status 200 to 599.
 * @property headers names and values; a name may come several times.
 * @property body up to 1 MiB.
 */
public class UploadResponse(
    public val status: Int,
    public val headers: List<Pair<String, String>> = emptyList(),
    public val body: ByteArray = ByteArray(0),
)

/**
 * Carries uploads with `HttpURLConnection`, on threads of its own.
 *
 * @param timeout how long to wait for a connection, or for the answer.
 * @param executor where uploads run; each holds a thread while it lasts.
 */
public class HttpUploads(
    private val timeout: Duration = 60.seconds,
    private val executor: Executor = threads,
) : PlatformHttp {
    override suspend fun upload(request: UploadRequest): UploadResponse = suspendCancellableCoroutine { waiter ->
        val upload = HttpUpload(request, timeout)
        waiter.invokeOnCancellation { upload.cancel() }
        executor.execute {
            try {
                waiter.resume(upload.run())
            } catch (failure: Exception) {
                waiter.resumeWithException(failure)
            }
        }
    }

    private companion object {
        val threads: Executor = Executors.newCachedThreadPool { work ->
            Thread(work, "interocitor-upload").apply { isDaemon = true }
        }
    }
}

/** One upload. */
private class HttpUpload(private val request: UploadRequest, private val timeout: Duration) {
    @Volatile
    private var isCancelled = false

    @Volatile
    private var connection: HttpURLConnection? = null

    fun cancel() {
        isCancelled = true
        connection?.disconnect()
    }

    fun run(): UploadResponse = try {
        send()
    } catch (failure: IOException) {
        // The text of the system names addresses, and is left out.
        throw MailboxException(
            if (failure is SocketTimeoutException) MailboxFault.TIMEOUT else MailboxFault.OFFLINE,
            "the upload failed (${failure.javaClass.simpleName})",
        )
    }

    private fun send(): UploadResponse {
        val opened = URI(request.url).toURL().openConnection() as HttpURLConnection
        connection = opened
        try {
            opened.requestMethod = request.method
            opened.instanceFollowRedirects = false
            opened.useCaches = false
            opened.doOutput = true
            opened.connectTimeout = timeout.inWholeMilliseconds.toInt()
            opened.readTimeout = timeout.inWholeMilliseconds.toInt()
            opened.setFixedLengthStreamingMode(request.size)
            for ((name, value) in request.headers) opened.addRequestProperty(name, value)
            request.body.inputStream().use { body ->
                opened.outputStream.use { sink ->
                    val piece = ByteArray(PIECE)
                    while (!isCancelled) {
                        val count = body.read(piece)
                        if (count < 0) break
                        sink.write(piece, 0, count)
                    }
                }
            }
            if (isCancelled) throw IOException("it was cancelled")
            val status = opened.responseCode
            val headers = opened.headerFields.filterKeys { it != null }.flatMap { (name, values) -> values.map { name to it } }
            val answer = if (status < 400) opened.inputStream else opened.errorStream
            val body = answer?.use(::start) ?: ByteArray(0)
            return UploadResponse(status, headers, body)
        } finally {
            opened.disconnect()
        }
    }

    /** The body of an answer, as far as the engine takes it: it refuses longer ones. */
    private fun start(answer: InputStream): ByteArray {
        val body = ByteArrayOutputStream()
        val piece = ByteArray(PIECE)
        while (body.size() <= ANSWER_MAX) {
            val count = answer.read(piece)
            if (count < 0) break
            body.write(piece, 0, count)
        }
        return body.toByteArray()
    }

    private companion object {
        const val PIECE = 256 * 1024
        const val ANSWER_MAX = 1024 * 1024
    }
}

/** A carrier of the app as the engine calls it. */
private class ForeignHttp(private val http: PlatformHttp) : FfiPlatformHttp {
    override suspend fun upload(request: FfiUploadRequest): FfiUploadResponse = mailboxWork("the carrier of uploads") {
        val headers = request.headers.map { it.name to it.value }
        val answer = request.run { http.upload(UploadRequest(id, method, url, headers, File(body), len)) }
        FfiUploadResponse(
            answer.status.coerceIn(0, UShort.MAX_VALUE.toInt()).toUShort(),
            answer.headers.map { (name, value) -> FfiHttpHeader(name, value) },
            answer.body,
        )
    }
}
