package dev.interocitor.examples.quickstart

import dev.interocitor.Interocitor
import dev.interocitor.Mailbox
import dev.interocitor.eq
import kotlinx.coroutines.flow.first
import kotlinx.serialization.Serializable
import java.io.File

@Serializable
data class Todo(val title: String, val done: Boolean = false)

@Serializable
data class Entry(val what: String)

suspend fun main() {
    val db = Interocitor.open("todo") { path = File("todo.db"); remotePath = "/Todo" }
    val todos = db.table<Todo>("todos") // ready for offline work

    val id = todos.add(Todo("Buy milk"))
    todos.patch(id) { set(Todo::done, true) } // only this column gets a new clock

    db.batch { // all or nothing, here and for every peer
        table<Todo>("todos").add(Todo("Bake bread"))
        table<Entry>("log").add(Entry("planned the weekend"))
    }

    val open = todos.where(Todo::done eq false).orderBy(Todo::title).limit(20)
    open.observe().first().forEach { println(it.value.title) } // a cold Flow: now, and after every change

    val folder = File("mailbox").apply { mkdir() } // any folder that is synced: the engine never makes it
    db.setRemoteStorage(Mailbox.folder(folder))
    db.connect() // founds the mesh in an empty mailbox, else joins; then polls and publishes by itself
    println("other devices need this: ${db.getPassphrase()}")
    db.shutdown()
}
