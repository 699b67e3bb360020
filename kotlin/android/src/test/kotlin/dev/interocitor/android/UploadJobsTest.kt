package dev.interocitor.android

import dev.interocitor.MailboxException
import dev.interocitor.MailboxFault
import dev.interocitor.PlatformHttp
import dev.interocitor.UploadRequest
import dev.interocitor.UploadResponse
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.CoroutineStart.UNDISPATCHED
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitCancellation
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows
import java.io.File

/** Uploads as jobs, without a device: the scheduler is played here. */
class UploadJobsTest {
    private val scheduled = ArrayList<Pair<Int, Long>>()
    private val cancelled = ArrayList<Int>()

    private fun jobs(takes: Boolean = true, http: PlatformHttp) = UploadJobs(http, FIRST, { cancelled += it }) { id, size ->
        scheduled += id to size
        takes
    }

    private val request = UploadRequest("1", "PUT", "https://example.org/x", emptyList(), File("body"), 42)

    @Test
    fun `an upload runs in its job and its answer comes back`() = runBlocking<Unit> {
        val jobs = jobs { UploadResponse(201, body = it.id.encodeToByteArray()) }
        val answers = List(2) { async(start = UNDISPATCHED) { jobs.upload(request) } }
        assertEquals(listOf(FIRST to 42L, FIRST + 1 to 42L), scheduled)
        assertEquals(listOf(false, false), answers.map { it.isCompleted })
        for ((id, _) in scheduled) checkNotNull(UploadJobs.take(id)).run()
        assertEquals(listOf(201, 201), answers.map { it.await().status })
        assertEquals(emptyList<Int>(), cancelled)
        assertNull(UploadJobs.take(FIRST), "a job runs once")
    }

    @Test
    fun `whoever gives up ends the job`() = runBlocking {
        val jobs = jobs { awaitCancellation() }
        val waiting = launch(start = UNDISPATCHED) { jobs.upload(request) }
        waiting.cancelAndJoin()
        assertEquals(listOf(FIRST), cancelled)
        assertNull(UploadJobs.take(FIRST))
    }

    @Test
    fun `a job that is stopped or cannot be is a failure that passes`() = runBlocking {
        val begun = CompletableDeferred<Unit>()
        val jobs = jobs {
            begun.complete(Unit)
            awaitCancellation()
        }
        val waiting = async(SupervisorJob(), UNDISPATCHED) { jobs.upload(request) }
        val job = launch(start = UNDISPATCHED) { checkNotNull(UploadJobs.take(FIRST)).run() }
        begun.await()
        job.cancelAndJoin()
        val stopped = assertThrows<MailboxException> { runBlocking { waiting.await() } }
        assertEquals(MailboxFault.UNAVAILABLE, stopped.fault)
        val refused = assertThrows<MailboxException> { runBlocking { jobs(takes = false) { error("it runs") }.upload(request) } }
        assertEquals(MailboxFault.UNAVAILABLE, refused.fault)
    }

    @Test
    fun `what hinders an upload is told`() = runBlocking {
        val jobs = jobs { throw MailboxException(MailboxFault.OFFLINE, "no way there") }
        val waiting = async(SupervisorJob(), UNDISPATCHED) { jobs.upload(request) }
        checkNotNull(UploadJobs.take(FIRST)).run()
        assertEquals(MailboxFault.OFFLINE, assertThrows<MailboxException> { runBlocking { waiting.await() } }.fault)
    }

    private companion object {
        const val FIRST = 500
    }
}
