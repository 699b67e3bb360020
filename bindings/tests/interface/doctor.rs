//! What the doctor finds, and what it mends.

use std::sync::Arc;

use interocitor_ffi::{CancelToken, Mailbox, Severity};

use crate::support::{code, member, open, wait};

#[test]
fn findings_are_values_and_what_is_mendable_is_mended_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let mailbox = Arc::new(Mailbox::folder(folder.path().display().to_string()));
    let db = member(&mailbox, |_| {});
    wait(db.table("t".into()).put("a".into(), br#"{"v":"secret"}"#.to_vec())).unwrap();
    wait(db.sync(None)).unwrap();
    let sound = wait(db.doctor(false, None)).unwrap();
    assert_eq!((sound.findings.len(), sound.rows_checked), (0, 1), "{sound:?}");
    assert!(sound.files_checked > 0);

    // Older than the newest change: beta.10 clients read nothing that is newer.
    let head = folder.path().join("Mesh/changes/head.json");
    let older = r#"{"latestHlc":"000000000000001-0000-x"}"#;
    std::fs::write(&head, older).unwrap();
    let manifest = folder.path().join("Mesh/stranger.txt");
    std::fs::write(manifest, "x").unwrap();
    for mends in [false, true] {
        let found = wait(db.doctor(mends, None)).unwrap().findings;
        let codes: Vec<_> = found.iter().map(|finding| (&*finding.code, finding.severity)).collect();
        assert_eq!(codes, [("HEAD_BEHIND", Severity::Warning), ("UNKNOWN_FILE", Severity::Info)]);
        assert_eq!((found[0].mendable, found[0].mended), (true, mends));
        assert_eq!((found[1].mendable, found[1].mended), (false, false));
        assert!(found.iter().all(|finding| !finding.meaning.is_empty() && !finding.advice.is_empty()));
        assert!(found[1].place.ends_with("stranger.txt"), "{found:?}");
        assert_eq!(std::fs::read_to_string(&head).unwrap() == older, !mends);
    }
    assert_eq!(wait(db.doctor(false, None)).unwrap().findings.len(), 1);
    let token = Arc::new(CancelToken::new());
    token.cancel();
    assert_eq!(code(wait(db.doctor(false, Some(token)))), "CANCELLED");
    wait(db.shutdown()).unwrap();
    assert_eq!(code(wait(db.doctor(false, None))), "SHUT_DOWN");
}

#[test]
fn without_a_mailbox_the_store_is_looked_at() {
    let found = wait(open(|_| {}).doctor(false, None)).unwrap();
    assert_eq!(
        found.findings.iter().map(|finding| &*finding.code).collect::<Vec<_>>(),
        ["MAILBOX_NOT_CHECKED"]
    );
    assert_eq!(found.files_checked, 0);
}
