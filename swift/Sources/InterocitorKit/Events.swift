import Foundation
internal import InterocitorBindings

/// What happens in a database: ``Interocitor/events``. Each loop over it listens by itself, from the moment it begins.
public struct Events: AsyncSequence, Sendable {
  private let db: InterocitorBindings.Interocitor

  init(_ db: InterocitorBindings.Interocitor) { self.db = db }

  /// Begins to listen.
  public func makeAsyncIterator() -> Iterator {
    Iterator(listening: Listening(db) { queue, event in
      guard queue.count < 1000 else {
        // Whoever is so far behind reads everything again, and what happened to the connection is past.
        queue = [.lagged]
        return
      }
      queue.append(event)
    })
  }

  /// The events of one loop.
  public struct Iterator: AsyncIteratorProtocol, Sendable {
    fileprivate let listening: Listening<Event>

    /// The next event; nil when the `Task` was cancelled or the database was shut down.
    public mutating func next() async -> Event? { await listening.next() }
  }
}

/// The states of a connection: ``Interocitor/connectionStates``. The first is given at once; later ones are folded
/// together until they are asked for.
public struct ConnectionStates: AsyncSequence, Sendable {
  private let db: InterocitorBindings.Interocitor

  init(_ db: InterocitorBindings.Interocitor) { self.db = db }

  /// Begins to listen.
  public func makeAsyncIterator() -> Iterator {
    let listening = Listening<ConnectionState>(db) { queue, event in
      if case .connectionChanged(let state) = event { queue = [state] }
    }
    return Iterator(listening: listening, first: ConnectionState(db.connectionState()))
  }

  /// The states of one loop.
  public struct Iterator: AsyncIteratorProtocol, Sendable {
    fileprivate let listening: Listening<ConnectionState>
    fileprivate var first: ConnectionState?
    private var last: ConnectionState?

    fileprivate init(listening: Listening<ConnectionState>, first: ConnectionState) {
      self.listening = listening
      self.first = first
    }

    /// The state, as soon as it differs from the one given last; nil when the `Task` was cancelled or the database was
    /// shut down.
    public mutating func next() async -> ConnectionState? {
      if let state = first {
        (first, last) = (nil, state)
        return Task.isCancelled ? nil : state
      }
      while let state = await listening.next() {
        if state != last {
          last = state
          return state
        }
      }
      return nil
    }
  }
}

/// A listener's place, and what waits to be taken from it. Given back with the last reference.
private final class Listening<Element: Sendable>: Sendable {
  private let queue = Queue<Element>()
  private let subscription: Subscription?

  init(
    _ db: InterocitorBindings.Interocitor, put: @escaping @Sendable (inout [Element], Event) -> Void
  ) {
    // The engine alone holds the bridge: when it lets go of it, at a shutdown, the queue ends.
    subscription = try? db.subscribe(listener: EventBridge(queue: queue, put: put))
    // A database that was shut down takes no listeners.
    if subscription == nil { queue.finish() }
  }

  deinit { subscription?.cancel() }

  func next() async -> Element? { await queue.next() }
}

/// A listener as the engine calls it.
private final class EventBridge<Element: Sendable>: EventListener {
  private let queue: Queue<Element>
  private let put: @Sendable (inout [Element], Event) -> Void

  init(queue: Queue<Element>, put: @escaping @Sendable (inout [Element], Event) -> Void) {
    self.queue = queue
    self.put = put
  }

  deinit { queue.finish() }

  func onEvents(events: [InterocitorBindings.Event]) {
    queue.add { waiting in
      for event in events { put(&waiting, Event(event)) }
    }
  }
}

/// What waits between a thread of the engine and one task that takes it.
final class Queue<Element: Sendable>: @unchecked Sendable {
  private let lock = NSLock()
  private var waiting: [Element] = []
  private var isFinished = false
  private var takers: [UInt64: CheckedContinuation<Element?, Never>] = [:]
  private var lastTaker: UInt64 = 0

  /// Adds something; it is handed over at once where somebody waits for it.
  func add(_ change: (inout [Element]) -> Void) {
    lock.lock()
    change(&waiting)
    var handed: [(CheckedContinuation<Element?, Never>, Element)] = []
    while !waiting.isEmpty, let taker = takers.keys.min(), let continuation = takers.removeValue(forKey: taker) {
      handed.append((continuation, waiting.removeFirst()))
    }
    lock.unlock()
    for (continuation, element) in handed { continuation.resume(returning: element) }
  }

  /// Nothing comes any more. What waits is still given.
  func finish() {
    lock.lock()
    isFinished = true
    let ended = takers
    takers = [:]
    lock.unlock()
    for continuation in ended.values { continuation.resume(returning: nil) }
  }

  /// The next element; nil at the end and where the task was cancelled.
  func next() async -> Element? {
    let taker = lock.withLock {
      lastTaker += 1
      return lastTaker
    }
    return await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        lock.lock()
        if Task.isCancelled {
          lock.unlock()
          continuation.resume(returning: nil)
        } else if !waiting.isEmpty {
          let element = waiting.removeFirst()
          lock.unlock()
          continuation.resume(returning: element)
        } else if isFinished {
          lock.unlock()
          continuation.resume(returning: nil)
        } else {
          takers[taker] = continuation
          lock.unlock()
        }
      }
    } onCancel: {
      lock.lock()
      let continuation = takers.removeValue(forKey: taker)
      lock.unlock()
      continuation?.resume(returning: nil)
    }
  }
}
