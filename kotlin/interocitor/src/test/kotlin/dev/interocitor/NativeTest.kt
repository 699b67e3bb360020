package dev.interocitor

import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir
import java.io.File

/** A program without its library, in a virtual machine of its own. */
class NativeTest {
    private fun run(vararg options: String): String {
        val java = File(System.getProperty("java.home"), "bin/java").path
        val main = "dev.interocitor.WithoutLibrary"
        val command = listOf(java) + options + listOf("-cp", System.getProperty("java.class.path"), main)
        val process = ProcessBuilder(command).redirectErrorStream(true).start()
        return process.inputStream.bufferedReader().readText().also { process.waitFor() }
    }

    @Test
    fun `a missing library says which file was searched where`() {
        val text = run("-Duniffi.component.interocitor.libraryOverride=no_such_library", "-Djna.library.path=/some/folder")
        for (wanted in listOf("MissingNativeLibraryError", "was not found", System.mapLibraryName("no_such_library"), "/some/folder", "class path")) {
            assertTrue(wanted in text, "$wanted: $text")
        }
        // Not only the first time.
        assertTrue(text.split("was not found").size == 3, text)
    }

    @Test
    fun `a library that is something else says so`(@TempDir folder: File) {
        File(folder, System.mapLibraryName("interocitor_broken")).writeText("no library")
        val text = run("-Duniffi.component.interocitor.libraryOverride=interocitor_broken", "-Djna.library.path=$folder")
        assertTrue("MissingNativeLibraryError" in text && "interocitor_broken" in text, text)
    }
}

object WithoutLibrary {
    @JvmStatic
    fun main(arguments: Array<String>) {
        for (attempt in 1..2) {
            try {
                kotlinx.coroutines.runBlocking { Interocitor.open("tests") }
            } catch (error: MissingNativeLibraryError) {
                println(error)
            }
        }
    }
}
