package dev.interocitor

import dev.interocitor.ffi.S3Addressing as FfiS3Addressing

/** Where a bucket stands in an address. */
public enum class S3Addressing(internal val ffi: FfiS3Addressing) {
    /** `https://host/bucket/key`, which most compatible services want. */
    PATH(FfiS3Addressing.PATH),

    /** `https://bucket.host/key`, which AWS wants. */
    VIRTUAL_HOST(FfiS3Addressing.VIRTUAL_HOST),
}

/**
 * The keys of an account on S3 or a compatible service. Their text never shows them.
 *
 * @property accessKey the access key.
 * @property secretKey its secret.
 * @property sessionToken the token that temporary keys come with.
 */
public class S3Credentials(
    public val accessKey: String,
    public val secretKey: String,
    public val sessionToken: String? = null,
) {
    override fun toString(): String = "S3Credentials"
}
