package dev.interocitor

/** Who asks a Cloudflare Worker. Its text never shows secrets. */
public sealed class CloudflareAuth {
    /** Nobody in particular. */
    public data object None : CloudflareAuth()

    /**
     * Who has a token.
     *
     * @property token the access token of the address.
     */
    public class Bearer(public val token: String) : CloudflareAuth() {
        override fun toString(): String = "Bearer"
    }

    /**
     * Access tokens that change.
     *
     * @property provider gives them as they are needed, and others when one is refused.
     */
    public class Tokens(public val provider: TokenProvider) : CloudflareAuth() {
        override fun toString(): String = "Tokens"
    }

    /**
     * The owner of the Worker.
     *
     * @property secret the access secret of the Worker: it opens every address.
     */
    public class Secret(public val secret: String) : CloudflareAuth() {
        override fun toString(): String = "Secret"
    }
}
