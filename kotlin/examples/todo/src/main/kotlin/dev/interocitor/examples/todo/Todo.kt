package dev.interocitor.examples.todo

import kotlinx.serialization.Serializable

/** A row of the table `todos`; its properties are the columns. */
@Serializable
data class Todo(val title: String, val done: Boolean = false)
