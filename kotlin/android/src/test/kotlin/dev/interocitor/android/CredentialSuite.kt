package dev.interocitor.android

import dev.interocitor.CredentialStore
import dev.interocitor.StoredCredentials
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitAll
import kotlinx.coroutines.coroutineScope
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue

/** What every store of credentials must do: the engine's own conformance suite, for stores written in Kotlin. */
internal class CredentialSuite(private val open: () -> CredentialStore) {
    suspend fun run() {
        missing()
        roundTrip()
        replace()
        names()
        clear()
        another()
        races()
        silence()
    }

    private fun full(seed: Int) = StoredCredentials(
        passphrase = "$PASSPHRASE$seed",
        deviceId = "device-$seed",
        meshId = "mesh_ä \"'\\\u2028\ud83d\ude00",
        sealed = ByteArray(256) { it.toByte() },
    )

    private fun small(device: String) = StoredCredentials(null, device, null, null)

    private fun assertSame(wanted: StoredCredentials?, found: StoredCredentials?, about: String = "") {
        val (one, other) = listOf(wanted, found).map { it?.run { listOf(passphrase, deviceId, meshId, sealed?.toList()) } }
        assertEquals(one, other, about)
    }

    private suspend fun missing() {
        val store = open()
        assertSame(null, store.load("missing"))
        store.clear("missing")
        assertSame(null, store.load("missing"))
    }

    private suspend fun roundTrip() {
        val store = open()
        val large = StoredCredentials("x".repeat(1 shl 20), "d", "", ByteArray(1 shl 20))
        val bare = StoredCredentials("", "", null, ByteArray(0))
        for (credentials in listOf(full(1), small("d"), large, bare)) {
            store.save("round trip", credentials)
            assertSame(credentials, store.load("round trip"))
        }
        store.clear("round trip")
    }

    private suspend fun replace() {
        val store = open()
        for (credentials in listOf(full(1), full(2), small("d"), full(3))) {
            repeat(2) { store.save("replace", credentials) }
            assertSame(credentials, store.load("replace"))
        }
        store.clear("replace")
    }

    private suspend fun names() {
        val store = open()
        val names = listOf(
            "", " ", "a", "A", "a/b", "../b", "app:/data/x y.db", "é", "e\u0301", "'\"%`;--", "\ud83d\ude00", "x".repeat(500),
        )
        for ((at, name) in names.withIndex()) store.save(name, small("$at"))
        for ((at, name) in names.withIndex()) assertSame(small("$at"), store.load(name), name)
        for (name in names) store.clear(name)
    }

    private suspend fun clear() {
        val store = open()
        store.save("clear", full(1))
        store.save("clear other", full(2))
        store.clear("clear")
        assertSame(null, store.load("clear"))
        assertSame(full(2), store.load("clear other"))
        store.clear("clear")
        store.save("clear", small("again"))
        assertSame(small("again"), store.load("clear"))
        store.clear("clear")
        store.clear("clear other")
    }

    private suspend fun another() {
        val (one, two) = open() to open()
        one.save("another", full(1))
        assertSame(full(1), two.load("another"))
        two.save("another", full(2))
        assertSame(full(2), one.load("another"))
        one.clear("another")
        assertSame(null, two.load("another"))
    }

    private suspend fun races() = coroutineScope {
        val stores = List(8) { open() }
        stores.mapIndexed { at, store -> async { store.save("races $at", small("$at")) } }.awaitAll()
        for (at in stores.indices) {
            assertSame(small("$at"), stores[0].load("races $at"))
            stores[0].clear("races $at")
        }
        stores.mapIndexed { at, store -> async { store.save("races", full(at)) } }.awaitAll()
        val kept = checkNotNull(stores[0].load("races"))
        assertTrue(stores.indices.any { "$PASSPHRASE$it" == kept.passphrase && "device-$it" == kept.deviceId }, "a mixture was kept")
        stores[0].clear("races")
    }

    private suspend fun silence() {
        val store = open()
        store.save("silence", full(9))
        assertFalse(PASSPHRASE in "$store ${store.load("silence")}")
        store.clear("silence")
    }
}
