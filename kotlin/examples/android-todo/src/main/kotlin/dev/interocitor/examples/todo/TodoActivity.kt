package dev.interocitor.examples.todo

import android.app.Activity
import android.os.Bundle
import android.widget.ArrayAdapter
import android.widget.EditText
import android.widget.LinearLayout
import android.widget.ListView
import dev.interocitor.Row
import dev.interocitor.Table
import dev.interocitor.eq
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.cancel
import kotlinx.coroutines.launch

/** What is to be done: a field for more, and a list to tick off. */
class TodoActivity : Activity() {
    private lateinit var scope: CoroutineScope
    private var shown: List<Row<Todo>> = emptyList()

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        val field = EditText(this).apply { hint = "What is to be done?" }
        val list = ListView(this)
        setContentView(
            LinearLayout(this).apply {
                orientation = LinearLayout.VERTICAL
                addView(field)
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

    private suspend fun todos(): Table<Todo> = (application as TodoApplication).database().table("todos")

    private fun change(write: suspend Table<Todo>.() -> Unit) {
        scope.launch { todos().write() }
    }
}
