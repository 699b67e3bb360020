/**
 * The figures of `bindings/README.md` in Kotlin, one line of JSON each; `bindings/bench.sh` runs it beside the same work
 * in Rust and Swift.
 */
@file:JvmName("Bench")

package dev.interocitor.bench

import dev.interocitor.Event
import dev.interocitor.Interocitor
import dev.interocitor.Mailbox
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.async
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.flow.takeWhile
import kotlinx.coroutines.yield
import kotlinx.serialization.Serializable
import java.io.File
import java.nio.file.Files
import kotlin.time.Duration
import kotlin.time.TimeSource
import kotlin.time.measureTime

@Serializable
data class Todo(
    val title: String,
    val done: Boolean,
    val rank: Int,
    val score: Double,
    val note: String?,
    val created: String,
)

private const val ROWS = 10_000
private const val PUTS = 1000
private const val CHANGES = 50_000

private fun todo(at: Int) =
    Todo("Todo number $at", at % 3 == 0, at, at / 7.0, if (at % 4 == 0) null else "a note about $at", "2026-01-${at % 28 + 10}T12:00:00.000Z")

private fun name(at: Int) = "row" + at.toString().padStart(5, '0')

private fun report(work: String, time: Duration, more: String = "") =
    println("""{"language":"kotlin","work":"$work","ms":${time.inWholeMicroseconds / 1000.0}$more}""")

private fun List<Duration>.median() = sorted()[size / 2]

private suspend fun open(folder: File, name: String): Interocitor = Interocitor.open("bench") {
    path = File(folder, name)
    remotePath = "/Mesh"
    passphrase = "1thX6LZfHDZZKUs92febYZhYRcXddmzfzF2NvTkPNE"
    autoSync = false
}

private suspend fun fill(db: Interocitor, rows: IntRange) =
    db.batch { table<Todo>("todos").run { rows.forEach { put(name(it), todo(it)) } } }

fun main(): Unit = runBlocking(Dispatchers.Default) {
    val folder = Files.createTempDirectory("bench").toFile()
    try {
        open(folder, "query.db").use { db ->
            fill(db, 0 until ROWS)
            val todos = db.table<Todo>("todos")
            // The greater part warms the JVM up.
            val times = List(221) { measureTime { check(todos.query().rows().size == ROWS) } }
            report("query", times.drop(200).median())
        }
        val times = List(22) { round ->
            open(folder, "puts$round.db").use { db ->
                val todos = db.table<Todo>("todos")
                measureTime { repeat(PUTS) { todos.put(name(it), todo(it)) } }
            }
        }
        report("puts", times.drop(11).median())
        storm(folder)
    } finally {
        folder.deleteRecursively()
    }
}

private suspend fun storm(folder: File) = coroutineScope {
    val mailbox = Mailbox.folder(File(folder, "mailbox").apply { mkdir() })
    open(folder, "writer.db").use { writer ->
        open(folder, "reader.db").use { reader ->
            for (db in listOf(writer, reader)) {
                db.setRemoteStorage(mailbox)
                db.connect()
            }
            repeat(CHANGES / 1000) { part -> fill(writer, part * 1000 until (part + 1) * 1000) }
            writer.sync()
            var told = 0
            var rows = 0
            val listening = async(start = CoroutineStart.UNDISPATCHED) {
                reader.events.takeWhile { event ->
                    if (event is Event.Change) {
                        told += 1
                        rows += event.rowIds.size
                    }
                    rows < CHANGES
                }.collect { }
            }
            yield()
            val start = TimeSource.Monotonic.markNow()
            reader.pull()
            listening.await()
            report("storm", start.elapsedNow(), ""","events":$told,"rows":$rows""")
        }
    }
}
