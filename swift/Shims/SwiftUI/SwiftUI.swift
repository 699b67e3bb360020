// What InterocitorKit and its sample use of SwiftUI, for type-checking on Linux. Declared by hand from the documentation;
// does nothing.

@_exported import Combine
@_exported import Foundation
#if canImport(UIKit)
  import UIKit
#else
  import AppKit
#endif

// MARK: views

@MainActor @preconcurrency public protocol View {
  associatedtype Body: View
  @ViewBuilder var body: Body { get }
}

extension Never: View {
  public var body: Never { fatalError() }
}

extension Optional: View where Wrapped: View {
  public var body: Never { fatalError() }
}

public struct EmptyView: View {
  public nonisolated init() {}
  public var body: Never { fatalError() }
}

public struct AnyShim: View {
  nonisolated init() {}
  public var body: Never { fatalError() }
}

@resultBuilder public enum ViewBuilder {
  public static func buildBlock() -> EmptyView { EmptyView() }
  public static func buildBlock<Content: View>(_ content: Content) -> Content { content }
  public static func buildBlock<each Content: View>(_ content: repeat each Content) -> AnyShim { AnyShim() }
  public static func buildIf<Content: View>(_ content: Content?) -> Content? { content }
  public static func buildLimitedAvailability<Content: View>(_ content: Content) -> AnyShim { AnyShim() }
  public static func buildEither<First: View, Second: View>(first: First) -> _ConditionalContent<First, Second> { fatalError() }
  public static func buildEither<First: View, Second: View>(second: Second) -> _ConditionalContent<First, Second> { fatalError() }
}

public struct _ConditionalContent<First: View, Second: View>: View {
  public var body: Never { fatalError() }
}

public struct Text: View {
  public init(_ content: String) {}
  public var body: Never { fatalError() }
  public func strikethrough(_ isActive: Bool = true) -> Text { self }
}

public struct List<Content: View>: View {
  public init<Data: RandomAccessCollection, Row: View>(
    _ data: Data, @ViewBuilder rowContent: @escaping (Data.Element) -> Row
  ) where Data.Element: Identifiable, Content == AnyShim {}
  public init(@ViewBuilder content: () -> Content) {}
  public var body: Never { fatalError() }
}

public struct ForEach<Data: RandomAccessCollection, Content: View>: View where Data.Element: Identifiable {
  public init(_ data: Data, @ViewBuilder content: @escaping (Data.Element) -> Content) {}
  public var body: Never { fatalError() }
  public func onDelete(perform action: ((IndexSet) -> Void)?) -> some View { AnyShim() }
}

public struct Section<Content: View>: View {
  public init(@ViewBuilder content: () -> Content) {}
  public init(_ title: String, @ViewBuilder content: () -> Content) {}
  public var body: Never { fatalError() }
}

public struct NavigationStack<Content: View>: View {
  public init(@ViewBuilder root: () -> Content) {}
  public var body: Never { fatalError() }
}

public struct Button<Label: View>: View {
  public init(action: @escaping @MainActor () -> Void, @ViewBuilder label: () -> Label) {}
  public init(_ title: String, action: @escaping @MainActor () -> Void) where Label == Text {}
  public var body: Never { fatalError() }
}

public struct TextField: View {
  public init(_ title: String, text: Binding<String>) {}
  public var body: Never { fatalError() }
}

public struct Image: View, Sendable {
  #if canImport(UIKit)
    public nonisolated init(uiImage: UIImage) {}
  #else
    public nonisolated init(nsImage: NSImage) {}
  #endif
  public var body: Never { fatalError() }
  public nonisolated func resizable() -> Image { self }
}

public enum AsyncImagePhase: Sendable {
  case empty
  case success(Image)
  case failure(any Error)

  public var image: Image? { nil }
}

public struct Color: View, Sendable {
  public static let gray = Color()
  public var body: Never { fatalError() }
  public func opacity(_ opacity: Double) -> Color { self }
}

public struct ProgressView: View {
  public init() {}
  public var body: Never { fatalError() }
}

extension View {
  public func environment<Value>(_ path: WritableKeyPath<EnvironmentValues, Value>, _ value: Value) -> some View { AnyShim() }
  public func task(priority: TaskPriority = .userInitiated, @_inheritActorContext _ action: @escaping @Sendable () async -> Void) -> some View { AnyShim() }
  public func task<ID: Equatable>(
    id: ID, priority: TaskPriority = .userInitiated, @_inheritActorContext _ action: @escaping @Sendable () async -> Void
  ) -> some View { AnyShim() }
  public func modifier<Modifier: ViewModifier>(_ modifier: Modifier) -> some View { AnyShim() }
  public func scaledToFit() -> some View { AnyShim() }
  public func scaledToFill() -> some View { AnyShim() }
  public func frame(width: CGFloat? = nil, height: CGFloat? = nil) -> some View { AnyShim() }
  public func navigationTitle(_ title: String) -> some View { AnyShim() }
  public func onSubmit(_ action: @escaping () -> Void) -> some View { AnyShim() }
  public func refreshable(@_inheritActorContext action: @escaping @Sendable () async -> Void) -> some View { AnyShim() }
}

@MainActor @preconcurrency public protocol ViewModifier {
  associatedtype Body: View
  typealias Content = AnyShim
  @ViewBuilder func body(content: Content) -> Body
}

// MARK: state

@MainActor @preconcurrency public protocol DynamicProperty {
  mutating func update()
}

extension DynamicProperty {
  public mutating func update() {}
}

@propertyWrapper public struct State<Value>: DynamicProperty {
  public init(wrappedValue: Value) { self.wrappedValue = wrappedValue }
  public init(initialValue: Value) { wrappedValue = initialValue }
  public var wrappedValue: Value { get { fatalError() } nonmutating set {} }
  public var projectedValue: Binding<Value> { fatalError() }
}

extension State where Value: ExpressibleByNilLiteral {
  public init() { self.init(wrappedValue: nil) }
}

extension State: Sendable where Value: Sendable {}

@propertyWrapper @dynamicMemberLookup public struct Binding<Value> {
  public init(get: @escaping () -> Value, set: @escaping (Value) -> Void) {}
  public var wrappedValue: Value { get { fatalError() } nonmutating set {} }
  public var projectedValue: Binding<Value> { self }
  public subscript<Member>(dynamicMember path: WritableKeyPath<Value, Member>) -> Binding<Member> { fatalError() }
}

@MainActor @preconcurrency @propertyWrapper public struct StateObject<Object: ObservableObject>: DynamicProperty {
  public nonisolated init(wrappedValue object: @autoclosure @escaping () -> Object) {}
  public var wrappedValue: Object { fatalError() }
}

public struct EnvironmentValues {
  public subscript<Key: EnvironmentKey>(key: Key.Type) -> Key.Value { get { fatalError() } set {} }
  public var scenePhase: ScenePhase { get { fatalError() } set {} }
}

public protocol EnvironmentKey {
  associatedtype Value
  static var defaultValue: Value { get }
}

@propertyWrapper public struct Environment<Value>: DynamicProperty {
  public init(_ path: KeyPath<EnvironmentValues, Value>) {}
  public var wrappedValue: Value { fatalError() }
}

public enum ScenePhase: Comparable, Hashable, Sendable { case background, inactive, active }

// MARK: apps

@MainActor @preconcurrency public protocol App {
  associatedtype Body: Scene
  @SceneBuilder var body: Body { get }
  init()
}

extension App {
  public static func main() {}
}

@MainActor @preconcurrency public protocol Scene {}

@resultBuilder public enum SceneBuilder {
  public static func buildBlock<Content: Scene>(_ content: Content) -> Content { content }
}

public struct WindowGroup<Content: View>: Scene {
  public init(@ViewBuilder content: @escaping () -> Content) {}
}
