//! Doctor: what is wrong, what it means, what to do.

use interocitor_core::diagnosis::{Diagnosis, Finding, Severity};

use crate::{
    args::Options,
    failure::{Failure, Outcome},
    places,
    progress::Progress,
    reply::{self, Reply},
    session::Session,
    terminal::Paint,
    text,
};

pub(super) async fn doctor(options: &Options, mends: bool) -> Outcome<()> {
    let store = places::store(options.store.as_deref())?;
    // Opening would make it.
    if !store.exists() {
        return Err(Failure::invalid(format!("there is no store {}", store.display())));
    }
    let progress = Progress::start("looking at everything");
    let session = Session::open(options).await?;
    session.attach_to_look().await?;
    let outcome = session.db.doctor(mends).await;
    session.close().await;
    drop(progress);
    let diagnosis = outcome?;
    let shown = if options.json {
        serde_json::to_string(&diagnosis).map_err(|error| Failure::invalid(error.to_string()))?
    } else {
        in_words(&diagnosis, mends, Paint::new())
    };
    reply::print(&Reply::text(shown).text)?;
    let left = diagnosis.findings.iter().filter(|finding| !finding.is_mended);
    let errors = left.filter(|finding| finding.trouble.severity() == Severity::Error).count() as u64;
    match errors {
        0 => Ok(()),
        _ => Err(Failure::new(
            "DOCTOR",
            format!("{} found and not mended; data or sync is in danger", text::count(errors, "error")),
        )),
    }
}

fn in_words(diagnosis: &Diagnosis, mends: bool, paint: Paint) -> String {
    let mut lines: Vec<String> = Vec::new();
    // Findings of one kind stand together and are explained once.
    let mut findings: Vec<&Finding> = diagnosis.findings.iter().collect();
    findings.sort_by_key(|finding| (std::cmp::Reverse(finding.trouble.severity()), finding.trouble.code()));
    for group in findings.chunk_by(|a, b| a.trouble == b.trouble) {
        let Some(first) = group.first() else { continue };
        let word = match first.trouble.severity() {
            Severity::Error => paint.red("error"),
            Severity::Warning => paint.yellow("warning"),
            Severity::Info => "note".into(),
        };
        lines.push(format!("{word} {}: {}", first.trouble.code(), first.trouble.meaning()));
        for finding in group {
            let mark = if finding.is_mended { paint.green(" (mended)") } else { String::new() };
            let detail =
                if finding.detail.is_empty() { String::new() } else { format!(": {}", finding.detail) };
            lines.push(format!("    {}{mark}", text::shown(&format!("{}{detail}", finding.place))));
        }
        if group.iter().any(|finding| !finding.is_mended) {
            lines.push(format!("    -> {}", first.trouble.advice()));
        }
    }
    let looked = format!(
        "looked at {} and {}",
        text::count(diagnosis.rows_checked, "row"),
        text::count(diagnosis.files_checked, "mailbox file")
    );
    let open = diagnosis
        .findings
        .iter()
        .filter(|finding| !finding.is_mended && finding.trouble.is_mendable())
        .count();
    let hint = match (open, mends) {
        (0, _) if diagnosis.findings.is_empty() => "; nothing is wrong",
        (1.., false) => "; interocitor doctor --fix mends what can be mended",
        _ => "",
    };
    lines.push(format!("{looked}{hint}"));
    lines.join("\n")
}
