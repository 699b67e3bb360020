// What InterocitorKit uses of Core Graphics and Core Foundation, for type-checking on Linux. Declared by hand; does nothing.

@_exported import Foundation

public typealias CFData = Data
public typealias CFString = String
public typealias CFDictionary = [AnyHashable: Any]

public class CGImage {}
