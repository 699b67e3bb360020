import Foundation
internal import InterocitorBindings

/// What the doctor found: ``Interocitor/doctor(mends:)``.
public struct Diagnosis: Hashable, Sendable {
  /// Everything, the worst first.
  public let findings: [Finding]
  /// Rows of the store that were read, deleted ones included.
  public let rowsChecked: Int
  /// Files of the mailbox that were read.
  public let filesChecked: Int

  /// The worst that is left; nil where nothing is.
  public var worst: Finding.Severity? { findings.filter { !$0.isMended }.map(\.severity).max() }
}

/// One thing that the doctor found. Never holds values, keys or passphrases.
public struct Finding: Hashable, Sendable {
  /// How bad it is.
  public enum Severity: Int, Comparable, Hashable, Sendable {
    /// Good to know.
    case info
    /// Something is not as it should be; data is safe.
    case warning
    /// Data or sync is in danger.
    case error

    /// The less bad one comes first.
    public static func < (one: Self, other: Self) -> Bool { one.rawValue < other.rawValue }
  }

  /// Stable code of the trouble, `HEAD_BEHIND` for example.
  public let code: String
  /// How bad it is.
  public let severity: Severity
  /// Where: a file of the mailbox, a table, a file beside the store.
  public let place: String
  /// What exactly.
  public let detail: String
  /// What it means.
  public let meaning: String
  /// What to do.
  public let advice: String
  /// Whether the doctor can mend it.
  public let isMendable: Bool
  /// Whether it was mended.
  public let isMended: Bool
}

// MARK: - as the engine has them

extension Diagnosis {
  init(_ diagnosis: InterocitorBindings.Diagnosis) {
    findings = diagnosis.findings.map(Finding.init)
    rowsChecked = Int(diagnosis.rowsChecked)
    filesChecked = Int(diagnosis.filesChecked)
  }
}

extension Finding {
  init(_ finding: InterocitorBindings.Finding) {
    code = finding.code
    severity =
      switch finding.severity {
      case .info: .info
      case .warning: .warning
      case .error: .error
      }
    place = finding.place
    detail = finding.detail
    meaning = finding.meaning
    advice = finding.advice
    isMendable = finding.mendable
    isMended = finding.mended
  }
}
