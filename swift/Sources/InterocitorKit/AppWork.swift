import Dispatch

/// Runs code of the app that the engine calls. It may block, which keychains and file systems do: then it stands on a
/// thread that is there for it, and not on one of the few that all tasks share.
///
/// Before iOS 18 and macOS 15 tasks cannot choose their threads; there the code runs where all tasks do.
func appWork<T>(_ call: () async throws -> T) async throws -> T {
  guard #available(iOS 18, macOS 15, tvOS 18, watchOS 11, visionOS 2, *) else { return try await call() }
  return try await withTaskExecutorPreference(AppThreads.shared) { try await call() }
}

/// Threads for code of the app.
@available(iOS 18, macOS 15, tvOS 18, watchOS 11, visionOS 2, *)
private final class AppThreads: TaskExecutor {
  static let shared = AppThreads()

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    // A queue for each piece of work: a serial queue has its thread at once, whoever else blocks. A concurrent one gets
    // more threads than there are cores only late.
    DispatchQueue(label: "interocitor.app").async { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
  }
}
