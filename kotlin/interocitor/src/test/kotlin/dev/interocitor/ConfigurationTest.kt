package dev.interocitor

import dev.interocitor.ffi.MergeRule
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir
import java.io.File
import kotlin.time.Duration.Companion.milliseconds
import dev.interocitor.ffi.AutoCompaction as FfiAutoCompaction
import dev.interocitor.ffi.Configuration as FfiConfiguration
import dev.interocitor.ffi.FileForm as FfiFileForm
import dev.interocitor.ffi.JoinPolicy as FfiJoinPolicy
import dev.interocitor.ffi.MergeStrategy as FfiMergeStrategy
import dev.interocitor.ffi.Publish as FfiPublish
import dev.interocitor.ffi.SchemaPolicy as FfiSchemaPolicy

/** Every option reaches the engine. */
class ConfigurationTest {
    @Test
    fun `what is left out is as the interface says`() {
        assertEquals(FfiConfiguration("todo", autoCompact = FfiAutoCompaction()), Configuration("todo").asFfi())
    }

    @Test
    fun `what is said arrives`() {
        val given = Configuration("todo").apply {
            path = File("/a.db")
            remotePath = "/Mesh"
            passphrase = "secret"
            encrypted = false
            credentials = MemoryCredentials()
            biometrics = MirrorPrompt()
            deviceId = "d"
            deviceName = "Ada's phone"
            deviceType = "tv"
            serverManaged = true
            serverId = "s"
            schema = "{}"
            schemaPolicy = SchemaPolicy.MIGRATE
            mergeStrategy = MergeStrategy.LOCAL_WINS
            joinPolicy = JoinPolicy.MERGE_WITH_REMOTE
            publish = Publish.CHANGED_COLUMNS
            fullDurability = true
            batchWindow = 1.milliseconds
            flushDebounce = 2.milliseconds
            flushThreshold = 3
            pollInterval = 4.milliseconds
            connectStageTimeout = 5.milliseconds
            autoSync = false
            autoCompact = AutoCompaction(1, 2, 3.milliseconds, 4.milliseconds, 5.milliseconds, 6, 7.milliseconds)
            fileForm = FileForm.HASHED
            maxFileBytes = 8
            fileCacheBytes = 9
            merge("t") { conflicts -> conflicts.map { it.local } }
            merge("u", "tags") { conflicts -> conflicts.map { it.local } }
        }.asFfi()
        assertTrue(given.credentials is ForeignCredentialStore && given.biometrics is ForeignBiometricPrompt)
        assertEquals(listOf("t" to null, "u" to "tags"), given.mergeRules.map { it.table to it.field })
        assertEquals(
            FfiConfiguration(
                appName = "todo", path = "/a.db", remotePath = "/Mesh", passphrase = "secret", encrypted = false,
                deviceId = "d", deviceName = "Ada's phone", deviceType = "tv", serverManaged = true, serverId = "s",
                schema = "{}", schemaPolicy = FfiSchemaPolicy.MIGRATE, merge = FfiMergeStrategy.LOCAL_WINS,
                joinPolicy = FfiJoinPolicy.MERGE_WITH_REMOTE, publish = FfiPublish.CHANGED_COLUMNS,
                fullDurability = true, batchWindowMs = 1, flushDebounceMs = 2, flushThreshold = 3u,
                pollIntervalMs = 4, connectStageTimeoutMs = 5, autoSync = false,
                autoCompact = FfiAutoCompaction(
                    enabled = true, batches = 1u, compactors = 2u, firstDelayMs = 3, secondDelayMs = 4, jitterMs = 5,
                    changeFiles = 6, graceMs = 7,
                ),
                fileForm = FfiFileForm.HASHED, maxFileBytes = 8, fileCacheBytes = 9,
            ),
            given.copy(credentials = null, biometrics = null, mergeRules = emptyList<MergeRule>()),
        )
    }

    @Test
    fun `a device that never compacts says so, and numbers are checked`() {
        val never = Configuration("todo").apply { autoCompact = null }.asFfi()
        assertEquals(false, never.autoCompact?.enabled)
        for (bad in listOf(AutoCompaction(batches = -1), AutoCompaction(compactors = -1))) {
            failsWith<InterocitorException.Rejected>("INVALID_ARGUMENT") {
                Configuration("todo").apply { autoCompact = bad }.asFfi()
            }
        }
        failsWith<InterocitorException.Rejected>("INVALID_ARGUMENT") {
            Configuration("todo").apply { flushThreshold = -1 }.asFfi()
        }
    }

    /** Such a database works; what the option is for only a loss of power would show. */
    @Test
    fun `a fully durable store keeps its rows`(@TempDir folder: File) = test {
        val configure: Configuration.() -> Unit = { path = File(folder, "a.db"); fullDurability = true }
        Interocitor.open("tests", configure).use { it.table<Title>("t").put("a", Title("Milk")) }
        Interocitor.open("tests", configure).use { assertEquals(1, it.table<Title>("t").query().count()) }
    }
}
