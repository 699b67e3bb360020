#if canImport(BackgroundTasks) && !os(macOS)
  import BackgroundTasks
  import Foundation

  /// Syncs now and then while the app is not in sight.
  ///
  /// List the identifier in `BGTaskSchedulerPermittedIdentifiers` of the app's Info.plist and add the background mode
  /// *fetch*. Then, before the app has finished launching:
  ///
  /// ```swift
  /// BackgroundSync.register("com.example.todo.sync") { try await AppModel.shared.database() }
  /// ```
  ///
  /// and, whenever the app goes out of sight, `try BackgroundSync.schedule("com.example.todo.sync")`. The operating system
  /// decides when it really happens.
  @available(macCatalyst 16, *)
  public enum BackgroundSync {
    /// Says what is done when the operating system gives the app some time. False where the identifier is not listed.
    @discardableResult
    public static func register(
      _ identifier: String, database: @escaping @Sendable () async throws -> Interocitor
    ) -> Bool {
      BGTaskScheduler.shared.register(forTaskWithIdentifier: identifier, using: nil) { task in
        // Each run asks for the next one.
        try? schedule(identifier)
        let running = Running(task)
        let work = Task {
          guard let db = try? await database() else { return running.end(false) }
          running.end(await AppLifecycle(db).refresh())
        }
        task.expirationHandler = { work.cancel() }
      }
    }

    /// Asks for a run, after this time at the earliest.
    public static func schedule(_ identifier: String, after delay: Duration = .seconds(15 * 60)) throws {
      let request = BGAppRefreshTaskRequest(identifier: identifier)
      request.earliestBeginDate = Date(timeIntervalSinceNow: Double(delay.milliseconds) / 1000)
      try BGTaskScheduler.shared.submit(request)
    }

    /// A run, which is ended from the task that does its work.
    private final class Running: @unchecked Sendable {
      // `setTaskCompleted` may be called from any thread.
      private let task: BGTask

      init(_ task: BGTask) { self.task = task }

      func end(_ isSuccess: Bool) { task.setTaskCompleted(success: isSuccess) }
    }
  }
#endif
