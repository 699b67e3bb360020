import Foundation
internal import InterocitorBindings

/// How things stand, as it changes: ``Interocitor/statuses``. Each loop over it watches by itself, from the moment it
/// begins, and is given the present status first.
public struct Statuses: AsyncSequence, Sendable {
  private let db: InterocitorBindings.Interocitor

  init(_ db: InterocitorBindings.Interocitor) { self.db = db }

  /// Begins to watch.
  public func makeAsyncIterator() -> Iterator { Iterator(watch: Watch(Result { try engine { try db.watchStatus() } })) }

  /// The statuses of one loop.
  public struct Iterator: AsyncIteratorProtocol, Sendable {
    fileprivate let watch: Watch

    /// The status, as soon as it differs from the one given last; nil when the database was shut down. After a failure
    /// of the store it may be asked again.
    public mutating func next() async throws -> Status? { try await watch.next() }
  }

  /// A place in the engine that is given back when the loop lets go of it.
  fileprivate final class Watch: Sendable {
    private let watch: Result<InterocitorBindings.StatusWatch, any Error>

    init(_ watch: Result<InterocitorBindings.StatusWatch, any Error>) { self.watch = watch }

    deinit { try? watch.get().cancel() }

    func next() async throws -> Status? {
      try Task.checkCancellation()
      let watch = try watch.get()
      let status = try await withTaskCancellationHandler {
        try await engine { try await watch.next() }
      } onCancel: {
        watch.cancel()
      }
      // It ends when it is cancelled; the app is told why.
      if status == nil { try Task.checkCancellation() }
      return try status.map(Status.init)
    }
  }
}
