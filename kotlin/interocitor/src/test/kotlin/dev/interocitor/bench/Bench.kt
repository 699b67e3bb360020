/** How fast it is here. Use a native library built with `--release`: -Dnative.folder=…/target/release. */
@file:JvmName("Bench")

package dev.interocitor.bench

import dev.interocitor.Event
import dev.interocitor.Interocitor
import dev.interocitor.Mailbox
import dev.interocitor.Table
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.serialization.ExperimentalSerializationApi
import kotlinx.serialization.Serializable
import kotlinx.serialization.builtins.ListSerializer
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.decodeFromStream
import kotlinx.serialization.json.jsonArray
import kotlinx.serialization.json.jsonObject
import java.io.File
import java.nio.file.Files
import kotlin.time.Duration
import kotlin.time.measureTime

@Serializable
data class Item(val title: String, val done: Boolean, val rank: Int, val price: Double, val note: String, val due: String?)

@Serializable
data class Envelope(val id: String, val row: Item)

private const val ROWS = 10_000
private const val PUTS = 1_000
private const val STORM = 50_000

fun main(): Unit = runBlocking {
    val folder = Files.createTempDirectory("bench").toFile()
    try {
        Interocitor.open("bench") { path = File(folder, "bench.db") }.use { db ->
            val items = db.table<Item>("items")
            db.batch { table<Item>("items").run { repeat(ROWS) { put("row_$it", item(it)) } } }
            report("query of $ROWS rows x 6 columns, typed", 40) { check(items.query().rows().size == ROWS) }
            report("the same, untyped page only (count)", 40) { items.query().count() }
            decoding(db, items)
            val single = db.table<Item>("single")
            report("$PUTS single puts", 5) { repeat(PUTS) { single.put("row_$it", item(it)) } }
            report("$PUTS single reads", 5) { repeat(PUTS) { single.row("row_$it") } }
        }
        storm(folder)
    } finally {
        folder.deleteRecursively()
    }
}

private fun item(n: Int) =
    Item("Buy the thing number $n", n % 3 == 0, n, n / 7.0, "a note with ünïcode and a \"quote\" $n", "2026-11-22".takeIf { n % 2 == 0 })

/** The median of so many runs, the first half left out. */
private suspend fun report(what: String, runs: Int, work: suspend () -> Unit) {
    val times = List(runs) { measureTime { work() } }
    println("${what.padEnd(60)} first ${times.first().ms}  warm ${times.drop(runs / 2).sorted().let { it[it.size / 2] }.ms}")
}

private val Duration.ms get() = "%8.1f ms".format(inWholeMicroseconds / 1000.0)

/** What a page costs by each way of reading it. */
@OptIn(ExperimentalSerializationApi::class)
private suspend fun decoding(db: Interocitor, items: Table<Item>) {
    val json = Json { ignoreUnknownKeys = true }
    val page = items.query().rows().joinToString(",", "[", "]") { json.encodeToString(Envelope.serializer(), Envelope(it.id, it.value)) }.encodeToByteArray()
    println("a page has ${page.size} bytes; ${db.appName}")
    val list = ListSerializer(Envelope.serializer())
    report("decodeFromString over the page", 40) { json.decodeFromString(list, page.decodeToString()) }
    report("decodeFromStream over the page", 40) { json.decodeFromStream(list, page.inputStream()) }
    report("a tree of the page, then row by row", 40) {
        json.parseToJsonElement(page.decodeToString()).jsonArray.map {
            json.decodeFromJsonElement(Item.serializer(), it.jsonObject.getValue("row"))
        }
    }
}

/** So many rows arrive in one pull, while a query and the events are watched. */
private suspend fun storm(folder: File) = coroutineScope {
    val mailbox = Mailbox.folder(File(folder, "mailbox").apply { mkdir() })
    val key = "1thX6LZfHDZZKUs92febYZhYRcXddmzfzF2NvTkPNE"
    suspend fun member(name: String) = Interocitor.open("bench") {
        path = File(folder, "$name.db")
        remotePath = "/Mesh"
        passphrase = key
        autoSync = false
    }.apply { setRemoteStorage(mailbox) }
    member("a").use { a ->
        member("b").use { b ->
            a.connect()
            b.connect()
            repeat(STORM / 1000) { part ->
                a.batch { table<Item>("items").run { repeat(1000) { put("row_${part * 1000 + it}", item(it)) } } }
            }
            val publishing = measureTime { a.flush() }
            var (calls, rows) = 0 to 0
            val heard = CompletableDeferred<Unit>()
            val events = launch {
                b.events.collect { event ->
                    calls += 1
                    if (event is Event.Change) rows += event.rowIds.size
                    if (event is Event.Lagged || rows == STORM) heard.complete(Unit)
                }
            }
            var shown = 0
            val full = CompletableDeferred<Unit>()
            val watching = launch {
                b.table<Item>("items").query().limit(100).observe().collect {
                    shown += 1
                    if (it.size == 100) full.complete(Unit)
                }
            }
            val pulling = measureTime { b.pull() }
            heard.await()
            full.await()
            println("$STORM row changes: published in ${publishing.ms}, pulled in ${pulling.ms}; $calls events, $shown live pages")
            events.cancelAndJoin()
            watching.cancelAndJoin()
        }
    }
}
