package dev.interocitor

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir
import java.nio.file.Path

class AdapterTest {
    @TempDir
    lateinit var directory: Path

    private fun mailbox() = Mailbox.custom(DirectoryAdapter(directory))

    @Test
    fun `the example of an adapter conforms`() = test { mailbox().check(others = listOf(mailbox(), mailbox())) }

    @Test
    fun `devices meet through it`() = test {
        member(mailbox()).use { a ->
            a.table<Title>("todos").put("a", Title("Milk"))
            a.connect()
        }
        member(mailbox()).use { b ->
            b.connect()
            assertEquals(Title("Milk"), b.table<Title>("todos").row("a")?.value)
        }
    }

    @Test
    fun `an adapter that loses what it was given is told`() = test {
        val lossy = object : StorageAdapter by DirectoryAdapter(directory) {
            override suspend fun writeFile(path: String, body: ByteArray) = Unit
        }
        val failure = failsWith<InterocitorException.Remote>("REMOTE_ACCESS") { Mailbox.custom(lossy).check() }
        assertTrue("the conformance check `missing` failed" in failure.message.orEmpty(), failure.message)
    }

    @Test
    fun `an adapter that claims too much is told`() = test {
        val boasting = object : StorageAdapter by DirectoryAdapter(directory) {
            override suspend fun authenticate() = MailboxCapabilities(exclusiveCreate = true, conditionalReplace = true)
        }
        val failure = failsWith<InterocitorException.Remote>("REMOTE_ACCESS") { Mailbox.custom(boasting).check() }
        assertTrue("the conformance check `replace` failed" in failure.message.orEmpty(), failure.message)
    }

    @Test
    fun `a remote that is not there is no fault of the adapter`() = test {
        val mailbox = Mailbox.custom(DirectoryAdapter(directory.resolve("unmounted")))
        failsWith<InterocitorException.Remote>("OFFLINE") { mailbox.check() }
    }
}
