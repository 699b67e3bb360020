#if canImport(Network)
  import Dispatch
  import Network

  /// Tells a database whether the device has a network, for as long as this value lives: without one nothing is tried in
  /// the background, and when it is back an exchange follows at once.
  ///
  /// `View.interocitor(_:)` does this; use it directly where the app has no SwiftUI.
  public final class NetworkMonitor: @unchecked Sendable {
    // Set up once, and cancelled with the last reference; both may be done on any thread.
    private let monitor = NWPathMonitor()

    /// Begins to tell.
    public init(_ db: Interocitor) {
      monitor.pathUpdateHandler = { [weak db] path in
        // What is there on demand, as a VPN can be, comes up when it is used.
        db?.setNetwork(path.status != .unsatisfied)
      }
      monitor.start(queue: DispatchQueue(label: "interocitor.network"))
    }

    deinit { monitor.cancel() }
  }
#endif
