package dev.interocitor.android

/** Tells whether there is a network, from what is said of each: the next one may come before the last one has gone. */
internal class Reach<N : Any>(private val tell: (Boolean) -> Unit) {
    private var current: N? = null

    @Synchronized
    fun available(network: N) {
        current = network
        tell(true)
    }

    @Synchronized
    fun lost(network: N) {
        if (network != current) return
        current = null
        tell(false)
    }
}
