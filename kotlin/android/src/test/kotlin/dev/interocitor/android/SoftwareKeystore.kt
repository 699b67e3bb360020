package dev.interocitor.android

import android.security.keystore.KeyGenParameterSpec
import android.security.keystore.KeyPermanentlyInvalidatedException
import android.security.keystore.KeyProperties
import android.security.keystore.StrongBoxUnavailableException
import java.io.InputStream
import java.io.OutputStream
import java.security.AlgorithmParameters
import java.security.InvalidAlgorithmParameterException
import java.security.InvalidKeyException
import java.security.Key
import java.security.KeyStoreSpi
import java.security.Provider
import java.security.ProviderException
import java.security.SecureRandom
import java.security.Security
import java.security.UnrecoverableKeyException
import java.security.cert.Certificate
import java.security.spec.AlgorithmParameterSpec
import java.util.Collections
import java.util.Date
import java.util.Enumeration
import java.util.concurrent.ConcurrentHashMap
import java.util.concurrent.CopyOnWriteArrayList
import javax.crypto.Cipher
import javax.crypto.CipherSpi
import javax.crypto.IllegalBlockSizeException
import javax.crypto.KeyGeneratorSpi
import javax.crypto.SecretKey
import javax.crypto.spec.SecretKeySpec
import android.security.KeyStoreException as FrameworkKeystoreException

/**
 * In place of the keystore of a device: a provider of the same name whose keys lie in memory, and which refuses what the
 * real one refuses, with the exceptions of the real one.
 */
object SoftwareKeystore : Provider("AndroidKeyStore", "1", "a keystore in memory, for tests") {
    class SoftwareKey(val alias: String, val spec: KeyGenParameterSpec) : SecretKey {
        internal val secret = SecretKeySpec(ByteArray(32).also(SecureRandom()::nextBytes), "AES")

        @Volatile
        var isInvalid = false

        override fun getAlgorithm() = "AES"
        override fun getFormat(): String? = null
        override fun getEncoded(): ByteArray? = null
    }

    val held = ConcurrentHashMap<String, SoftwareKey>()
    private val begun = CopyOnWriteArrayList<SoftwareCipher>()

    @Volatile
    var hasStrongBox = true

    @Volatile
    var isScreenLocked = false

    @Volatile
    var isEnrolled = true

    /** What finding any key fails with. */
    @Volatile
    var fault: UnrecoverableKeyException? = null

    fun reset() {
        held.clear()
        begun.clear()
        hasStrongBox = true
        isScreenLocked = false
        isEnrolled = true
        fault = null
    }

    /** Another finger: keys that ask for biometrics and nothing else end with it. */
    fun enrolAnother() {
        for (key in held.values) {
            val isStrict = key.spec.userAuthenticationType and KeyProperties.AUTH_DEVICE_CREDENTIAL == 0
            if (key.spec.isUserAuthenticationRequired && isStrict && key.spec.isInvalidatedByBiometricEnrollment) key.isInvalid = true
        }
    }

    /** What the prompt of the system does once a finger was recognised. */
    fun approve(cipher: Cipher) {
        begun.last { it.iv().contentEquals(cipher.iv) }.isApproved = true
    }

    private fun offer(type: String, algorithm: String, make: () -> Any, supports: (Any?) -> Boolean = { true }) {
        putService(
            object : Service(this, type, algorithm, "software", null, null) {
                override fun newInstance(parameter: Any?) = make()
                override fun supportsParameter(parameter: Any?) = supports(parameter)
            },
        )
    }

    init {
        offer("KeyStore", "AndroidKeyStore", ::SoftwareKeys)
        offer("KeyGenerator", "AES", ::SoftwareGenerator)
        // Ciphers of other providers cannot use these keys, nor this one theirs.
        offer("Cipher", "AES/GCM/NoPadding", ::SoftwareCipher) { it is SoftwareKey }
        Security.addProvider(this)
    }

    private class SoftwareKeys : KeyStoreSpi() {
        override fun engineGetKey(alias: String, password: CharArray?): Key? {
            fault?.let { throw it }
            return held[alias]
        }

        override fun engineDeleteEntry(alias: String) {
            held.remove(alias)
        }

        override fun engineLoad(stream: InputStream?, password: CharArray?) = require(stream == null && password == null)
        override fun engineContainsAlias(alias: String) = held.containsKey(alias)
        override fun engineAliases(): Enumeration<String> = Collections.enumeration(held.keys)
        override fun engineSize() = held.size
        override fun engineIsKeyEntry(alias: String) = held.containsKey(alias)
        override fun engineIsCertificateEntry(alias: String) = false
        override fun engineGetCertificateChain(alias: String): Array<Certificate>? = null
        override fun engineGetCertificate(alias: String): Certificate? = null
        override fun engineGetCertificateAlias(certificate: Certificate): String? = null
        override fun engineGetCreationDate(alias: String): Date? = null
        override fun engineSetKeyEntry(alias: String, key: Key, password: CharArray?, chain: Array<Certificate>?) = unsupported()
        override fun engineSetKeyEntry(alias: String, key: ByteArray, chain: Array<Certificate>?) = unsupported()
        override fun engineSetCertificateEntry(alias: String, certificate: Certificate) = unsupported()
        override fun engineStore(stream: OutputStream?, password: CharArray?) = unsupported()
    }

    private class SoftwareGenerator : KeyGeneratorSpi() {
        private lateinit var spec: KeyGenParameterSpec

        override fun engineInit(params: AlgorithmParameterSpec, random: SecureRandom?) {
            spec = params as KeyGenParameterSpec
            require(spec.blockModes.toList() == listOf("GCM") && spec.encryptionPaddings.toList() == listOf("NoPadding"))
            if (spec.isUserAuthenticationRequired && !isEnrolled) {
                val cause = IllegalStateException("At least one biometric must be enrolled")
                throw InvalidAlgorithmParameterException(cause)
            }
        }

        override fun engineGenerateKey(): SecretKey {
            if (spec.isStrongBoxBacked && !hasStrongBox) throw StrongBoxUnavailableException("Failed to generate key")
            if (spec.keySize != 256) throw ProviderException("${spec.keySize} bits")
            return SoftwareKey(spec.keystoreAlias, spec).also { held[it.alias] = it }
        }

        override fun engineInit(random: SecureRandom?) = unsupported()
        override fun engineInit(keysize: Int, random: SecureRandom?) = unsupported()
    }

    private class SoftwareCipher : CipherSpi() {
        private val cipher = Cipher.getInstance("AES/GCM/NoPadding", "SunJCE")
        private lateinit var key: SoftwareKey

        @Volatile
        var isApproved = false

        fun iv(): ByteArray = cipher.iv

        override fun engineInit(mode: Int, key: Key, random: SecureRandom?) = begin(key) { cipher.init(mode, it) }

        override fun engineInit(mode: Int, key: Key, params: AlgorithmParameterSpec, random: SecureRandom?) {
            if (mode == Cipher.ENCRYPT_MODE) throw InvalidAlgorithmParameterException("Caller-provided IV not permitted")
            begin(key) { cipher.init(mode, it, params) }
        }

        private fun begin(key: Key, init: (SecretKey) -> Unit) {
            this.key = key as SoftwareKey
            if (key.isInvalid) throw KeyPermanentlyInvalidatedException()
            if (key.spec.isUnlockedDeviceRequired && isScreenLocked) {
                throw InvalidKeyException("Keystore operation failed", FrameworkKeystoreException(DEVICE_LOCKED, "Device locked"))
            }
            init(key.secret)
            begun += this
        }

        override fun engineDoFinal(input: ByteArray?, offset: Int, length: Int): ByteArray {
            if (key.spec.isUserAuthenticationRequired && !isApproved) {
                val cause = FrameworkKeystoreException(NOT_AUTHENTICATED, "Key user not authenticated")
                throw IllegalBlockSizeException().apply { initCause(cause) }
            }
            isApproved = false
            return cipher.doFinal(input ?: ByteArray(0), offset, length)
        }

        override fun engineUpdateAAD(source: ByteArray, offset: Int, length: Int) = cipher.updateAAD(source, offset, length)
        override fun engineGetIV(): ByteArray = cipher.iv
        override fun engineGetOutputSize(inputLength: Int) = cipher.getOutputSize(inputLength)
        override fun engineGetBlockSize() = cipher.blockSize
        override fun engineGetParameters(): AlgorithmParameters = cipher.parameters
        override fun engineSetMode(mode: String) = unsupported()
        override fun engineSetPadding(padding: String) = unsupported()
        override fun engineInit(mode: Int, key: Key, params: AlgorithmParameters?, random: SecureRandom?) = unsupported()
        override fun engineUpdate(input: ByteArray, offset: Int, length: Int) = unsupported()
        override fun engineUpdate(input: ByteArray, offset: Int, length: Int, output: ByteArray, at: Int) = unsupported()
        override fun engineDoFinal(input: ByteArray?, offset: Int, length: Int, output: ByteArray, at: Int) = unsupported()
    }

    private fun unsupported(): Nothing = throw UnsupportedOperationException()

    /** As the framework numbers them. */
    private const val DEVICE_LOCKED = -72
    private const val NOT_AUTHENTICATED = -26
}
