import Foundation

/// A row type that says itself how its columns are called.
///
/// Key paths like `\.title` mostly need no help: the type's `Codable` names are found by decoding samples. Adopt this
/// where that cannot work, which the error says: a class, an `init(from:)` that checks its values, or an enum that is not
/// `CaseIterable`.
///
/// ```swift
/// extension Todo: NamedColumns {
///   static var columns: [PartialKeyPath<Todo>: String] { [\.title: "title", \.isDone: "done"] }
/// }
/// ```
public protocol NamedColumns {
  /// The columns by the properties that hold them.
  static var columns: [PartialKeyPath<Self>: String] { get }
}

/// A key path whose column is looked for later.
struct ColumnPath: Sendable {
  let name: @Sendable (_ table: String) throws(InterocitorError) -> String

  init<Root: Decodable, Value: Encodable>(_ path: KeyPath<Root, Value>) {
    // Key paths never change. One that holds the arguments of a subscript is no stored property and is only refused.
    nonisolated(unsafe) let path = path
    name = { table throws(InterocitorError) in try ColumnNames.name(of: path, in: table) }
  }
}

/// Finds the column of a stored property: decodes the type from samples that differ in one column, and sees which
/// property differs.
enum ColumnNames {
  /// The name, or why there is none.
  static func name<Root: Decodable, Value: Encodable>(
    of path: KeyPath<Root, Value>, in table: String
  ) throws(InterocitorError) -> String {
    cache.lock.lock()
    defer { cache.lock.unlock() }
    switch cache.names[path] {
    case .success(let name): return name
    case .failure(let problem): throw problem.error(path, table)
    case nil: break
    }
    let found = Result { () throws(Problem) in try find(path) }
    cache.names[path] = found
    switch found {
    case .success(let name): return name
    case .failure(let problem): throw problem.error(path, table)
    }
  }

  private struct Problem: Error {
    let why: String

    func error(_ path: AnyKeyPath, _ table: String) -> InterocitorError {
      .invalid(
        "column of \(table)",
        "\(type(of: path).rootType) does not tell which column a key path means: \(why). "
          + "Name the column as a string, or let the type conform to NamedColumns")
    }
  }

  private final class Cache: @unchecked Sendable {
    // A type that is being decoded may ask for columns itself.
    let lock = NSRecursiveLock()
    var names: [AnyKeyPath: Result<String, Problem>] = [:]
    /// By the row type.
    var samples: [ObjectIdentifier: Result<Any, Problem>] = [:]
  }

  private static let cache = Cache()

  private struct Samples<Root> {
    var plain: Root
    var changed: [(column: String, types: [ObjectIdentifier], row: Root)]
  }

  private static func find<Root: Decodable, Value: Encodable>(
    _ path: KeyPath<Root, Value>
  ) throws(Problem) -> String {
    if let named = Root.self as? any NamedColumns.Type, let name = given(named, path) { return name }
    guard Root.self is AnyObject.Type || MemoryLayout<Root>.offset(of: path) != nil else {
      throw Problem(why: "it is no stored property")
    }
    let samples = try samples(Root.self)
    let plain = encoded(samples.plain[keyPath: path])
    let hits = samples.changed.filter { sample in
      sample.types.contains(ObjectIdentifier(Value.self)) && encoded(sample.row[keyPath: path]) != plain
    }
    guard let hit = hits.first else { throw Problem(why: "no column changes it") }
    guard hits.count == 1 else {
      throw Problem(why: "the columns \(hits.map(\.column).sorted().joined(separator: ", ")) all change it")
    }
    return hit.column
  }

  private static func given<Named: NamedColumns>(_ type: Named.Type, _ path: AnyKeyPath) -> String? {
    (path as? PartialKeyPath<Named>).flatMap { type.columns[$0] }
  }

  private static func encoded(_ value: some Encodable) -> JSONValue? { try? RowEncoder.encode(value) }

  private static func samples<Root: Decodable>(_ type: Root.Type) throws(Problem) -> Samples<Root> {
    let kept = cache.samples[ObjectIdentifier(type)]
    let made = kept ?? Result { () throws(Problem) in try make(type) as Any }
    cache.samples[ObjectIdentifier(type)] = made
    switch made {
    case .success(let samples as Samples<Root>): return samples
    case .success: throw Problem(why: "its samples are of another type")
    case .failure(let problem): throw problem
    }
  }

  private static func make<Root: Decodable>(_ type: Root.Type) throws(Problem) -> Samples<Root> {
    do {
      let first = Probe(changed: nil)
      var samples = Samples(plain: try Root(from: SampleDecoder(probe: first)), changed: [])
      for (column, types) in first.columns {
        let probe = Probe(changed: column)
        samples.changed.append((column, types, try Root(from: SampleDecoder(probe: probe))))
      }
      return samples
    } catch let error as SampleDecoder.Unknown {
      throw Problem(why: "no sample of \(error.type) can be made")
    } catch { throw Problem(why: "its init(from:) refuses samples") }
  }
}
