// What InterocitorKit uses of BackgroundTasks, for type-checking on Linux. Declared by hand; does nothing.

import Foundation

open class BGTask {
  public let identifier: String
  open var expirationHandler: (() -> Void)?
  init(identifier: String) { self.identifier = identifier }
  open func setTaskCompleted(success: Bool) {}
}

open class BGTaskRequest {
  public let identifier: String
  open var earliestBeginDate: Date?
  init(_ identifier: String) { self.identifier = identifier }
}

open class BGAppRefreshTaskRequest: BGTaskRequest {
  public init(identifier: String) { super.init(identifier) }
}

open class BGTaskScheduler: @unchecked Sendable {
  public static let shared = BGTaskScheduler()
  open func register(
    forTaskWithIdentifier identifier: String, using queue: DispatchQueue?, launchHandler: @escaping (BGTask) -> Void
  ) -> Bool { false }
  open func submit(_ request: BGTaskRequest) throws {}
}
