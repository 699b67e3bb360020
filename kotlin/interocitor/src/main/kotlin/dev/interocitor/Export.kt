package dev.interocitor

import dev.interocitor.ffi.ExportFormat as FfiExportFormat
import dev.interocitor.ffi.Exported as FfiExported
import dev.interocitor.ffi.Imported as FfiImported

/** How an export is written. Its text never shows the passphrase. */
public sealed class ExportFormat {
    /** A folder with readable files, for its owner's eyes only. Nothing in it is encrypted. */
    public data object Folder : ExportFormat()

    /**
     * One file, encrypted under a key of a passphrase.
     *
     * @property passphrase any text; a long one, since whoever has the file can guess.
     */
    public class Archive(public val passphrase: String) : ExportFormat() {
        override fun toString(): String = "Archive"
    }

    /** One file, encrypted under the key of the mesh: who has the mesh's passphrase reads it. */
    public data object MeshArchive : ExportFormat()

    internal fun asFfi(): FfiExportFormat = when (this) {
        is Folder -> FfiExportFormat.Folder
        is Archive -> FfiExportFormat.Archive(passphrase)
        is MeshArchive -> FfiExportFormat.MeshArchive
    }
}

/**
 * What [Interocitor.exportTo] wrote.
 *
 * @property tables tables.
 * @property rows rows, deleted ones included.
 * @property files durable files.
 * @property unnamed files in the mailbox whose paths this device cannot know, and which are therefore missing: get them by
 * path once, then export again.
 * @property bytes bytes of everything.
 */
public data class Exported(val tables: Long, val rows: Long, val files: Long, val unnamed: Long, val bytes: Long)

/**
 * What [Interocitor.importFrom] took over.
 *
 * @property rows rows in the export, deleted ones included.
 * @property changed those of them that changed something here.
 * @property files files that were put; those whose paths are known here stay as they are.
 */
public data class Imported(val rows: Long, val changed: Long, val files: Long)

internal fun FfiExported.asPublic() = Exported(tables, rows, files, unnamed, bytes)

internal fun FfiImported.asPublic() = Imported(rows, changed, files)
