import InterocitorKit
import SwiftUI

/// A to-do list for iOS and macOS. Add these files to a new app target that depends on InterocitorKit.
@main
struct TodoApp: App {
  private static let refresh = "dev.interocitor.todo.sync"

  init() {
    #if canImport(BackgroundTasks) && !os(macOS)
      BackgroundSync.register(Self.refresh) { try await Database.shared.open() }
    #endif
  }

  var body: some Scene {
    WindowGroup { Start() }
  }
}

struct Todo: Codable, Sendable {
  var title: String
  var done = false
}

/// The app's one database.
actor Database {
  static let shared = Database()
  private var opening: Task<Interocitor, any Error>?

  func open() async throws -> Interocitor {
    if let opening { return try await opening.value }
    let task = Task {
      let folder = try FileManager.default.url(
        for: .applicationSupportDirectory, in: .userDomainMask, appropriateFor: nil, create: true)
      return try await Interocitor.open(
        Configuration(appName: "Todo", store: .file(folder.appendingPathComponent("todo.db")), remotePath: "/Todo"))
    }
    opening = task
    do { return try await task.value } catch {
      // The next one tries again.
      opening = nil
      throw error
    }
  }
}

/// Opens the database, then shows the list.
struct Start: View {
  @State private var db: Interocitor?
  @State private var problem: String?

  var body: some View {
    if let db {
      TodoList(db: db).interocitor(db)
    } else if let problem {
      Text(problem)
    } else {
      ProgressView().task {
        do { db = try await Database.shared.open() } catch { problem = error.localizedDescription }
      }
    }
  }
}
