#if canImport(SwiftUI)
  import SwiftUI
  #if canImport(UIKit)
    import UIKit
  #endif

  extension EnvironmentValues {
    /// The database of the views: set by `View.interocitor(_:)`.
    public var interocitor: Interocitor? {
      get { self[DatabaseKey.self] }
      set { self[DatabaseKey.self] = newValue }
    }
  }

  private struct DatabaseKey: EnvironmentKey {
    static var defaultValue: Interocitor? { nil }
  }

  extension View {
    /// Gives a database to these views, and tells it when the user sees the app and whether there is a network:
    /// `@LiveQuery` finds it here.
    ///
    /// ```swift
    /// WindowGroup { TodoList().interocitor(db) }
    /// ```
    public func interocitor(_ db: Interocitor) -> some View { modifier(DatabaseModifier(db: db)) }
  }

  /// Follows the scene: in sight, out of sight, frozen.
  private struct DatabaseModifier: ViewModifier {
    let db: Interocitor
    @Environment(\.scenePhase) private var phase
    @State private var lifecycle: AppLifecycle?
    @State private var network: NetworkMonitor?

    func body(content: Content) -> some View {
      content
        .environment(\.interocitor, db)
        .task(id: phase) {
          let lifecycle = lifecycle ?? AppLifecycle(db)
          self.lifecycle = lifecycle
          if network == nil { network = NetworkMonitor(db) }
          switch phase {
          case .active: await lifecycle.enterForeground()
          case .background: leave(lifecycle)
          default: break
          }
        }
    }

    /// Goes on after the view has stopped: what was begun is finished, in time that is asked for.
    private func leave(_ lifecycle: AppLifecycle) {
      #if canImport(UIKit) && !os(watchOS)
        var identifier = UIBackgroundTaskIdentifier.invalid
        identifier = UIApplication.shared.beginBackgroundTask(withName: "Interocitor") {
          Task { await lifecycle.expire() }
        }
        let begun = identifier
        Task { @MainActor in
          await lifecycle.enterBackground()
          if begun != .invalid { UIApplication.shared.endBackgroundTask(begun) }
        }
      #else
        Task { await lifecycle.enterBackground() }
      #endif
    }
  }
#endif
