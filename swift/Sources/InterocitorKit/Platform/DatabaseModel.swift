// The library behind Observation does not link on Linux in Swift 6.0, and no view is there to use it.
#if canImport(SwiftUI)
  import Observation

  /// The state of a database, for views: what is connected, what waits, what went wrong.
  ///
  /// ```swift
  /// struct SyncStatus: View {
  ///   @State var model: DatabaseModel
  ///
  ///   var body: some View {
  ///     Text(model.status?.pendingCount == 0 ? "Up to date" : "Waiting").task { await model.run() }
  ///   }
  /// }
  /// ```
  @available(iOS 17, macOS 14, tvOS 17, watchOS 10, visionOS 1, *)
  @MainActor @Observable
  public final class DatabaseModel {
    /// The database.
    @ObservationIgnored public let db: Interocitor
    /// State of the connection.
    public private(set) var connection: ConnectionState
    /// How things stand; nil until it is known.
    public private(set) var status: Status?

    /// The model of a database. It shows nothing new until ``run()``.
    public init(_ db: Interocitor) {
      self.db = db
      connection = db.connectionState
    }

    /// Follows the database until the task is cancelled, as that of a view is when it disappears, or the database is shut
    /// down.
    public func run() async {
      var statuses = db.statuses.makeAsyncIterator()
      while true {
        do {
          guard let now = try await statuses.next() else { break }
          (connection, status) = (now.connection, now)
        } catch let error as InterocitorError where error.code != .shutDown {
          // The store cannot be read now: the next time that something happens it is asked again.
        } catch { break }
      }
      connection = db.connectionState
    }
  }
#endif
