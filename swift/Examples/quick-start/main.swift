import Foundation
import InterocitorKit

struct Todo: Codable, Sendable {
  var title: String
  var done = false
}

let db = try await Interocitor.open(
  Configuration(appName: "todo", store: .file(URL(fileURLWithPath: "todo.db")), remotePath: "/Todo"))
let todos = db.table("todos", of: Todo.self)  // ready for offline work

let id = try await todos.add(Todo(title: "Buy milk"))
try await todos.patch(id, .set(\.done, to: true))  // only this column gets a new clock

try await db.batch { batch in  // all or nothing, here and for every peer
  try batch.table("todos", of: Todo.self).add(Todo(title: "Bake bread"))
  try batch.table("log").add(["what": "planned the weekend"])
}

let open = todos.query().where(\.done == false).order(by: \.title).limit(20)
for try await rows in open.observe() {  // now, and again after every change
  for todo in rows { print(todo.title) }
  break
}

let folder = URL(fileURLWithPath: "mailbox")  // any folder that is synced: the engine never makes it
try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
try await db.setRemoteStorage(.folder(folder))
_ = try await db.connect()  // founds the mesh in an empty mailbox, else joins; then polls and publishes by itself
print("other devices need this:", db.getPassphrase() ?? "")
try await db.shutdown()
