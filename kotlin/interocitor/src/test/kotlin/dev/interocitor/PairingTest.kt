package dev.interocitor

import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.async
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.flow.filterIsInstance
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.delay
import kotlinx.coroutines.launch
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds

class PairingTest {
    private val options = PairingOptions(timeout = 20.seconds, pollInterval = 10.milliseconds)

    /** A device without a mesh, before this mailbox. */
    private suspend fun stranger(mailbox: Mailbox) = member(mailbox) {
        remotePath = null
        passphrase = null
    }

    /** Both devices compare their codes and finish. */
    private suspend fun CoroutineScope.finish(one: Pairing, other: Pairing): Pair<Paired, Paired> {
        val there = async { other.code() to other.complete() }
        val code = one.code()
        val here = one.complete()
        assertEquals(code, there.await().first)
        assertTrue(Regex("""\d{4} \d{4} \d{4}""").matches(code), code)
        return here to there.await().second
    }

    @Test
    fun `a device shares its mesh`() = test {
        val mailbox = Mailbox.memory()
        member(mailbox).use { owner ->
            owner.connect()
            stranger(mailbox).use { guest ->
                val received = async(start = CoroutineStart.UNDISPATCHED) { guest.events.filterIsInstance<Event.PairingReceived>().first() }
                val shown = owner.pairShare(options)
                assertEquals(PairingIntent.SHARE to true, shown.payload.intent to shown.sends)
                val scan = guest.pairScan(PairingPayload.parse(shown.payload.toUrl("https://app.example/pair")), options)
                assertFalse(scan.sends)
                val (given, taken) = finish(shown, scan)
                assertEquals(false to true, given.received to taken.received)
                assertEquals("/Mesh", taken.remotePath)
                failsWith<InterocitorException.Rejected>("PAIRING_REJECTED") { scan.complete() }
                assertEquals(PASSPHRASE, guest.getPassphrase())
                assertEquals(Connection.Online, guest.connect())
                assertEquals(PairingIntent.SHARE, received.await().intent)
                // What is shown is for the eyes of the other device only.
                assertFalse(shown.payload.encode().take(60) in "${shown.payload} $shown")
            }
        }
    }

    @Test
    fun `a device asks for the mesh of another`() = test {
        val mailbox = Mailbox.memory()
        member(mailbox).use { owner ->
            owner.connect()
            stranger(mailbox).use { guest ->
                val waiting = async(start = CoroutineStart.UNDISPATCHED) { guest.events.filterIsInstance<Event.PairingWaiting>().first() }
                val shown = guest.pairJoin(options)
                assertEquals(PairingIntent.JOIN, waiting.await().intent)
                val scan = owner.pairScan(PairingPayload.parse(shown.payload.encode()), options)
                val (taken, given) = finish(shown, scan)
                assertEquals(false to true, given.received to taken.received)
                assertEquals(Connection.Online, guest.connect())
            }
        }
    }

    @Test
    fun `what cannot be paired is told`() = test {
        val mailbox = Mailbox.memory()
        member(mailbox).use { owner ->
            owner.connect()
            failsWith<InterocitorException.Rejected>("PAIRING_REJECTED") { PairingPayload.parse("https://app.example/") }
            failsWith<InterocitorException.Rejected>("INVALID_ARGUMENT") { owner.pairJoin(options) }
            failsWith<InterocitorException.Rejected>("INVALID_ARGUMENT") { owner.pairShare(options.copy(required = listOf("a"))) }
            val shown = owner.pairShare(options.copy(timeout = 50.milliseconds))
            failsWith<InterocitorException.Rejected>("PAIRING_TIMEOUT") { shown.code() }
        }
    }

    @Test
    fun `a cancelled wait ends nothing, cancel does`() = test {
        val mailbox = Mailbox.memory()
        member(mailbox).use { owner ->
            owner.connect()
            stranger(mailbox).use { guest ->
                val shown = owner.pairShare(options)
                val waiting = launch { shown.code() }
                delay(50.milliseconds)
                waiting.cancelAndJoin()
                val scan = guest.pairScan(PairingPayload.parse(shown.payload.encode()), options)
                assertEquals(scan.code(), shown.code())
                shown.cancel()
                failsWith<InterocitorException.Cancelled>("USER_CANCELLED") { shown.complete() }
                scan.cancel()
                assertNull(guest.getPassphrase())
            }
        }
    }

    @Test
    fun `a QR code is drawn with its light zone`() {
        val code = QrCode("https://app.example/pair")
        assertTrue(code.isDark(4, 4) && code.isDark(10, 4) && !code.isDark(11, 4), "the top of a finder pattern")
        assertTrue((0..<code.size).none { code.isDark(it, 3) || code.isDark(3, it) || code.isDark(it, code.size) })
        assertTrue(code.toSvg().startsWith("<svg "))
        assertEquals("PNG", code.toPng().copyOfRange(1, 4).decodeToString())
        assertEquals("QrCode(size=${code.size})", "$code")
        failsWith<InterocitorException.Rejected>("LIMIT") { QrCode("x".repeat(2954)) }
    }
}
