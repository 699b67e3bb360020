// swift-tools-version: 6.0
import Foundation
import PackageDescription

// The engine is written in Rust and reaches Swift as a C library.
//
// On Apple platforms it is an xcframework: the one that `bash swift/build-xcframework.sh` makes, where it is there, else
// the one of the release. A release is prepared so: run the script, attach `swift/build/InterocitorFFI.xcframework.zip` to
// the release, write its address and what `swift package compute-checksum` says of it below, commit, tag. Until the first
// release there is no such file, and this manifest says so rather than name one that does not exist.
//
// Elsewhere it is a shared library that the linker is told about: `cargo build -p interocitor-ffi`, then
// `swift build -Xlinker -Ltarget/debug`.
let release: (url: String, checksum: String)? = nil

#if canImport(Darwin)
  let local = "swift/build/InterocitorFFI.xcframework"
  let isBuiltHere = FileManager.default.fileExists(atPath: Context.packageDirectory + "/" + local)
  let library: Target =
    if isBuiltHere {
      .binaryTarget(name: "InterocitorFFI", path: local)
    } else if let release {
      .binaryTarget(name: "InterocitorFFI", url: release.url, checksum: release.checksum)
    } else {
      fatalError("\(local) is missing, and no release holds it yet: run `bash swift/build-xcframework.sh` first")
    }
  let linking: [LinkerSetting] = []
#else
  let library = Target.systemLibrary(name: "InterocitorFFI", path: "swift/Sources/InterocitorFFI")
  let linking: [LinkerSetting] = [.linkedLibrary("interocitor_ffi")]
#endif

let package = Package(
  name: "interocitor",
  platforms: [.iOS(.v16), .macOS(.v13)],
  products: [.library(name: "InterocitorKit", targets: ["InterocitorKit"])],
  targets: [
    library,
    // Generated, and hidden: apps see InterocitorKit only. Its async callbacks do not compile in Swift 6 mode yet.
    .target(
      name: "InterocitorBindings", dependencies: ["InterocitorFFI"], path: "swift/Sources/InterocitorBindings",
      swiftSettings: [.swiftLanguageMode(.v5)], linkerSettings: linking),
    .target(
      name: "InterocitorKit", dependencies: ["InterocitorBindings"], path: "swift/Sources/InterocitorKit",
      resources: [.copy("PrivacyInfo.xcprivacy")]),

    .executableTarget(name: "quick-start", dependencies: ["InterocitorKit"], path: "swift/Examples/quick-start"),
    .executableTarget(name: "todo", dependencies: ["InterocitorKit"], path: "swift/Examples/todo"),
    .executableTarget(name: "interocitor-bench", dependencies: ["InterocitorKit"], path: "swift/Benchmarks"),

    // The cross-language scenarios of tests/scenarios: one interpreter, for the tests and as a program for mixed runs.
    .target(name: "ScenarioSteps", dependencies: ["InterocitorKit"], path: "swift/Tests/ScenarioSteps"),
    .executableTarget(
      name: "interocitor-driver", dependencies: ["ScenarioSteps"], path: "swift/Tests/ScenarioDriver"),
    .testTarget(
      name: "InterocitorKitTests", dependencies: ["InterocitorKit", "ScenarioSteps"],
      path: "swift/Tests/InterocitorKitTests"),
  ],
  swiftLanguageModes: [.v6]
)
