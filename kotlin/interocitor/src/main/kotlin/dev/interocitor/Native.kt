package dev.interocitor

import com.sun.jna.Platform
import com.sun.jna.Native as Jna

/** The engine's library could not be loaded. It is a fault of how the app is packed; [message] says what to do. */
public class MissingNativeLibraryError internal constructor(message: String, cause: Throwable) :
    UnsatisfiedLinkError(message) {
    init {
        initCause(cause)
    }
}

/** The engine's library. */
internal object Native {
    private const val NAME = "interocitor_ffi"
    private const val OVERRIDE = "uniffi.component.interocitor.libraryOverride"

    // The classes that fail to load fail differently the second time; the first answer is the one that helps.
    private val failure: MissingNativeLibraryError? by lazy {
        try {
            CallbackThreads.keep()
            dev.interocitor.ffi.uniffiEnsureInitialized()
            null
        } catch (error: LinkageError) {
            explain(error)
        } catch (error: RuntimeException) {
            // The library of another version: its checksums differ.
            explain(error)
        }
    }

    /** Loads the library. The first call takes a while and must not be made on the main thread of an app. */
    fun load() {
        failure?.let { throw MissingNativeLibraryError(it.message.orEmpty(), it.cause ?: it) }
    }

    private fun explain(error: Throwable): MissingNativeLibraryError {
        val cause = generateSequence(error) { it.cause }.last()
        val name = System.getProperty(OVERRIDE) ?: NAME
        val file = System.mapLibraryName(name)
        val isMissing = cause is UnsatisfiedLinkError && cause.message.orEmpty().contains("Unable to load library")
        val text = buildString {
            append("The native library of Interocitor, $file, ")
            append(if (isMissing) "was not found" else "cannot be used").append(". ")
            append("Searched: the resource ${Platform.RESOURCE_PREFIX}/$file on the class path; the folders of ")
            append("jna.library.path (${folders("jna.library.path")}) and java.library.path ")
            append("(${folders("java.library.path")}); the system's own. ")
            append("On the JVM, use a jar that was built with the library for ${Platform.RESOURCE_PREFIX}; ")
            append("on Android, an AAR that was built with jni/<abi>/$file for this device. ")
            append("JNA ${Jna.VERSION} said: ${cause.message}")
        }
        return MissingNativeLibraryError(text, cause)
    }

    private fun folders(property: String) = System.getProperty(property)?.ifEmpty { null } ?: "none"
}
