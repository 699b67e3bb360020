import Foundation
internal import InterocitorBindings

/// The rows of a query now, and again whenever they have changed. Made by ``RowQuery/observe()``.
///
/// Each loop over it observes by itself, from the moment it begins. (It is not called `Observation`: a type of that name
/// would hide the module that `@Observable` needs.)
public struct RowObservation<Element: Sendable>: AsyncSequence, Sendable {
  private let begin: @Sendable () throws -> InterocitorBindings.LiveQuery
  private let read: @Sendable (Data) throws -> Element

  init<Value>(_ query: RowQuery<Value>, read: @escaping @Sendable (Data, String) throws -> Element) {
    let table = query.table.name
    begin = {
      let query = try query.engineQuery()
      return try engine { try query.observe() }
    }
    self.read = { try read($0, table) }
  }

  /// Begins to observe.
  public func makeAsyncIterator() -> Iterator { Iterator(live: Live(Result { try begin() }), read: read) }

  /// The states of one loop.
  public struct Iterator: AsyncIteratorProtocol, Sendable {
    fileprivate let live: Live
    fileprivate let read: @Sendable (Data) throws -> Element

    /// The rows, as soon as they differ from those given last; nil when the database was shut down.
    public mutating func next() async throws -> Element? {
      try await live.next().map(read)
    }
  }

  /// A place in the engine that is given back when the loop lets go of it.
  fileprivate final class Live: Sendable {
    private let query: Result<InterocitorBindings.LiveQuery, any Error>

    init(_ query: Result<InterocitorBindings.LiveQuery, any Error>) { self.query = query }

    deinit { try? query.get().cancel() }

    func next() async throws -> Data? {
      try Task.checkCancellation()
      let query = try query.get()
      let page = try await withTaskCancellationHandler {
        try await engine { try await query.next() }
      } onCancel: {
        query.cancel()
      }
      // It ends when it is cancelled; the app is told why.
      if page == nil { try Task.checkCancellation() }
      return page
    }
  }
}
