import Foundation
import InterocitorKit

// A to-do list at a terminal: works offline, and syncs through a folder where one is given.
//
//   swift run todo --store todo.db add "Buy milk"
//   swift run todo --store todo.db --folder /path/to/a/synced/folder sync

struct Todo: Codable, Sendable {
  var title: String
  var done = false
}

let usage = """
  usage: todo [--store FILE] [--folder DIR] [--passphrase-file FILE] COMMAND

    add TITLE      adds a to-do and prints its id
    complete ID    marks it as done
    list           shows what is to be done, then what is done
    watch          shows the list now and whenever it changes, and syncs where there is a folder
    sync           exchanges with the folder

  The first device founds the mesh and writes its passphrase into the file; others are given it there.

  """

/// What is wrong with the command line.
struct UsageError: Error {}

/// Options and the words that are left.
func parse(_ arguments: [String]) throws -> (options: [String: String], words: [String]) {
  var (options, words) = ([String: String](), [String]())
  var rest = arguments[...]
  while let argument = rest.popFirst() {
    if ["--store", "--folder", "--passphrase-file"].contains(argument), let value = rest.popFirst() {
      options[argument] = value
    } else if argument.hasPrefix("--") {
      throw UsageError()
    } else {
      words.append(argument)
    }
  }
  return (options, words)
}

/// Prints at once, also into a pipe.
func say(_ line: String) { FileHandle.standardOutput.write(Data((line + "\n").utf8)) }

func show(_ rows: [Row<Todo>]) {
  for todo in rows { say("[\(todo.done ? "x" : " ")] \(todo.id)  \(todo.title)") }
  if rows.isEmpty { say("nothing to do") }
}

func run(_ options: [String: String], _ words: [String]) async throws {
  let secret = options["--passphrase-file"].map { URL(fileURLWithPath: $0) }
  let passphrase = secret.flatMap { try? String(contentsOf: $0, encoding: .utf8) }
  var configuration = Configuration(
    appName: "todo", store: .file(URL(fileURLWithPath: options["--store"] ?? "todo.db")), remotePath: "/Todo",
    passphrase: passphrase?.trimmingCharacters(in: .whitespacesAndNewlines))
  configuration.autoSync = words.first == "watch"
  let db = try await Interocitor.open(configuration)
  let todos = db.table("todos", of: Todo.self)
  let all = todos.query().order(by: \.done).order(by: \.title)

  func connect() async throws {
    guard let folder = options["--folder"] else {
      throw InterocitorError(.invalidArgument, reason: "there is nothing to sync with: give --folder DIR")
    }
    try await db.setRemoteStorage(.folder(URL(fileURLWithPath: folder)))
    if case .offline(let why) = try await db.connect() { throw InterocitorError(why.code, reason: why.reason) }
    if let secret, passphrase == nil, let made = db.getPassphrase() {
      try Data((made + "\n").utf8).write(to: secret)
      try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: secret.path)
    }
  }

  switch (words.first, words.count) {
  case ("add", 2):
    say(try await todos.add(Todo(title: words[1])))
  case ("complete", 2):
    guard try await todos.row(words[1]) != nil else {
      throw InterocitorError(.invalidArgument, reason: "there is no to-do \(words[1])")
    }
    try await todos.patch(words[1], .set(\.done, to: true))
  case ("list", 1):
    show(try await all.rows())
  case ("sync", 1):
    try await connect()
    try await db.sync()
    say("in sync")
  case ("watch", 1):
    if options["--folder"] != nil { try await connect() }
    for try await rows in all.observe() {
      show(rows)
      say("--")
    }
  default: throw UsageError()
  }
  try await db.shutdown()
}

do {
  let (options, words) = try parse(Array(CommandLine.arguments.dropFirst()))
  try await run(options, words)
} catch is UsageError {
  FileHandle.standardError.write(Data(usage.utf8))
  exit(2)
} catch let error as InterocitorError {
  FileHandle.standardError.write(Data("error[\(error.code.rawValue)]: \(error.reason)\n".utf8))
  exit(1)
}
