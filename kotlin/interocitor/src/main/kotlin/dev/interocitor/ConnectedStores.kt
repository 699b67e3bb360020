package dev.interocitor

import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.withContext
import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.jsonObject
import dev.interocitor.ffi.ConnectedStores as FfiConnectedStores

/** Credentials of sub-stores that an app keeps beside its rows. Never synced. */
public class ConnectedStores internal constructor(private val inner: FfiConnectedStores) {
    /** All records, by id. */
    public suspend fun list(): List<JsonObject> = call { list().map(::record) }

    /** One record. */
    public suspend fun get(id: String): JsonObject? = call { get(id)?.let(::record) }

    /** Puts a record with a text `id`. Stamps `createdAt` once and `updatedAt` each time. */
    public suspend fun put(record: JsonObject): Unit = call { put(record.toString().escapingLoneSurrogates()) }

    /**
     * Puts all of these records, or none, as the JavaScript client keeps them, with the times that it gave them; gives
     * their number.
     */
    public suspend fun importAll(records: List<JsonObject>): Long =
        call { importAll(JsonArray(records).toString().escapingLoneSurrogates()) }

    /** Removes a record; tells whether it was there. */
    public suspend fun remove(id: String): Boolean = call { remove(id) }

    private fun record(text: String) = parseJson(text).jsonObject

    // These calls use the store at once.
    private suspend fun <T> call(use: FfiConnectedStores.() -> T): T =
        withContext(Dispatchers.IO) { engine { inner.use() } }
}
