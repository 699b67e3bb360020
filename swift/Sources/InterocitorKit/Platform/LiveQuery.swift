#if canImport(SwiftUI)
  import Combine
  import SwiftUI

  /// The rows of a query, in a SwiftUI view: it is drawn again whenever they change.
  ///
  /// ```swift
  /// struct TodoList: View {
  ///   @LiveQuery({ $0.table("todos", of: Todo.self).query().order(by: \.title) }) var todos
  ///
  ///   var body: some View { List(todos) { Text($0.title) } }
  /// }
  /// ```
  ///
  /// The database is that of `View.interocitor(_:)`. Rows that do not fit are left out; `$todos` tells of them.
  @MainActor @propertyWrapper
  public struct LiveQuery<Value: Codable & Sendable>: DynamicProperty {
    /// More about the rows than the rows.
    public struct Progress: Sendable {
      /// Whether the first rows are there.
      public var isLoaded = false
      /// Why there are none, or none any more.
      public var error: (any Error)?
      /// Rows that do not fit the type.
      public var failures: [InterocitorError] = []
    }

    @Environment(\.interocitor) private var db
    @StateObject private var observer = Observer()
    private let query: @Sendable (Interocitor) -> RowQuery<Value>

    /// A query on the database of the view.
    public init(_ query: @escaping @Sendable (Interocitor) -> RowQuery<Value>) { self.query = query }

    /// The rows; none until the first are there.
    public var wrappedValue: [Row<Value>] { observer.rows }

    /// More about them.
    public var projectedValue: Progress { observer.progress }

    /// Begins to observe when the view appears, and anew with another database.
    public nonisolated mutating func update() {
      MainActor.assumeIsolated { [self] in observer.observe(db, query) }
    }

    @MainActor private final class Observer: ObservableObject {
      nonisolated let objectWillChange = ObservableObjectPublisher()
      private(set) var rows: [Row<Value>] = []
      private(set) var progress = Progress()
      private var db: Interocitor?
      private var loop: Task<Void, Never>?

      deinit { loop?.cancel() }

      func observe(_ db: Interocitor?, _ query: (Interocitor) -> RowQuery<Value>) {
        guard self.db !== db else { return }
        self.db = db
        loop?.cancel()
        guard let db else { return }
        let states = query(db).observeResults()
        loop = Task { [weak self] in
          do {
            for try await state in states { self?.show(state) }
          } catch is CancellationError {
          } catch { self?.show(error) }
        }
      }

      private func show(_ state: [Result<Row<Value>, InterocitorError>]) {
        objectWillChange.send()
        rows = state.compactMap { try? $0.get() }
        let failures = state.compactMap { if case .failure(let error) = $0 { error } else { nil } }
        progress = Progress(isLoaded: true, failures: failures)
      }

      private func show(_ error: any Error) {
        objectWillChange.send()
        progress.error = error
      }
    }
  }
#endif
