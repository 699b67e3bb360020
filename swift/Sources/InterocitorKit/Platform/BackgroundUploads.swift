import Foundation

#if canImport(FoundationNetworking)
  import FoundationNetworking
#endif

/// Carries uploads in a background session of `URLSession`: they go on while the app is frozen, and the operating system
/// wakes the app when they have ended. Make one for a process, early, and keep it.
///
/// Where there are no background sessions, as on Linux, an ordinary one carries them.
///
/// Let the app tell when it was woken, so that the operating system may freeze it again:
///
/// ```swift
/// func application(
///   _ application: UIApplication, handleEventsForBackgroundURLSession identifier: String,
///   completionHandler: @escaping () -> Void
/// ) {
///   uploads.handleEvents(completion: completionHandler)
/// }
/// ```
///
/// What an ended app had under way is cancelled when this is made again: the engine uploads it anew.
public final class BackgroundUploads: PlatformHTTP {
  private let session: URLSession
  private let delegate = Delegate()
  private let swept: Task<Void, Never>

  /// - Parameters:
  ///   - identifier: Names the session; no other session of the app has the same.
  ///   - allowsCellular: Whether uploads may go over a mobile network.
  ///   - isDiscretionary: Whether the operating system chooses the time, such as on Wi-Fi while charging.
  public init(identifier: String, allowsCellular: Bool = true, isDiscretionary: Bool = false) {
    #if canImport(FoundationNetworking)
      let configuration = URLSessionConfiguration.ephemeral
    #else
      let configuration = URLSessionConfiguration.background(withIdentifier: identifier)
      configuration.isDiscretionary = isDiscretionary
      configuration.sessionSendsLaunchEvents = true
    #endif
    configuration.allowsCellularAccess = allowsCellular
    configuration.httpShouldSetCookies = false
    configuration.urlCache = nil
    session = URLSession(configuration: configuration, delegate: delegate, delegateQueue: nil)
    // Nobody waits for what a former process began.
    let session = session
    swept = Task {
      let left = await withCheckedContinuation { found in session.getAllTasks { found.resume(returning: $0) } }
      for task in left { task.cancel() }
    }
  }

  /// For `application(_:handleEventsForBackgroundURLSession:completionHandler:)`: `completion` is called on the main queue
  /// when everything that the operating system woke the app for has been heard.
  public func handleEvents(completion: @escaping () -> Void) {
    delegate.wake(Completion(call: completion))
  }

  public func upload(_ request: UploadRequest) async throws -> UploadResponse {
    await swept.value
    let task = session.uploadTask(with: request.request, fromFile: request.file)
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { waiter in
        delegate.expect(task.taskIdentifier, waiter)
        if Task.isCancelled { task.cancel() } else { task.resume() }
      }
    } onCancel: {
      task.cancel()
    }
  }

  deinit { session.invalidateAndCancel() }
}

/// What UIKit gave, to be called on the main queue only.
private struct Completion: @unchecked Sendable {
  let call: () -> Void
}

/// Hears what becomes of uploads. Everything in it is guarded by its lock.
private final class Delegate: NSObject, URLSessionDataDelegate, @unchecked Sendable {
  private struct Upload {
    let waiter: CheckedContinuation<UploadResponse, any Error>
    var body = Data()
  }

  /// The longest answer that is kept, in bytes: the engine refuses longer ones.
  private static let answerLimit = 1024 * 1024 + 1

  private let lock = NSLock()
  private var uploads: [Int: Upload] = [:]
  private var completions: [Completion] = []

  func expect(_ task: Int, _ waiter: CheckedContinuation<UploadResponse, any Error>) {
    lock.withLock { uploads[task] = Upload(waiter: waiter) }
  }

  func wake(_ completion: Completion) { lock.withLock { completions.append(completion) } }

  func urlSession(
    _ session: URLSession, task: URLSessionTask, willPerformHTTPRedirection response: HTTPURLResponse,
    newRequest request: URLRequest, completionHandler: @escaping @Sendable (URLRequest?) -> Void
  ) {
    completionHandler(nil)
  }

  func urlSession(_ session: URLSession, dataTask: URLSessionDataTask, didReceive data: Data) {
    lock.withLock {
      let room = Self.answerLimit - (uploads[dataTask.taskIdentifier]?.body.count ?? 0)
      uploads[dataTask.taskIdentifier]?.body.append(data.prefix(max(0, room)))
    }
  }

  func urlSession(_ session: URLSession, task: URLSessionTask, didCompleteWithError error: (any Error)?) {
    guard let upload = lock.withLock({ uploads.removeValue(forKey: task.taskIdentifier) }) else { return }
    guard error == nil, let answer = task.response as? HTTPURLResponse else {
      upload.waiter.resume(throwing: Self.fault(of: error))
      return
    }
    var headers: [String: String] = [:]
    for (name, value) in answer.allHeaderFields {
      if let name = name as? String, let value = value as? String { headers[name] = value }
    }
    upload.waiter.resume(returning: UploadResponse(status: answer.statusCode, headers: headers, body: upload.body))
  }

  func urlSessionDidFinishEvents(forBackgroundURLSession session: URLSession) {
    let woken = lock.withLock { () -> [Completion] in
      defer { completions = [] }
      return completions
    }
    DispatchQueue.main.async { for completion in woken { completion.call() } }
  }

  /// What hindered an upload. The text of the system names addresses, and is left out.
  private static func fault(of error: (any Error)?) -> any Error {
    guard let code = (error as? URLError)?.code else {
      return MailboxError(.unavailable, reason: "the upload ended without an answer")
    }
    switch code {
    case .cancelled: return CancellationError()
    case .timedOut: return MailboxError(.timeout, reason: "no answer came in time")
    case .notConnectedToInternet, .networkConnectionLost, .cannotConnectToHost, .cannotFindHost, .dnsLookupFailed,
      .dataNotAllowed, .internationalRoamingOff:
      return MailboxError(.offline, reason: "the server cannot be reached")
    default: return MailboxError(.unavailable, reason: "the upload failed (URLError \(code.rawValue))")
    }
  }
}
