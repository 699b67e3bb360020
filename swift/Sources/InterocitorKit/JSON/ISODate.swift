import Foundation

/// Dates as JavaScript writes and reads them: `2026-01-02T03:04:05.678Z`. By hand, since the platform's formatters cost
/// a hundred times as much, and rows have many dates.
enum ISODate {
  /// The text of a date, to the millisecond; nil outside of the years 0 to 9999.
  static func text(_ date: Date) -> String? {
    let milliseconds = (date.timeIntervalSince1970 * 1000).rounded()
    guard milliseconds >= -62_167_219_200_000, milliseconds < 253_402_300_800_000 else { return nil }
    let total = Int64(milliseconds)
    let day = total.quotient(by: 86_400_000)
    let time = Int(total - day * 86_400_000)
    let (year, month, dayOfMonth) = civil(day)
    func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
    func three(_ value: Int) -> String { value < 100 ? "0" + two(value) : "\(value)" }
    let yearText = year < 1000 ? "0" + three(year) : "\(year)"
    let hour = two(time / 3_600_000), minute = two(time / 60_000 % 60), second = two(time / 1000 % 60)
    return "\(yearText)-\(two(month))-\(two(dayOfMonth))T\(hour):\(minute):\(second).\(three(time % 1000))Z"
  }

  /// The date that a text says: a day, or a day and a time with `Z` or an offset.
  static func date(_ text: String) -> Date? {
    var text = text
    return text.withUTF8 { bytes in
      var at = 0
      func number(_ digits: Int) -> Int? {
        guard at + digits <= bytes.count else { return nil }
        var value = 0
        for byte in bytes[at..<at + digits] {
          guard byte >= 48, byte <= 57 else { return nil }
          value = value * 10 + Int(byte - 48)
        }
        at += digits
        return value
      }
      func skip(_ byte: Unicode.Scalar) -> Bool {
        guard at < bytes.count, bytes[at] == UInt8(ascii: byte) else { return false }
        at += 1
        return true
      }
      guard let year = number(4), skip("-"), let month = number(2), skip("-"), let day = number(2),
        (1...12).contains(month), (1...days(in: month, of: year)).contains(day)
      else { return nil }
      var seconds = Double(self.day(year, month, day)) * 86_400
      if at == bytes.count { return Date(timeIntervalSince1970: seconds) }
      guard skip("T") || skip(" "), let hour = number(2), skip(":"), let minute = number(2), hour < 24, minute < 60
      else { return nil }
      seconds += Double(hour * 3600 + minute * 60)
      if skip(":") {
        guard let second = number(2), second < 60 else { return nil }
        seconds += Double(second)
        if skip(".") {
          var scale = 0.1
          guard let digit = number(1) else { return nil }
          seconds += Double(digit) * scale
          while let digit = number(1) {
            scale /= 10
            seconds += Double(digit) * scale
          }
        }
      }
      if !skip("Z") {
        let isWest = at < bytes.count && bytes[at] == UInt8(ascii: "-")
        guard skip("+") || skip("-"), let hours = number(2), skip(":"), let minutes = number(2) else { return nil }
        seconds += Double((hours * 60 + minutes) * 60) * (isWest ? 1 : -1)
      }
      guard at == bytes.count else { return nil }
      // As near as dates are told: whole milliseconds stay whole.
      return Date(timeIntervalSince1970: (seconds * 1000).rounded() / 1000)
    }
  }

  private static func days(in month: Int, of year: Int) -> Int {
    let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
    return month == 2 ? (isLeap ? 29 : 28) : [4, 6, 9, 11].contains(month) ? 30 : 31
  }

  /// Days since 1970-01-01. Years begin in March here, so that the leap day is their last.
  private static func day(_ year: Int, _ month: Int, _ day: Int) -> Int64 {
    let year = Int64(month < 3 ? year - 1 : year)
    let era = year.quotient(by: 400)
    let yearOfEra = year - era * 400
    let dayOfYear = Int64((153 * (month < 3 ? month + 9 : month - 3) + 2) / 5 + day - 1)
    return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
  }

  /// The day as year, month and day of the month.
  private static func civil(_ day: Int64) -> (Int, Int, Int) {
    let shifted = day + 719_468
    let era = shifted.quotient(by: 146_097)
    let dayOfEra = shifted - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let month = (5 * dayOfYear + 2) / 153
    let dayOfMonth = dayOfYear - (153 * month + 2) / 5 + 1
    let year = yearOfEra + era * 400 + (month < 10 ? 0 : 1)
    return (Int(year), Int(month < 10 ? month + 3 : month - 9), Int(dayOfMonth))
  }
}

extension Int64 {
  /// Division that rounds down, also below zero.
  fileprivate func quotient(by divisor: Int64) -> Int64 {
    let quotient = self / divisor
    return self % divisor < 0 ? quotient - 1 : quotient
  }
}
