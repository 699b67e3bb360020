import InterocitorKit
import SwiftUI

struct TodoList: View {
  let db: Interocitor
  @LiveQuery({ $0.table("todos", of: Todo.self).query().order(by: \.done).order(by: \.title) }) private var todos
  @State private var title = ""
  @State private var problem: String?

  private var table: TypedTable<Todo> { db.table("todos", of: Todo.self) }

  var body: some View {
    NavigationStack {
      List {
        Section {
          TextField("What is to be done?", text: $title).onSubmit { add() }
        }
        Section {
          ForEach(todos) { todo in
            Button {
              write { try await table.patch(todo.id, .set(\.done, to: !todo.done)) }
            } label: {
              Text(todo.title).strikethrough(todo.done)
            }
          }
          .onDelete { places in
            let ids = places.map { todos[$0].id }
            write {
              try await db.batch { batch in
                for id in ids { try batch.table("todos", of: Todo.self).delete(id) }
              }
            }
          }
        }
        footer
      }
      .navigationTitle("To do")
      .refreshable { await attempt { try await db.sync() } }
    }
  }

  @ViewBuilder private var footer: some View {
    if let problem {
      Text(problem)
    } else if #available(iOS 17, macOS 14, *) {
      SyncStatus(model: DatabaseModel(db))
    } else {
      EmptyView()
    }
  }

  private func add() {
    let todo = Todo(title: title)
    title = ""
    write { try await table.add(todo) }
  }

  /// Local writes never wait for the network; what fails is shown.
  private func write(_ work: @escaping @MainActor () async throws -> Void) {
    Task { await attempt(work) }
  }

  private func attempt(_ work: @MainActor () async throws -> Void) async {
    do {
      try await work()
      problem = nil
    } catch { problem = error.localizedDescription }
  }
}

@available(iOS 17, macOS 14, *)
struct SyncStatus: View {
  @State var model: DatabaseModel

  var body: some View {
    Text(text).task { await model.run() }
  }

  private var text: String {
    switch (model.connection, model.status?.pendingCount ?? 0) {
    case (.offline, 0): "Offline"
    case (.offline, let waiting): "Offline, \(waiting) changes wait"
    case (_, 0): "Up to date"
    case (_, let waiting): "Syncing \(waiting) changes"
    }
  }
}
