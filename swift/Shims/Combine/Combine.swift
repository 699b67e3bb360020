// What InterocitorKit uses of Combine, for type-checking on Linux. Declared by hand; does nothing.

public protocol ObservableObject: AnyObject {
  associatedtype ObjectWillChangePublisher
  var objectWillChange: ObjectWillChangePublisher { get }
}

public final class ObservableObjectPublisher: @unchecked Sendable {
  public init() {}
  public func send() {}
}
