import Foundation
import InterocitorKit
import Testing

@Suite struct TableTests {
  @Test func aRowIsReadAsItWasAdded() async throws {
    let todos = try await open().table("todos", of: Todo.self)
    var todo = Todo("Buy milk", rank: 3, note: "two")
    todo.due = Date(timeIntervalSince1970: 1_767_323_045.678)
    todo.priority = .high
    let id = try await todos.add(todo)
    let row = try #require(try await todos.row(id))
    #expect(row.id == id)
    #expect(row.value == todo)
    #expect(row.title == "Buy milk")
    #expect(todos.name == "todos")
    #expect(try await todos.row("nobody") == nil)
  }

  @Test func anIDMayHaveAPrefix() async throws {
    let id = try await open().table("todos", of: Todo.self).add(Todo("a"), prefix: "todo")
    #expect(id.hasPrefix("todo_"))
  }

  @Test func columnsAreStoredAsAnyClientReadsThem() async throws {
    let todos = try await open().table("todos", of: Todo.self)
    var todo = Todo("a", done: true, rank: 2)
    todo.due = Date(timeIntervalSince1970: 0)
    try await todos.put("x", todo)
    let row = try #require(try await todos.json("x"))
    #expect(
      try JSONValue(json: row) == [
        "title": "a", "done": true, "rank": 2, "note": nil, "due": "1970-01-01T00:00:00.000Z", "priority": "low",
      ])
  }

  @Test func addWritesNoColumnsForNil() async throws {
    let todos = try await open().table("todos", of: Todo.self)
    let id = try await todos.add(Todo("a"))
    let row = try JSONValue(json: try #require(try await todos.json(id)))
    #expect(row["note"] == nil)
    #expect(row["title"] == "a")
  }

  @Test func putClearsWhatIsNilAndKeepsColumnsTheTypeDoesNotKnow() async throws {
    let db = try await open()
    try await db.table("todos").put("x", ["title": "a", "note": "n", "colour": "red"])
    let todos = db.table("todos", of: Todo.self)
    try await todos.put("x", Todo("b"))
    let row = try #require(try await db.table("todos").row("x"))
    #expect(row.value["title"] == "b")
    #expect(row.value["note"] == .some(.null))
    #expect(row.value["colour"] == "red")
  }

  @Test func patchTouchesOnlyWhatIsGiven() async throws {
    let db = try await open()
    let todos = db.table("todos", of: Todo.self)
    try await todos.put("x", Todo("a", rank: 1, note: "n"))
    try await todos.patch("x", .set(\.done, to: true), .set(\.note, to: nil), .set("colour", to: "red"))
    let row = try #require(try await todos.row("x"))
    #expect(row.done && row.note == nil && row.rank == 1 && row.title == "a")
    try await todos.patch("x", ["rank": 7])
    #expect(try await todos.row("x")?.rank == 7)
    #expect(try await db.table("todos").row("x")?.value["colour"] == "red")
  }

  @Test func patchRefusesWhatIsNoColumn() async throws {
    let todos = try await open().table("todos", of: Todo.self)
    await expectFailure(.invalidArgument) { try await todos.patch("x", .set(\.title.count, to: 1)) }
    #expect(try await todos.row("x") == nil)
  }

  @Test func replaceClearsEveryOtherColumn() async throws {
    let db = try await open()
    try await db.table("todos").put("x", ["title": "a", "note": "n", "colour": "red"])
    try await db.table("todos", of: Todo.self).replace("x", Todo("b"))
    let row = try #require(try await db.table("todos").row("x"))
    #expect(row.value["title"] == "b")
    #expect(row.value["colour"] == .some(.null))
    #expect(row.value["note"] == .some(.null))
  }

  @Test func aDeletedRowIsGone() async throws {
    let todos = try await open().table("todos", of: Todo.self)
    try await todos.put("x", Todo("a"))
    try await todos.delete("x")
    try await todos.delete("never there")
    #expect(try await todos.row("x") == nil)
    #expect(try await todos.count() == 0)
  }

  @Test func untypedRowsKeepEveryValue() async throws {
    let table = try await open().table("t")
    let row: JSONObject = [
      "null": nil, "yes": true, "whole": 9_007_199_254_740_993, "half": 0.5, "text": "a\u{0}\"\\\n\u{1f980}é",
      "list": [1, "2", [nil]], "object": ["a": ["b": 1]],
    ]
    try await table.put("x", row)
    #expect(try await table.row("x")?.value == row)
    #expect(try await table.rows().map(\.value) == [row])
  }

  @Test func textThatNoParserKeepsIsKept() async throws {
    let table = try await open().table("t")
    let text = #"{"lone":"\ud800","spelled":1.0}"#
    try await table.put("x", json: Data(text.utf8))
    #expect(try await table.json("x").map { String(decoding: $0, as: UTF8.self) } == text)
    #expect(try await table.row("x")?.value == ["lone": "\u{fffd}", "spelled": 1])
  }

  @Test func whatIsNoRowIsRefused() async throws {
    let db = try await open()
    await expectFailure(.invalidArgument) { try await db.table("t").put("x", json: Data("[1]".utf8)) }
    await expectFailure(.invalidArgument) { try await db.table("t").put("x", json: Data("{".utf8)) }
    await expectFailure(.invalidArgument) { try await db.table("t").put("x", json: Data([0xff])) }
    await expectFailure(.invalidArgument) { try await db.table("t", of: Int.self).put("x", 1) }
    let error = await expectFailure(.invalidArgument) {
      try await db.table("t").add(["deep": ["far": .number(.infinity)]])
    }
    #expect(error?.reason.contains("deep") == true)
    #expect(try await db.table("t").count() == 0)
  }

  @Test func largeRowsAreRefused() async throws {
    let table = try await open().table("t")
    let large = String(repeating: "x", count: 17 * 1024 * 1024)
    await expectFailure(.limit) { try await table.put("x", ["large": .string(large)]) }
  }

  @Test func tablesAreNamed() async throws {
    let db = try await open()
    try await db.table("b").put("x", ["v": 1])
    try await db.table("a").put("x", ["v": 1])
    #expect(try await db.tableNames().sorted() == ["a", "b"])
    let dump = try JSONValue(json: try await db.dump())
    #expect(dump["tables"]?["a"]?["x"]?["v"] == 1)
  }

  @Test func uniqueFieldsAreUnique() async throws {
    let db = try await open { $0.schema = Schema(tables: ["u": .init(fields: ["slug": .string.unique()])]) }
    try await db.table("u").put("x", ["slug": "s"])
    let error = await expectFailure(.uniqueViolation) { try await db.table("u").put("y", ["slug": "s"]) }
    #expect(error?.isRetryable == false && error?.cause == .rejected)
  }
}

@Suite struct BatchTests {
  @Test func allWritesOfABatchAreOneChange() async throws {
    let db = try await open()
    let todos = db.table("todos", of: Todo.self)
    try await todos.put("old", Todo("old"))
    let id = try await db.batch { batch in
      let todos = batch.table("todos", of: Todo.self)
      try todos.put("x", Todo("a", rank: 1))
      try todos.patch("x", .set(\.rank, to: 2))
      try todos.patch("x", ["done": true])
      try todos.replace("y", Todo("b"))
      try todos.delete("old")
      #expect(try todos.row("x")?.rank == 2)
      #expect(try todos.row("old") == nil)
      #expect(todos.name == "todos")
      return try batch.table("log").add(["what": "tidied"], prefix: "log")
    }
    #expect(id.hasPrefix("log_"))
    #expect(try await todos.rows().map(\.id) == ["x", "y"])
    #expect(try await todos.row("x")?.done == true)
    #expect(try await db.table("log").row(id)?.value == ["what": "tidied"])
  }

  @Test func aBatchThatThrowsWritesNothing() async throws {
    struct Stop: Error {}
    let db = try await open()
    await #expect(throws: Stop.self) {
      try await db.batch { batch in
        try batch.table("t").put("x", ["v": 1])
        throw Stop()
      }
    }
    #expect(try await db.table("t").count() == 0)
  }

  @Test func aBatchWithARefusedWriteWritesNothing() async throws {
    let db = try await open { $0.schema = Schema(tables: ["u": .init(fields: ["slug": .string.unique()])]) }
    await expectFailure(.uniqueViolation) {
      try await db.batch { batch in
        try batch.table("u").put("x", ["slug": "s"])
        try batch.table("u").put("y", ["slug": "s"])
      }
    }
    #expect(try await db.table("u").count() == 0)
  }

  @Test func aSpentBatchIsRefused() async throws {
    let db = try await open()
    let kept = try await db.batch { $0 }
    await expectFailure(.invalidArgument) { try kept.table("t").put("x", ["v": 1]) }
  }

  @Test func aCancelledTaskWritesNoBatch() async throws {
    let db = try await open()
    let task = Task {
      try await db.batch { batch in
        try batch.table("t").put("x", ["v": 1])
        withUnsafeCurrentTask { $0?.cancel() }
      }
    }
    await #expect(throws: CancellationError.self) { try await task.value }
    #expect(try await db.table("t").count() == 0)
  }

  @Test func batchesThatAreCancelledAtAnyMomentAreWrittenAsAWholeOrNotAtAll() async throws {
    let db = try await open()
    for round in 0..<60 {
      let writing = Task {
        try await db.batch { batch in
          for index in 0..<50 { try batch.table("t\(round)").put("\(index)", ["v": 1]) }
        }
      }
      for _ in 0..<(round % 20) { await Task.yield() }
      writing.cancel()
      _ = try? await writing.value
    }
    let names = try await db.tableNames()
    #expect(names.count < 60, "nothing was ever cancelled")
    for name in names { #expect(try await db.table(name).count() == 50, "\(name)") }
  }

  @MainActor @Test func aBatchMayUseTheStateOfItsActor() async throws {
    final class Model { var titles = ["a", "b"] }
    let model = Model()
    let db = try await open()
    let ids = try await db.batch { batch in
      try model.titles.map { try batch.table("todos", of: Todo.self).add(Todo($0)) }
    }
    #expect(ids.count == 2)
  }
}
