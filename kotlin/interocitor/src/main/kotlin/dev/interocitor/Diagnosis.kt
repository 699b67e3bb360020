package dev.interocitor

import dev.interocitor.ffi.Diagnosis as FfiDiagnosis
import dev.interocitor.ffi.Finding as FfiFinding
import dev.interocitor.ffi.Severity as FfiSeverity

/** How bad a finding is; the worst is the greatest. */
public enum class Severity {
    /** Good to know. */
    INFO,

    /** Something is not as it should be; data is safe. */
    WARNING,

    /** Data or sync is in danger. */
    ERROR,
}

/**
 * What the doctor found: [Interocitor.doctor].
 *
 * @property findings everything, the worst first.
 * @property rowsChecked rows of the store that were read, deleted ones included.
 * @property filesChecked files of the mailbox that were read.
 */
public data class Diagnosis(val findings: List<Finding>, val rowsChecked: Long, val filesChecked: Long) {
    /** The worst that is left; null where nothing is. */
    val worst: Severity? get() = findings.filter { !it.isMended }.maxOfOrNull { it.severity }
}

/**
 * One thing that the doctor found. Never holds values, keys or passphrases.
 *
 * @property code stable code of the trouble, `HEAD_BEHIND` for example.
 * @property severity how bad it is.
 * @property place where: a file of the mailbox, a table, a file beside the store.
 * @property detail what exactly.
 * @property meaning what it means.
 * @property advice what to do.
 * @property isMendable whether the doctor can mend it.
 * @property isMended whether it was mended.
 */
public data class Finding(
    val code: String,
    val severity: Severity,
    val place: String,
    val detail: String,
    val meaning: String,
    val advice: String,
    val isMendable: Boolean,
    val isMended: Boolean,
)

private fun FfiSeverity.asPublic() = when (this) {
    FfiSeverity.INFO -> Severity.INFO
    FfiSeverity.WARNING -> Severity.WARNING
    FfiSeverity.ERROR -> Severity.ERROR
}

private fun FfiFinding.asPublic() = Finding(
    code = code,
    severity = severity.asPublic(),
    place = place,
    detail = detail,
    meaning = meaning,
    advice = advice,
    isMendable = mendable,
    isMended = mended,
)

internal fun FfiDiagnosis.asPublic(): Diagnosis = Diagnosis(findings.map { it.asPublic() }, rowsChecked, filesChecked)
