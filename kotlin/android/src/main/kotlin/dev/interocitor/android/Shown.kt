package dev.interocitor.android

/** Tells whether any activity is shown, each time that changes. */
internal class Shown(private val tell: (Boolean) -> Unit) {
    private var count = 0

    fun started() {
        count += 1
        if (count == 1) tell(true)
    }

    fun stopped() {
        // One that was started before this began to count.
        if (count == 0) return
        count -= 1
        if (count == 0) tell(false)
    }
}
