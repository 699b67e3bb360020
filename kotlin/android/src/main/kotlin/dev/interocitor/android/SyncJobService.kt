package dev.interocitor.android

import android.app.job.JobInfo
import android.app.job.JobParameters
import android.app.job.JobScheduler
import android.app.job.JobService
import android.content.ComponentName
import android.content.Context
import dev.interocitor.Interocitor
import dev.interocitor.InterocitorException
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.Job
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.cancel
import kotlinx.coroutines.launch
import kotlin.time.Duration
import kotlin.time.Duration.Companion.minutes

/**
 * Exchanges changes in the background, when the operating system finds it convenient and there is a network. Make a
 * subclass, declare it in the manifest, and schedule it:
 *
 * ```
 * class TodoSync : SyncJobService() {
 *     override suspend fun database() = (application as TodoApplication).database()
 * }
 *
 * <service android:name=".TodoSync" android:permission="android.permission.BIND_JOB_SERVICE" />
 *
 * SyncJobService.schedule(this, TodoSync::class.java, jobId = 1)
 * ```
 */
public abstract class SyncJobService : JobService() {
    private val scope = CoroutineScope(SupervisorJob() + Dispatchers.Default)
    private var running: Job? = null

    /** The database of the app, opened and with its mailbox set. It is not shut down afterwards. */
    protected abstract suspend fun database(): Interocitor

    /** How long an exchange may take. The operating system gives about ten minutes. */
    protected open val deadline: Duration get() = 5.minutes

    final override fun onStartJob(params: JobParameters): Boolean {
        running = scope.launch {
            val outcome = outcomeOf { database().syncOnce(deadline) }
            jobFinished(params, outcome == Outcome.TRY_AGAIN)
        }
        return true
    }

    final override fun onStopJob(params: JobParameters): Boolean {
        running?.cancel()
        return true
    }

    override fun onDestroy() {
        scope.cancel()
        super.onDestroy()
    }

    public companion object {
        /**
         * Runs a service about every so often, from now on until the app is removed or the job cancelled.
         *
         * @param jobId a number that no other job of the app has.
         * @param every the operating system takes no less than 15 minutes.
         * @return whether the operating system took it.
         */
        public fun schedule(
            context: Context,
            service: Class<out SyncJobService>,
            jobId: Int,
            every: Duration = 60.minutes,
        ): Boolean {
            val job = JobInfo.Builder(jobId, ComponentName(context, service))
                .setRequiredNetworkType(JobInfo.NETWORK_TYPE_ANY)
                .setPeriodic(every.inWholeMilliseconds)
                .build()
            val scheduler = context.getSystemService(Context.JOB_SCHEDULER_SERVICE) as JobScheduler
            return scheduler.schedule(job) == JobScheduler.RESULT_SUCCESS
        }
    }
}

internal enum class Outcome { DONE, TRY_AGAIN }

/** What to tell the operating system: only what may succeed by itself is tried again. */
internal suspend fun outcomeOf(exchange: suspend () -> Unit): Outcome = try {
    exchange()
    Outcome.DONE
} catch (cancelled: CancellationException) {
    throw cancelled
} catch (failure: InterocitorException) {
    if (failure.isRetryable) Outcome.TRY_AGAIN else Outcome.DONE
}
