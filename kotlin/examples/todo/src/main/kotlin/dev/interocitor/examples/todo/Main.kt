package dev.interocitor.examples.todo

import dev.interocitor.Connection
import dev.interocitor.Interocitor
import dev.interocitor.InterocitorException
import dev.interocitor.Mailbox
import dev.interocitor.Row
import dev.interocitor.Table
import kotlinx.coroutines.runBlocking
import java.io.File
import kotlin.system.exitProcess
import kotlin.time.Duration.Companion.seconds

private const val USAGE = """usage: todo --store FILE [--folder DIR] [--passphrase-file F] COMMAND

  add TITLE      adds a to-do and prints its id
  complete ID    ticks it off
  list           shows all of them
  watch          shows all of them, again whenever they change, and syncs
  sync           exchanges changes through the folder

The folder is shared by your devices and holds ciphertext only. The passphrase file holds the key to it: the first
device makes it, the others need a copy."""

class UsageException(message: String) : Exception(message)

fun main(arguments: Array<String>) {
    try {
        runBlocking { todo(arguments.toList(), ::println) }
    } catch (failure: UsageException) {
        System.err.println("${failure.message}\n\n$USAGE")
        exitProcess(2)
    } catch (failure: InterocitorException) {
        System.err.println("error[${failure.code}]: ${failure.reason}")
        exitProcess(1)
    }
}

suspend fun todo(arguments: List<String>, print: (String) -> Unit) {
    val options = Options.parse(arguments)
    val db = Interocitor.open("todo") {
        path = options.store
        remotePath = "/Todo"
        pollInterval = 2.seconds // Who watches a folder at a terminal does not want to wait for half a minute.
        passphrase = options.passphraseFile?.takeIf { it.exists() }?.readText()?.trim()
    }
    db.use {
        val todos = db.table<Todo>("todos")
        when (options.command) {
            "add" -> print(todos.add(Todo(options.argument("a title"))))
            "complete" -> todos.complete(options.argument("an id"))
            "list" -> todos.query().orderBy(Todo::title).rows().forEach { print(it.line()) }
            "watch" -> watch(db, todos, options, print)
            "sync" -> {
                connect(db, options)
                print("synced: ${todos.query().count()} to-dos")
            }
            else -> throw UsageException("there is no command \"${options.command}\"")
        }
    }
}

private suspend fun Table<Todo>.complete(id: String) {
    row(id) ?: throw UsageException("there is no to-do \"$id\"")
    // Only this column gets a new clock: what another device does to the title stays.
    patch(id) { set(Todo::done, true) }
}

private suspend fun watch(db: Interocitor, todos: Table<Todo>, options: Options, print: (String) -> Unit) {
    // From here on it polls and publishes by itself.
    if (options.folder != null) connect(db, options)
    todos.query().orderBy(Todo::title).observe().collect { rows ->
        print("-- ${rows.count { !it.value.done }} to do")
        rows.forEach { print(it.line()) }
    }
}

private suspend fun connect(db: Interocitor, options: Options) {
    val folder = options.folder ?: throw UsageException("--folder is missing")
    val file = options.passphraseFile ?: throw UsageException("--passphrase-file is missing")
    db.setRemoteStorage(Mailbox.folder(folder))
    when (val connection = db.connect()) {
        Connection.Online -> db.sync()
        is Connection.Offline -> throw InterocitorException.Remote(connection.code, connection.reason)
    }
    val passphrase = db.getPassphrase()
    if (passphrase != null && file.createNewFile()) {
        file.setReadable(false, false)
        file.setReadable(true, true)
        file.writeText("$passphrase\n")
    }
}

private fun Row<Todo>.line() = "${if (value.done) "[x]" else "[ ]"} $id  ${value.title}"

private class Options(
    val store: File,
    val folder: File?,
    val passphraseFile: File?,
    val command: String,
    private val rest: List<String>,
) {
    fun argument(what: String): String = rest.singleOrNull() ?: throw UsageException("$command takes $what")

    companion object {
        private val NAMES = listOf("--store", "--folder", "--passphrase-file")

        fun parse(arguments: List<String>): Options {
            val options = HashMap<String, File>()
            var rest = arguments
            while (rest.firstOrNull()?.startsWith("--") == true) {
                val name = rest[0]
                if (name !in NAMES || rest.size < 2) throw UsageException("what is \"$name\"?")
                options[name] = File(rest[1])
                rest = rest.drop(2)
            }
            return Options(
                store = options["--store"] ?: throw UsageException("--store is missing"),
                folder = options["--folder"],
                passphraseFile = options["--passphrase-file"],
                command = rest.firstOrNull() ?: throw UsageException("a command is missing"),
                rest = rest.drop(1),
            )
        }
    }
}
