/// A row: its id and its columns as a value of the app's type, whose members can be read from the row itself.
@dynamicMemberLookup
public struct Row<Value> {
  /// Its id, unique within its table.
  public let id: String
  /// Its columns.
  public var value: Value

  /// A row, for tests and previews.
  public init(id: String, value: Value) {
    self.id = id
    self.value = value
  }

  /// A column.
  public subscript<Member>(dynamicMember member: KeyPath<Value, Member>) -> Member { value[keyPath: member] }
}

extension Row: Identifiable {}
extension Row: Sendable where Value: Sendable {}
extension Row: Equatable where Value: Equatable {}
extension Row: Hashable where Value: Hashable {}
