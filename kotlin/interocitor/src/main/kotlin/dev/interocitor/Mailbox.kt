package dev.interocitor

import dev.interocitor.ffi.WebDavOptions
import java.io.File
import kotlin.time.Duration
import kotlin.time.Duration.Companion.seconds
import dev.interocitor.ffi.Mailbox as FfiMailbox
import dev.interocitor.ffi.TokenProvider as FfiTokenProvider

/** A dumb remote: stores ciphertext under paths and merges nothing. */
public class Mailbox private constructor(internal val inner: FfiMailbox) {
    /** `folder`, `memory`, `webdav` or `custom`. */
    public val kind: String get() = inner.kind()

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
         * @throws InterocitorException for an unusable address or certificate.
         */
        public fun webdav(
            url: String,
            auth: WebDavAuth = WebDavAuth.None,
            authorities: String? = null,
            timeout: Duration = 30.seconds,
        ): Mailbox = make {
            val basic = auth as? WebDavAuth.Basic
            FfiMailbox.webdav(
                WebDavOptions(
                    url = url,
                    user = basic?.user,
                    password = basic?.password,
                    token = (auth as? WebDavAuth.Bearer)?.token,
                    tokenProvider = (auth as? WebDavAuth.Tokens)?.let { ForeignTokenProvider(it.provider) },
                    authorities = authorities,
                    timeoutMs = timeout.inWholeMilliseconds,
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
