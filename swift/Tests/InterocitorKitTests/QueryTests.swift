import Foundation
import InterocitorKit
import Testing

@Suite struct QueryTests {
  private func todos() async throws -> TypedTable<Todo> {
    let db = try await open()
    let todos = db.table("todos", of: Todo.self)
    try await db.batch { batch in
      for (id, title, rank, done) in [("a", "Ant", 3, false), ("b", "Bee", 1, true), ("c", "Cat", 2, false)] {
        try batch.table("todos", of: Todo.self).put(id, Todo(title, done: done, rank: rank))
      }
      try batch.table("todos", of: Todo.self).patch("c", .set(\.note, to: "Claws"), .set(\.priority, to: .high))
      try batch.table("todos", of: Todo.self).patch("b", .set(\.due, to: Date(timeIntervalSince1970: 5)))
    }
    return todos
  }

  @Test func operatorsByKeyPath() async throws {
    let todos = try await todos()
    let cases: [(RowQuery<Todo>, [String])] = [
      (todos.query().where(\.done, .equals(false)), ["a", "c"]),
      (todos.query().where(\.rank, .above(2)), ["a"]),
      (todos.query().where(\.rank, .aboveOrEqual(2)), ["a", "c"]),
      (todos.query().where(\.rank, .below(2)), ["b"]),
      (todos.query().where(\.rank, .belowOrEqual(2)), ["b", "c"]),
      (todos.query().where(\.rank, .between(1, 3)), ["a", "b", "c"]),
      (todos.query().where(\.rank, .between(1, 3, lowOpen: true, highOpen: true)), ["c"]),
      (todos.query().where(\.title, .startsWith("B")), ["b"]),
      (todos.query().where(\.note, .startsWith("Cl")), ["c"]),
      (todos.query().where(\.note, .equals("Claws")), ["c"]),
      (todos.query().where(\.rank, .anyOf([1, 3])), ["a", "b"]),
      (todos.query().where(\.priority, .equals(.high)), ["c"]),
      (todos.query().where(\.due, .above(Date(timeIntervalSince1970: 4))), ["b"]),
      (todos.query().where(\.rank >= 2), ["a", "c"]),
      (todos.query().where(\.rank > 2), ["a"]),
      (todos.query().where(\.rank < 2), ["b"]),
      (todos.query().where(\.rank <= 2), ["b", "c"]),
      (todos.query().where(\.title == "Cat"), ["c"]),
      (todos.query().where(\.note == "Claws"), ["c"]),
      (todos.query().where(\.done == false).where(\.rank > 2), ["a"]),
    ]
    for (index, (query, ids)) in cases.enumerated() {
      #expect(try await query.rows().map(\.id) == ids, "case \(index)")
      #expect(try await query.count() == ids.count, "case \(index)")
    }
  }

  @Test func operatorsByName() async throws {
    let todos = try await todos()
    let title = "Bee"
    #expect(try await todos.query().where("done", .equals(false)).rows().map(\.id) == ["a", "c"])
    #expect(try await todos.query().where("title", .equals(title)).rows().map(\.id) == ["b"])
    #expect(try await todos.query().where("title", .startsWith("A")).rows().map(\.id) == ["a"])
    #expect(try await todos.query().where("rank", .anyOf([1, 2])).rows().map(\.id) == ["b", "c"])
    #expect(try await todos.query().where("nothing", .equals(1)).rows().isEmpty)
  }

  @Test func order() async throws {
    let todos = try await todos()
    #expect(try await todos.query().order(by: \.rank).rows().map(\.id) == ["b", "c", "a"])
    #expect(try await todos.query().order(by: \.rank, descending: true).rows().map(\.id) == ["a", "c", "b"])
    #expect(try await todos.query().order(by: \.done).order(by: "title", descending: true).rows().map(\.id) == ["c", "a", "b"])
    #expect(try await todos.query().order(by: \.rank).limit(1).offset(1).rows().map(\.id) == ["c"])
    #expect(try await todos.query().order(by: \.rank).first()?.id == "b")
    #expect(try await todos.query().limit(0).first() == nil)
  }

  @Test func aQueryIsAValue() async throws {
    let all = try await todos().query()
    _ = all.where(\.done == true)
    #expect(try await all.count() == 3)
  }

  @Test func whatIsUnusableIsToldWhenTheQueryRuns() async throws {
    let todos = try await todos()
    await expectFailure(.invalidArgument) { try await todos.query().limit(-1).rows() }
    await expectFailure(.invalidArgument) { try await todos.query().offset(-1).count() }
    let error = await expectFailure(.invalidArgument) {
      try await todos.query().where(\.title.count, .equals(3)).rows()
    }
    #expect(error?.reason.contains("NamedColumns") == true)
    await expectFailure(.invalidArgument) { try await todos.query().order(by: \.title.isEmpty).count() }
    await expectFailure(.invalidArgument) { try await todos.query().where("rank", .equals(Double.nan)).rows() }
    await expectFailure(.invalidArgument) {
      for try await _ in todos.query().where(\.title.count == 3).observe() {}
    }
  }

  @Test func aRowThatDoesNotFitHidesNoOther() async throws {
    let db = try await open()
    let todos = db.table("todos", of: Todo.self)
    try await todos.put("a", Todo("good"))
    try await db.table("todos").put("b", ["title": "bad", "done": "secret", "rank": 1, "priority": "low"])
    try await db.table("todos").put("c", ["title": "incomplete"])
    try await todos.put("d", Todo("good too"))

    let results = try await todos.query().results()
    #expect(results.map { (try? $0.get())?.id } == ["a", nil, nil, "d"])
    let bad = try #require(results[1].failure)
    #expect(bad.code == .decode && bad.place == .init(table: "todos", rowID: "b", field: "done"))
    #expect(bad.reason.contains("todos") && bad.reason.contains("\"b\"") && bad.reason.contains("done"))
    #expect(!bad.reason.contains("secret"))
    #expect(results[2].failure?.place?.field == "done")

    let thrown = await expectFailure(.decode) { try await todos.rows() }
    #expect(thrown == bad)
    await expectFailure(.decode) { try await todos.row("b") }
    #expect(try await todos.count() == 4)
  }

  @Test func aCancelledTaskReadsNothing() async throws {
    let todos = try await todos()
    let task = Task {
      withUnsafeCurrentTask { $0?.cancel() }
      return try await todos.rows()
    }
    await #expect(throws: CancellationError.self) { try await task.value }
  }

  @Test func rowsAreStoredText() async throws {
    let todos = try await todos()
    let page = try JSONValue(json: try await todos.query().where(\.title == "Bee").json())
    #expect(page.array?.count == 1)
    #expect(page.array?[0]["id"] == "b")
    #expect(page.array?[0]["row"]?["title"] == "Bee")
  }
}
