package dev.interocitor.examples.todo

import android.app.Activity
import android.os.Bundle
import android.widget.ArrayAdapter
import android.widget.Button
import android.widget.EditText
import android.widget.LinearLayout
import android.widget.ListView
import android.widget.Toast
import dev.interocitor.InterocitorException
import dev.interocitor.Row
import dev.interocitor.Table
import dev.interocitor.eq
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.cancel
import kotlinx.coroutines.launch

/** What is to be done: a field for more, a list to tick off, and a button that guards the key of it all. */
class TodoActivity : Activity() {
    private lateinit var scope: CoroutineScope
    private var shown: List<Row<Todo>> = emptyList()

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        val field = EditText(this).apply { hint = "What is to be done?" }
        val guard = Button(this).apply { text = "Keep the key behind face or finger" }
        val list = ListView(this)
        setContentView(
            LinearLayout(this).apply {
                orientation = LinearLayout.VERTICAL
                addView(field)
                addView(guard)
                addView(list)
            },
        )
        scope = CoroutineScope(SupervisorJob() + Dispatchers.Main)
        field.setOnEditorActionListener { _, _, _ ->
            val title = field.text.toString()
            field.text.clear()
            change { add(Todo(title)) }
            true
        }
        guard.setOnClickListener { scope.launch { guardKey() } }
        list.setOnItemClickListener { _, _, position, _ ->
            val id = shown[position].id
            change { patch(id) { set(Todo::done, true) } }
        }
        scope.launch {
            todos().where(Todo::done eq false).orderBy(Todo::title).observe().collect { rows ->
                shown = rows
                list.adapter = ArrayAdapter(this@TodoActivity, android.R.layout.simple_list_item_1, rows.map { it.value.title })
            }
        }
    }

    override fun onDestroy() {
        scope.cancel()
        super.onDestroy()
    }

    private suspend fun database() = (application as TodoApplication).database()

    private suspend fun todos(): Table<Todo> = database().table("todos")

    private suspend fun guardKey() {
        val told = try {
            database().secureWithBiometrics("Keep the key of this list")
            "The key is kept"
        } catch (_: InterocitorException.Cancelled) {
            return
        } catch (failure: InterocitorException) {
            failure.reason
        }
        Toast.makeText(this, told, Toast.LENGTH_LONG).show()
    }

    private fun change(write: suspend Table<Todo>.() -> Unit) {
        scope.launch { todos().write() }
    }
}
