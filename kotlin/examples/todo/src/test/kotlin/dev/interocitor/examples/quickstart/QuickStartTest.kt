package dev.interocitor.examples.quickstart

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir
import java.io.File
import java.util.concurrent.TimeUnit

class QuickStartTest {
    @TempDir
    lateinit var folder: File

    private val source = File("src/main/kotlin/dev/interocitor/examples/quickstart/QuickStart.kt")

    @Test
    fun `the readme shows this program`() {
        val shown = source.readText().substringAfter("\n\n")
        assertTrue("```kotlin\n$shown```\n" in File("../../../README.md").readText()) { "copy ${source.name} into the README" }
    }

    @Test
    fun `it does what it says`() {
        val java = File(System.getProperty("java.home"), "bin/java").path
        val main = "dev.interocitor.examples.quickstart.QuickStartKt"
        val process = ProcessBuilder(java, "-cp", System.getProperty("java.class.path"), main)
            .directory(folder)
            .redirectErrorStream(true)
            .start()
        val printed = process.inputStream.bufferedReader().readLines()
        assertTrue(process.waitFor(60, TimeUnit.SECONDS)) { "it did not end" }
        assertEquals(0, process.exitValue()) { printed.joinToString("\n") }
        assertEquals("Bake bread", printed.first())
        assertTrue(printed.last().matches(Regex("other devices need this: [1-9A-HJ-NP-Za-km-z]+"))) { printed.last() }
        assertTrue(File(folder, "mailbox/Todo/manifest.json").exists())
    }
}
