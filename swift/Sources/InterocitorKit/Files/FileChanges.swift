/// When a view of a file is to be loaded: at once, and then whenever something happened to the file.
struct FileChanges: Sendable {
  private var events: Events.Iterator
  private let path: String
  private var hasBegun = false

  /// Begins to listen.
  init(_ db: Interocitor, _ path: String) {
    events = db.events.makeAsyncIterator()
    // As the engine writes it.
    self.path = path.split(separator: "/").joined(separator: "/")
  }

  /// Waits until it is to be loaded, `orOnline` also when the mailbox answers again; false at the end.
  mutating func next(orOnline: Bool = false) async -> Bool {
    guard hasBegun else {
      hasBegun = true
      return true
    }
    while let event = await events.next() {
      switch event {
      case .fileState(path, _, _, _), .lagged: return true
      case .connectionChanged(.idle) where orOnline: return true
      default: continue
      }
    }
    return false
  }
}
