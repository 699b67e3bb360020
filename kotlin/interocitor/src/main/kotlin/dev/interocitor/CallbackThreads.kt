package dev.interocitor

import com.sun.jna.Callback
import com.sun.jna.CallbackThreadInitializer
import dev.interocitor.ffi.uniffiCallbackInterfaceBiometricPrompt as BiometricPromptCallbacks
import dev.interocitor.ffi.uniffiCallbackInterfaceCredentialStore as CredentialStoreCallbacks
import dev.interocitor.ffi.uniffiCallbackInterfaceEventListener as EventListenerCallbacks
import dev.interocitor.ffi.uniffiCallbackInterfaceFileInput as FileInputCallbacks
import dev.interocitor.ffi.uniffiCallbackInterfaceLogSink as LogSinkCallbacks
import dev.interocitor.ffi.uniffiCallbackInterfaceMergeFunction as MergeFunctionCallbacks
import dev.interocitor.ffi.uniffiCallbackInterfacePlatformHttp as PlatformHttpCallbacks
import dev.interocitor.ffi.uniffiCallbackInterfaceStorageAdapter as StorageAdapterCallbacks
import dev.interocitor.ffi.uniffiCallbackInterfaceTokenProvider as TokenProviderCallbacks
import dev.interocitor.ffi.uniffiForeignFutureDroppedCallbackImpl
import dev.interocitor.ffi.uniffiRustFutureContinuationCallbackImpl
import com.sun.jna.Native as Jna

/**
 * The engine's own few threads call back, for every `suspend` call too. They stay attached to the virtual machine:
 * attaching them anew each time costs more than the call, and cannot be undone where the app's code calls the engine
 * again. And they are daemons: the app may end while one waits.
 */
internal object CallbackThreads {
    private val stay = CallbackThreadInitializer(true, false, "interocitor")

    /** Before the library is loaded: a callback that the engine knows already is not changed any more. */
    fun keep() {
        for (callback in callbacks()) Jna.setCallbackThreadInitializer(callback, stay)
    }

    private fun callbacks(): List<Callback> = listOf(
        uniffiRustFutureContinuationCallbackImpl,
        uniffiForeignFutureDroppedCallbackImpl,
        BiometricPromptCallbacks.seal,
        BiometricPromptCallbacks.unseal,
        BiometricPromptCallbacks.uniffiFree,
        BiometricPromptCallbacks.uniffiClone,
        CredentialStoreCallbacks.clear,
        CredentialStoreCallbacks.load,
        CredentialStoreCallbacks.save,
        CredentialStoreCallbacks.uniffiFree,
        CredentialStoreCallbacks.uniffiClone,
        EventListenerCallbacks.onEvents,
        EventListenerCallbacks.uniffiFree,
        EventListenerCallbacks.uniffiClone,
        FileInputCallbacks.read,
        FileInputCallbacks.uniffiFree,
        FileInputCallbacks.uniffiClone,
        LogSinkCallbacks.log,
        LogSinkCallbacks.uniffiFree,
        LogSinkCallbacks.uniffiClone,
        MergeFunctionCallbacks.merge,
        MergeFunctionCallbacks.uniffiFree,
        MergeFunctionCallbacks.uniffiClone,
        PlatformHttpCallbacks.upload,
        PlatformHttpCallbacks.uniffiFree,
        PlatformHttpCallbacks.uniffiClone,
        StorageAdapterCallbacks.authenticate,
        StorageAdapterCallbacks.createFile,
        StorageAdapterCallbacks.deleteFile,
        StorageAdapterCallbacks.ensureFolder,
        StorageAdapterCallbacks.listFiles,
        StorageAdapterCallbacks.listFolders,
        StorageAdapterCallbacks.metadata,
        StorageAdapterCallbacks.readFile,
        StorageAdapterCallbacks.replaceFile,
        StorageAdapterCallbacks.writeFile,
        StorageAdapterCallbacks.uniffiFree,
        StorageAdapterCallbacks.uniffiClone,
        TokenProviderCallbacks.token,
        TokenProviderCallbacks.uniffiFree,
        TokenProviderCallbacks.uniffiClone,
    )
}
