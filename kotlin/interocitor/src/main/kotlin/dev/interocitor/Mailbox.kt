package dev.interocitor

import dev.interocitor.ffi.CloudflareOptions
import dev.interocitor.ffi.GoogleDriveOptions
import dev.interocitor.ffi.S3Options
import dev.interocitor.ffi.WebDavOptions
import java.io.File
import kotlin.time.Duration
import kotlin.time.Duration.Companion.seconds
import dev.interocitor.ffi.Mailbox as FfiMailbox
import dev.interocitor.ffi.TokenProvider as FfiTokenProvider

/** A dumb remote: stores ciphertext under paths and merges nothing. */
public class Mailbox private constructor(internal val inner: FfiMailbox) {
    /** `folder`, `memory`, `webdav`, `s3`, `gdrive`, `cloudflare` or `custom`. */
    public val kind: String get() = inner.kind()

    /**
     * Puts the mailbox through the conformance suite of the engine: what every one must do, and what this one says that
     * it can do. For the tests of an app that has a [StorageAdapter] of its own.
     *
     * @param root everything happens in folders below it. It must be missing or empty.
     * @param others further clients of the same remote, as other devices have them, which race with this one. Without
     * any it races with itself.
     * @throws InterocitorException with the check that was not passed, and what came of it.
     */
    public suspend fun check(root: String = "/conformance", others: List<Mailbox> = emptyList()): Unit =
        engine { inner.check(root, others.map { it.inner }) }

    override fun toString(): String = "Mailbox($kind)"

    public companion object {
        /** A directory: a synced folder, a network drive. It must exist: a missing one may be an unmounted disk. */
        public fun folder(directory: File): Mailbox = make { FfiMailbox.folder(directory.path) }

        /** Memory, for tests and previews. Every reference shows the same files. */
        public fun memory(): Mailbox = make { FfiMailbox.memory() }

        /**
         * A WebDAV server.
         *
         * @param url address of the collection, `http` or `https`; it must exist.
         * @param auth who asks.
         * @param authorities certificate authorities to trust besides those of the platform, in PEM.
         * @param timeout how long to wait for an answer, or for the next part of a body.
         * @param uploads carries large uploads, so that they go on while the app is not seen.
         * @throws InterocitorException for an unusable address or certificate.
         */
        public fun webdav(
            url: String,
            auth: WebDavAuth = WebDavAuth.None,
            authorities: String? = null,
            timeout: Duration = 30.seconds,
            uploads: PlatformUploads? = null,
        ): Mailbox = make {
            val basic = auth as? WebDavAuth.Basic
            val digest = auth as? WebDavAuth.Digest
            FfiMailbox.webdav(
                WebDavOptions(
                    url = url,
                    user = basic?.user ?: digest?.user,
                    password = basic?.password ?: digest?.password,
                    digest = digest != null,
                    token = (auth as? WebDavAuth.Bearer)?.token,
                    tokenProvider = (auth as? WebDavAuth.Tokens)?.let { ForeignTokenProvider(it.provider) },
                    authorities = authorities,
                    timeoutMs = timeout.inWholeMilliseconds,
                    uploads = uploads?.inner,
                ),
            )
        }

        /**
         * A bucket on S3 or a compatible service, for large meshes. The clock of the device must be right by a quarter of an
         * hour, since requests are signed by it.
         *
         * @param bucket the bucket; it must exist.
         * @param credentials the keys of an account.
         * @param prefix what all keys begin with: a path within the bucket.
         * @param endpoint the `http` or `https` address of a compatible service; null: AWS.
         * @param region the region.
         * @param addressing where the bucket stands in addresses; null: in the host on AWS, unless its name has dots, else
         * in the path.
         * @param authorities certificate authorities to trust besides those of the platform, in PEM.
         * @param timeout how long to wait for an answer, or for the next part of a body. The answer to a large upload may
         * take five times as long.
         * @param uploads carries large uploads, so that they go on while the app is not seen.
         * @throws InterocitorException for unusable options.
         */
        public fun s3(
            bucket: String,
            credentials: S3Credentials,
            prefix: String = "",
            endpoint: String? = null,
            region: String = "us-east-1",
            addressing: S3Addressing? = null,
            authorities: String? = null,
            timeout: Duration = 30.seconds,
            uploads: PlatformUploads? = null,
        ): Mailbox = make {
            FfiMailbox.s3(
                S3Options(
                    bucket = bucket,
                    prefix = prefix,
                    endpoint = endpoint,
                    region = region,
                    addressing = addressing?.ffi,
                    accessKey = credentials.accessKey,
                    secretKey = credentials.secretKey,
                    sessionToken = credentials.sessionToken,
                    authorities = authorities,
                    timeoutMs = timeout.inWholeMilliseconds,
                    uploads = uploads?.inner,
                ),
            )
        }

        /**
         * The user's Google Drive, of which the app sees what it made itself and nothing else. Two apps see the same mailbox
         * only if both are clients of one Google project.
         *
         * @param auth who asks.
         * @param folder the id of the folder to use, which must exist; null: My Drive.
         * @param clientId the OAuth client that this app is, told to other devices in pairing codes.
         * @param endpoint another server that speaks the same interface, such as a proxy. It gets to see the tokens.
         * @param timeout how long to wait for an answer, for the next part of a body, or for a token.
         * @param retries how often a call is made again that Drive is too busy for.
         * @param uploads carries large uploads, so that they go on while the app is not seen.
         * @throws InterocitorException for unusable options.
         */
        public fun googleDrive(
            auth: GoogleDriveAuth,
            folder: String? = null,
            clientId: String? = null,
            endpoint: String? = null,
            timeout: Duration = 30.seconds,
            retries: Int = 4,
            uploads: PlatformUploads? = null,
        ): Mailbox = make {
            FfiMailbox.googleDrive(
                GoogleDriveOptions(
                    tokenProvider = (auth as? GoogleDriveAuth.Tokens)?.let { ForeignTokenProvider(it.provider) },
                    token = (auth as? GoogleDriveAuth.Bearer)?.token,
                    folder = folder,
                    clientId = clientId,
                    endpoint = endpoint,
                    timeoutMs = timeout.inWholeMilliseconds,
                    retries = number("retries", retries),
                    uploads = uploads?.inner,
                ),
            )
        }

        /**
         * A Cloudflare Worker, which tells of news as they happen.
         *
         * @param url the address of the mesh, `https://host/io/ADDRESS`.
         * @param auth who asks.
         * @param push whether the Worker tells of news as they happen; else it is polled only.
         * @param maxFileBytes the largest durable file that the Worker takes.
         * @param authorities certificate authorities to trust besides those of the platform, in PEM.
         * @param timeout how long to wait for an answer, or for the next part of a body.
         * @param uploads carries large uploads, so that they go on while the app is not seen.
         * @throws InterocitorException for unusable options.
         */
        public fun cloudflare(
            url: String,
            auth: CloudflareAuth = CloudflareAuth.None,
            push: Boolean = true,
            maxFileBytes: Long = 32L * 1024 * 1024,
            authorities: String? = null,
            timeout: Duration = 30.seconds,
            uploads: PlatformUploads? = null,
        ): Mailbox = make {
            FfiMailbox.cloudflare(
                CloudflareOptions(
                    url = url,
                    token = (auth as? CloudflareAuth.Bearer)?.token,
                    tokenProvider = (auth as? CloudflareAuth.Tokens)?.let { ForeignTokenProvider(it.provider) },
                    accessSecret = (auth as? CloudflareAuth.Secret)?.secret,
                    push = push,
                    maxFileBytes = maxFileBytes,
                    authorities = authorities,
                    timeoutMs = timeout.inWholeMilliseconds,
                    uploads = uploads?.inner,
                ),
            )
        }

        /** An adapter of the app. */
        public fun custom(adapter: StorageAdapter): Mailbox = make { FfiMailbox.custom(ForeignAdapter(adapter)) }

        private inline fun make(mailbox: () -> FfiMailbox): Mailbox {
            Native.load()
            return Mailbox(engineNow(mailbox))
        }
    }
}

/** Who asks a WebDAV server. Its text never shows secrets. */
public sealed class WebDavAuth {
    /** Nobody. */
    public data object None : WebDavAuth()

    /**
     * A user with a password.
     *
     * @property user the user.
     * @property password the password, or the app password that many services want here.
     */
    public class Basic(public val user: String, public val password: String) : WebDavAuth() {
        override fun toString(): String = "Basic"
    }

    /**
     * A user with a password, for a server that asks for digest authentication: the password itself is never sent.
     *
     * @property user the user.
     * @property password the password.
     */
    public class Digest(public val user: String, public val password: String) : WebDavAuth() {
        override fun toString(): String = "Digest"
    }

    /**
     * Who has a token.
     *
     * @property token the bearer token.
     */
    public class Bearer(public val token: String) : WebDavAuth() {
        override fun toString(): String = "Bearer"
    }

    /**
     * Bearer tokens that change.
     *
     * @property provider gives them as they are needed, and others when one is refused.
     */
    public class Tokens(public val provider: TokenProvider) : WebDavAuth() {
        override fun toString(): String = "Tokens"
    }
}

/** Gives the access token of an account. */
public fun interface TokenProvider {
    /**
     * The token to use now; throw a [MailboxException] where there is none. It may block its thread.
     *
     * @param rejected one that the remote just refused; another one is wanted.
     */
    public suspend fun token(rejected: String?): String
}

internal class ForeignTokenProvider(private val provider: TokenProvider) : FfiTokenProvider {
    override suspend fun token(rejected: String?): String = mailboxWork("the token provider") { provider.token(rejected) }
}
