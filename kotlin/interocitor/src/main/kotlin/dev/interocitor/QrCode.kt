package dev.interocitor

import dev.interocitor.ffi.QrCode as FfiQrCode

/**
 * A QR code of a text: a pairing payload, a link, a recovery kit. As secret as its text, which it never shows.
 *
 * @throws InterocitorException.Rejected with `LIMIT` for a text of more than 2,953 bytes.
 */
public class QrCode(text: String) {
    private val inner: FfiQrCode = run {
        Native.load()
        engineNow { FfiQrCode(text) }
    }

    private val modules: ByteArray by lazy { inner.modules() }

    /** Modules on a side, with the light zone of four modules that must surround the code. */
    public val size: Int = inner.size().toInt()

    /** Whether the module in that column and row is dark, to be drawn on a light ground. */
    public fun isDark(column: Int, row: Int): Boolean =
        column in 0..<size && row in 0..<size && modules[row * size + column].toInt() == 1

    /** A picture that scales to any size, dark on white. */
    public fun toSvg(): String = inner.toSvg()

    /** A picture, black on white, with so many pixels (1 to 64) a module. */
    public fun toPng(scale: Int = 8): ByteArray = inner.toPng(scale.coerceIn(1, 64).toUInt())

    override fun toString(): String = "QrCode(size=$size)"
}
