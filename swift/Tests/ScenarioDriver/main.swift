import Foundation
import InterocitorKit
import ScenarioSteps

// The driver of tests/scenarios/README.md: one step a line on standard input, one answer a line on standard output.

let interpreter = ScenarioInterpreter()
while let line = readLine() {
  guard line.hasPrefix("{") else { continue }
  let answer: JSONObject
  do {
    guard let step = try JSONValue(json: Data(line.utf8)).object else { throw Fault.driver("a step is an object") }
    answer = ["ok": try await interpreter.play(step)]
  } catch let fault as Fault {
    answer = ["error": .string(fault.code), "reason": .string(fault.reason)]
  } catch {
    answer = ["error": "DRIVER", "reason": .string("\(error)")]
  }
  var text = JSONValue.object(answer).json
  text.append(UInt8(ascii: "\n"))
  FileHandle.standardOutput.write(text)
}
try await interpreter.end()
