package dev.interocitor.android

import java.io.File
import java.io.FileNotFoundException
import java.io.FileOutputStream
import java.io.IOException
import java.io.RandomAccessFile
import java.security.MessageDigest

/** Files by name, each replaced as a whole and on the disk before it is said to be saved. */
internal class RecordFolder(private val device: Device, locate: () -> File) {
    private val folder by lazy { locate() }

    /** The content under a name; null where nothing is there. */
    fun read(name: String): ByteArray? = read(file(name))

    /** Changes files, one process and one thread at a time. */
    fun <T> exclusively(work: () -> T): T = synchronized(RecordFolder) {
        if (!folder.isDirectory && !folder.mkdirs()) throw IOException("$folder cannot be made")
        // Closing the file gives its lock back.
        RandomAccessFile(File(folder, "lock"), "rw").use { file ->
            file.channel.lock()
            work()
        }
    }

    fun write(name: String, content: ByteArray) {
        val whole = file(name)
        val part = part(whole)
        FileOutputStream(part).use { stream ->
            stream.write(content)
            stream.fd.sync()
        }
        if (!part.renameTo(whole)) throw IOException("$whole cannot be replaced")
        device.sync(folder)
    }

    fun delete(name: String) = delete(file(name))

    /** Deletes the files whose content is so; tells how many. */
    fun deleteWhere(isSo: (ByteArray) -> Boolean): Int {
        val files = folder.listFiles().orEmpty().filter { it.name.endsWith(ENDING) }
        return files.filter { isSo(read(it) ?: return@filter false) }.onEach(::delete).size
    }

    private fun read(file: File): ByteArray? = try {
        file.readBytes()
    } catch (failure: FileNotFoundException) {
        // The same is thrown where it is there and cannot be opened.
        if (file.exists()) throw failure else null
    }

    private fun delete(file: File) {
        part(file).delete()
        if (!file.delete()) {
            if (file.exists()) throw IOException("$file cannot be deleted")
            return
        }
        device.sync(folder)
    }

    /** What becomes a file once it is whole. */
    private fun part(of: File) = File("$of.part")

    /** Names are any text, and a file's name is not. */
    private fun file(name: String): File {
        val digest = MessageDigest.getInstance("SHA-256").digest(name.encodeToByteArray())
        return File(folder, digest.toHexString() + ENDING)
    }

    private companion object {
        const val ENDING = ".record"
    }
}
