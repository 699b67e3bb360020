import Foundation

/// What the operating system does to an app, passed on to its database: in sight it syncs, out of sight it finishes what
/// it began and lets go of its files before the app is frozen. (iOS ends apps that are frozen with a file locked.)
///
/// `View.interocitor(_:)` and `BackgroundSync` do all this; use it directly where the app has no SwiftUI.
public actor AppLifecycle {
  private let db: Interocitor
  private let grace: Duration
  private var isForeground = false
  private var leaving: Task<Void, Never>?

  /// For a database. `grace` is how long it may take to publish what waits when the app goes out of sight.
  public init(_ db: Interocitor, grace: Duration = .seconds(20)) {
    self.db = db
    self.grace = grace
  }

  /// The user sees the app: the files are taken up again, and what is new is pulled.
  public func enterForeground() async {
    isForeground = true
    leaving?.cancel()
    await leaving?.value
    leaving = nil
    guard isForeground else { return }
    try? await db.resume()
    db.setForeground(true)
  }

  /// The user does not see the app any more. Publishes what waits, as long as that is allowed, then lets go of the files.
  /// Returns when no lock is held; cancelling, or ``expire()``, makes that come soon.
  public func enterBackground() async {
    isForeground = false
    db.setForeground(false)
    let (db, grace) = (db, grace)
    let task = Task {
      if db.connectionState != .offline { try? await db.syncOnce(deadline: grace) }
    }
    leaving = task
    await withTaskCancellationHandler {
      await task.value
    } onCancel: {
      task.cancel()
    }
    guard !isForeground else { return }
    try? await db.suspend()
  }

  /// The operating system allows no more time.
  public func expire() { leaving?.cancel() }

  /// Exchanges once in the time that the operating system gives to an app in the background, and lets go of the files
  /// again. Tells whether it succeeded.
  public func refresh(deadline: Duration = .seconds(25)) async -> Bool {
    do {
      try await db.resume()
      try await db.syncOnce(deadline: deadline)
    } catch {
      if !isForeground { try? await db.suspend() }
      return false
    }
    if !isForeground { try? await db.suspend() }
    return true
  }
}
