package dev.interocitor.android

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.w3c.dom.Element
import java.io.File
import java.util.zip.ZipFile
import java.util.zip.ZipInputStream
import javax.xml.parsers.DocumentBuilderFactory

/** What the AAR is made of. */
class AarTest {
    private val aar = ZipFile(System.getProperty("aar"))

    private fun text(name: String) = aar.getInputStream(aar.getEntry(name)).use { it.readBytes().decodeToString() }

    private val classes: Set<String> by lazy {
        ZipInputStream(aar.getInputStream(aar.getEntry("classes.jar"))).use { jar ->
            generateSequence { jar.nextEntry }.map { it.name }.toSet()
        }
    }

    @Test
    fun `it has the parts that every AAR has, and nothing else`() {
        val names = aar.entries().asSequence().map { it.name }.filterNot { it.startsWith("jni/") }.toSet()
        assertEquals(setOf("AndroidManifest.xml", "classes.jar", "R.txt", "proguard.txt"), names)
        val abis = setOf("arm64-v8a", "armeabi-v7a", "x86", "x86_64")
        for (entry in aar.entries().asSequence().filter { it.name.startsWith("jni/") && !it.isDirectory }) {
            val (_, abi, file) = entry.name.split('/')
            assertTrue(abi in abis && file == "libinterocitor_ffi.so", entry.name)
        }
    }

    @Test
    fun `its classes are the glue, the shared ones and the bindings, without the libraries of desktops`() {
        for (name in listOf("android/SyncJobService", "Interocitor", "Table", "ffi/UniffiLib")) {
            assertTrue("dev/interocitor/$name.class" in classes, name)
        }
        assertTrue(classes.any { it.endsWith("interocitor.kotlin_module") })
        assertTrue(classes.none { it.endsWith(".so") || it.endsWith(".dylib") || it.endsWith(".dll") }, "$classes")
    }

    @Test
    fun `its manifest asks for the network, biometrics and Android 7`() {
        val manifest = text("AndroidManifest.xml")
        for (wanted in listOf("minSdkVersion=\"24\"", "permission.INTERNET", "ACCESS_NETWORK_STATE", "USE_BIOMETRIC", "dev.interocitor.android.UploadJobService")) {
            assertTrue(wanted in manifest, manifest)
        }
    }

    @Test
    fun `its rules keep what is found by name`() {
        val rules = text("proguard.txt")
        for (wanted in listOf("com.sun.jna.**", "dev.interocitor.ffi.**", "\$annotations()", "-dontwarn java.awt.**")) {
            assertTrue(wanted in rules, wanted)
        }
    }

    @Test
    fun `its POM is that of an AAR, with JNA as one`() {
        val pom = DocumentBuilderFactory.newInstance().newDocumentBuilder().parse(File(System.getProperty("published")))
        fun Element.child(name: String) = getElementsByTagName(name).item(0)?.textContent
        assertEquals("aar", pom.documentElement.child("packaging"))
        assertTrue("@" !in pom.documentElement.textContent, "a version was not filled in")
        val dependencies = pom.getElementsByTagName("dependency").run { List(length) { item(it) as Element } }
        val jna = dependencies.single { it.child("artifactId") == "jna" }
        assertEquals(listOf(System.getProperty("jna.version"), "aar"), listOf(jna.child("version"), jna.child("type")))
        assertTrue(dependencies.any { it.child("artifactId") == "kotlinx-coroutines-android" })
    }
}
