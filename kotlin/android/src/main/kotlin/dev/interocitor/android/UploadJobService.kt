package dev.interocitor.android

import android.app.job.JobInfo
import android.app.job.JobParameters
import android.app.job.JobScheduler
import android.app.job.JobService
import android.content.ComponentName
import android.content.Context
import dev.interocitor.HttpUploads
import dev.interocitor.MailboxException
import dev.interocitor.MailboxFault
import dev.interocitor.PlatformHttp
import dev.interocitor.UploadRequest
import dev.interocitor.UploadResponse
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.Job
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.cancel
import kotlinx.coroutines.launch
import java.util.concurrent.ConcurrentHashMap
import java.util.concurrent.atomic.AtomicInteger

/**
 * Carries uploads in jobs of the operating system, which keeps the app alive while one runs and waits for a network
 * before it begins one. The library's manifest declares it; hand it to mailboxes:
 *
 * ```
 * val uploads = PlatformUploads(UploadJobService.carrier(context), File(context.cacheDir, "uploads"))
 * Mailbox.webdav(url, auth, uploads = uploads)
 * ```
 *
 * A job that the operating system stops is an upload that failed: the engine tries it again.
 */
public class UploadJobService : JobService() {
    private val scope = CoroutineScope(SupervisorJob() + Dispatchers.Default)
    private val running = ConcurrentHashMap<Int, Job>()

    override fun onStartJob(params: JobParameters): Boolean {
        // Of a process that is gone: the engine of this one begins anew.
        val upload = UploadJobs.take(params.jobId) ?: return false
        running[params.jobId] = scope.launch {
            upload.run()
            running.remove(params.jobId)
            jobFinished(params, false)
        }
        return true
    }

    override fun onStopJob(params: JobParameters): Boolean {
        running.remove(params.jobId)?.cancel()
        return false
    }

    override fun onDestroy() {
        scope.cancel()
        super.onDestroy()
    }

    public companion object {
        /**
         * @param http sends what a job is about.
         * @param firstJobId jobs get this number and the 999 after it, which no other job of the app may have.
         * @param networkType one of `JobInfo.NETWORK_TYPE_…`: `NETWORK_TYPE_UNMETERED` for Wi-Fi only.
         */
        public fun carrier(
            context: Context,
            http: PlatformHttp = HttpUploads(),
            firstJobId: Int = 720_000,
            networkType: Int = JobInfo.NETWORK_TYPE_ANY,
        ): PlatformHttp {
            val scheduler = context.getSystemService(Context.JOB_SCHEDULER_SERVICE) as JobScheduler
            val service = ComponentName(context, UploadJobService::class.java)
            return UploadJobs(http, firstJobId, scheduler::cancel) { id, size ->
                val job = JobInfo.Builder(id, service).setRequiredNetworkType(networkType)
                if (android.os.Build.VERSION.SDK_INT >= 28) job.setEstimatedNetworkBytes(0, size)
                scheduler.schedule(job.build()) == JobScheduler.RESULT_SUCCESS
            }
        }
    }
}

/** Uploads as jobs: scheduled here, run by the service, told to whoever waits. */
internal class UploadJobs(
    private val http: PlatformHttp,
    private val firstId: Int,
    private val cancel: (Int) -> Unit,
    private val schedule: (id: Int, size: Long) -> Boolean,
) : PlatformHttp {
    private val count = AtomicInteger()

    override suspend fun upload(request: UploadRequest): UploadResponse {
        val id = firstId + Math.floorMod(count.getAndIncrement(), IDS)
        val upload = Upload(http, request)
        waiting[id] = upload
        try {
            if (!schedule(id, request.size)) throw MailboxException(MailboxFault.UNAVAILABLE, "no job can be scheduled now")
            return upload.answer.await()
        } finally {
            waiting.remove(id, upload)
            if (!upload.answer.isCompleted) {
                upload.answer.cancel()
                cancel(id)
            }
        }
    }

    internal class Upload(private val http: PlatformHttp, private val request: UploadRequest) {
        val answer = CompletableDeferred<UploadResponse>()

        /** In a job. Ended by the operating system, it is a failure for whoever waits. */
        suspend fun run() {
            try {
                answer.complete(http.upload(request))
            } catch (stopped: CancellationException) {
                answer.completeExceptionally(MailboxException(MailboxFault.UNAVAILABLE, "the operating system stopped the job"))
                throw stopped
            } catch (failure: Exception) {
                answer.completeExceptionally(failure)
            }
        }
    }

    internal companion object {
        const val IDS = 1000

        /** Uploads whose jobs did not begin yet, by number; the service stands in the same process. */
        private val waiting = ConcurrentHashMap<Int, Upload>()

        fun take(id: Int): Upload? = waiting.remove(id)
    }
}
