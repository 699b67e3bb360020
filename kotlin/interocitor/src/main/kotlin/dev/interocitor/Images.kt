package dev.interocitor

import java.io.File
import java.io.InputStream
import java.nio.file.Path
import dev.interocitor.ffi.ImageContent as FfiImageContent
import dev.interocitor.ffi.ImageSource as FfiImageSource
import dev.interocitor.ffi.ImageUrl as FfiImageUrl
import dev.interocitor.ffi.Thumbnail as FfiThumbnail

/** Where an image comes from. It is read once, in bounded memory; bytes and text are held as they are. */
public class ImageSource private constructor(internal val inner: FfiImageSource) {
    /** What any file can come from. */
    public constructor(source: FileSource) : this(FfiImageSource.File(source.inner))

    /** Memory: an encoded image, such as the content of a JPEG file. */
    public constructor(bytes: ByteArray) : this(FileSource(bytes))

    /** A file of this device, which may change or go afterwards. */
    public constructor(file: File) : this(FileSource(file))

    /** A file of this device, which may change or go afterwards. */
    public constructor(path: Path) : this(FileSource(path))

    /** A stream, read to its end on a thread of its own. It is not closed. */
    public constructor(stream: InputStream) : this(FileSource(stream))

    public companion object {
        /** A data URL, or else the text of an SVG. */
        public fun text(text: String): ImageSource = ImageSource(FfiImageSource.Text(text))
    }
}

/** An image in memory, as it was stored: [Interocitor.getImage]. */
public class ImageContent internal constructor(inner: FfiImageContent) {
    /** What is known of its file. */
    public val info: FileInfo = inner.info.asPublic()

    /** Its media type: the stored one, or else what its path ends with. */
    public val contentType: String = inner.contentType

    /** The encoded image. */
    public val bytes: ByteArray = inner.bytes

    override fun toString(): String = "ImageContent(path=${info.path}, contentType=$contentType, size=${bytes.size})"
}

/** A small picture of an image, for lists: [Interocitor.getThumbnail]. */
public class Thumbnail internal constructor(inner: FfiThumbnail) {
    /** `image/jpeg`, or `image/png` where something of it is transparent. */
    public val contentType: String = inner.contentType

    /** In pixels. */
    public val width: Int = inner.width.toInt()

    /** In pixels. */
    public val height: Int = inner.height.toInt()

    /** The encoded picture. */
    public val bytes: ByteArray = inner.bytes

    override fun toString(): String = "Thumbnail($contentType, $width x $height)"
}

/**
 * An image that lies in the clear in a temporary file, for a view that takes one: [Interocitor.getImageUrl].
 *
 * The file is readable by its owner only. It goes when this is revoked or closed, some time after it was forgotten, at the
 * latest when the database shuts down, and after a crash when its store is opened next.
 */
public class ImageUrl internal constructor(private val inner: FfiImageUrl) : AutoCloseable {
    /** The file. */
    public val file: File = File(inner.path())

    /** The media type of the image. */
    public val contentType: String = inner.contentType()

    private var isRevoked = false

    /** Removes the file now, whoever still shows it. Once more does nothing. */
    @Synchronized
    public fun revoke() {
        if (isRevoked) return
        engineNow { inner.revoke() }
        inner.destroy()
        isRevoked = true
    }

    /** As [revoke]. */
    override fun close() {
        revoke()
    }

    override fun toString(): String = "ImageUrl(contentType=$contentType)"
}
