import Foundation
internal import InterocitorBindings

/// How things stand, as it changes: ``Interocitor/statuses``. Each loop over it watches by itself, from the moment it
/// begins, and is given the present status first.
public struct Statuses: AsyncSequence, Sendable {
  private let db: InterocitorBindings.Interocitor

  init(_ db: InterocitorBindings.Interocitor) { self.db = db }

  /// Begins to watch.
  public func makeAsyncIterator() -> Iterator {
    Iterator(
      watch: Watch {
        let watch = try db.watchStatus()
        return (next: { try await watch.next().map(Status.init) }, cancel: { watch.cancel() })
      })
  }

  /// The statuses of one loop.
  public struct Iterator: AsyncIteratorProtocol, Sendable {
    fileprivate let watch: Watch<Status>

    /// The status, as soon as it differs from the one given last; nil when the database was shut down. After a failure
    /// of the store it may be asked again.
    public mutating func next() async throws -> Status? { try await watch.next() }
  }
}

/// A place in the engine from which something is taken as it changes; given back when a loop lets go of it.
final class Watch<Element: Sendable>: Sendable {
  typealias Place = (next: @Sendable () async throws -> Element?, cancel: @Sendable () -> Void)

  private let place: Result<Place, any Error>

  init(_ begin: () throws -> Place) { place = Result { try engine(begin) } }

  deinit { try? place.get().cancel() }

  func next() async throws -> Element? {
    try Task.checkCancellation()
    let place = try place.get()
    let element = try await withTaskCancellationHandler {
      try await engine(place.next)
    } onCancel: {
      place.cancel()
    }
    // It ends when it is cancelled; the app is told why.
    if element == nil { try Task.checkCancellation() }
    return element
  }
}
