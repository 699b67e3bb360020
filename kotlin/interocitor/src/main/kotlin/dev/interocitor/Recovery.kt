package dev.interocitor

import kotlin.time.Instant
import dev.interocitor.ffi.RecoveryKit as FfiRecoveryKit
import dev.interocitor.ffi.SupersededKey as FfiSupersededKey

/**
 * The key of a mesh for safekeeping, in three forms that people can keep. Whoever has one of them reads the whole mesh.
 * Its text never shows it.
 *
 * ```
 * val kit = db.recoveryKit()
 * show(kit.words)
 * val asked = kit.quiz(3) // prove that the words were written down
 * val isKept = asked.all { kit.isWord(it, ask("Word $it?")) }
 * ```
 */
public class RecoveryKit internal constructor(private val inner: FfiRecoveryKit) {
    /** The passphrase. */
    public val passphrase: String get() = inner.passphrase()

    /** A page to print or to keep: what this is, the mesh, the passphrase and the words. */
    public val text: String get() = inner.text()

    /** What a [QrCode] of the kit holds. */
    public val qr: String get() = inner.qr()

    /** The 24 words. */
    public val words: List<String> get() = inner.words()

    /** Draws so many of the words' numbers, 1 to 24, ascending, to ask for: at least one, at most all. */
    public fun quiz(count: Int = 3): List<Int> = inner.quiz(count.coerceIn(1, 24).toUInt()).map { it.toInt() }

    /** Checks an answer: the word with this number, in any case. */
    public fun isWord(number: Int, answer: String): Boolean =
        number > 0 && engineNow { inner.isWord(number.toUInt(), answer) }

    override fun toString(): String = "RecoveryKit"

    public companion object {
        /**
         * Reads a kit in any of its forms, alone or within other text such as a whole page; a bare passphrase, too.
         *
         * @throws InterocitorException.Rejected with `INVALID_ARGUMENT` and what is wrong with it: never with the text.
         */
        public fun parse(text: String): RecoveryKit {
            Native.load()
            return RecoveryKit(engineNow { FfiRecoveryKit.parse(text) })
        }
    }
}

/**
 * A passphrase that another took the place of: what it opened may still be wanted.
 *
 * @property id names it, for [Interocitor.restoreSupersededKey] and [Interocitor.discardSupersededKey].
 * @property meshId the mesh that it opens, where that is known.
 * @property superseded when the other one was saved.
 */
public data class SupersededKey(val id: String, val meshId: String?, val superseded: Instant)

internal fun FfiSupersededKey.asPublic() = SupersededKey(id, meshId, Instant.fromEpochMilliseconds(supersededMs))
