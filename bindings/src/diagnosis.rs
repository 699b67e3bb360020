//! What the doctor found.

use interocitor_core::diagnosis::{
    Diagnosis as CoreDiagnosis, Finding as CoreFinding, Severity as CoreSeverity,
};

use crate::status::whole;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "explained in the interface")]
pub enum Severity {
    Info,
    Warning,
    Error,
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "explained in the interface")]
pub struct Finding {
    pub code: String,
    pub severity: Severity,
    pub place: String,
    pub detail: String,
    pub meaning: String,
    pub advice: String,
    pub mendable: bool,
    pub mended: bool,
}

impl From<CoreFinding> for Finding {
    fn from(finding: CoreFinding) -> Self {
        let trouble = finding.trouble;
        Self {
            code: trouble.code().to_owned(),
            severity: match trouble.severity() {
                CoreSeverity::Info => Severity::Info,
                CoreSeverity::Warning => Severity::Warning,
                CoreSeverity::Error => Severity::Error,
            },
            place: finding.place,
            detail: finding.detail,
            meaning: trouble.meaning().to_owned(),
            advice: trouble.advice().to_owned(),
            mendable: trouble.is_mendable(),
            mended: finding.is_mended,
        }
    }
}

/// What the doctor found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "explained in the interface")]
pub struct Diagnosis {
    pub findings: Vec<Finding>,
    pub rows_checked: i64,
    pub files_checked: i64,
}

impl From<CoreDiagnosis> for Diagnosis {
    fn from(diagnosis: CoreDiagnosis) -> Self {
        Self {
            findings: diagnosis.findings.into_iter().map(Finding::from).collect(),
            rows_checked: whole(diagnosis.rows_checked),
            files_checked: whole(diagnosis.files_checked),
        }
    }
}
