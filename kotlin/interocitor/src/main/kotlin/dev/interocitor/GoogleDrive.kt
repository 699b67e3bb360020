package dev.interocitor

/** Who asks Google Drive: access tokens of OAuth, with the scope `drive.file`. Its text never shows secrets. */
public sealed class GoogleDriveAuth {
    /**
     * Access tokens that change: they last for about an hour.
     *
     * @property provider gives them as they are needed, and others when one is refused.
     */
    public class Tokens(public val provider: TokenProvider) : GoogleDriveAuth() {
        override fun toString(): String = "Tokens"
    }

    /**
     * Who has one access token, until it expires.
     *
     * @property token the access token.
     */
    public class Bearer(public val token: String) : GoogleDriveAuth() {
        override fun toString(): String = "Bearer"
    }
}
