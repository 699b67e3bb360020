//! The conformance suite of credentials: what every [`CredentialStore`] must do.
//!
//! A check panics with what it found.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a check that cannot go on has failed")]

use std::sync::Arc;

use futures_util::future;
use interocitor_crypto::Key;

use super::{CredentialStore, Credentials, SupersededKey};

/// Opens the same place once more.
pub type Make<'a> = &'a (dyn Fn() -> Arc<dyn CredentialStore> + Sync);

/// Savers at once.
const RACERS: usize = 8;

/// Runs every check. Each uses names of its own, which begin with `prefix`, and leaves nothing behind.
pub async fn run(make: Make<'_>, prefix: &str) {
    let store = make();
    let named = |check: &str| format!("{prefix} {check}");
    missing(&*store, &named("missing")).await;
    round_trip(&*store, &named("round trip")).await;
    replace(&*store, &named("replace")).await;
    names(&*store, &named("names")).await;
    clear(&*store, &named("clear")).await;
    another(make, &named("another")).await;
    races(make, &named("races")).await;
    silence(&*store, &named("silence")).await;
}

fn passphrase(seed: u8) -> interocitor_crypto::Passphrase {
    Key::from_bytes([seed; 32]).to_passphrase()
}

fn full(seed: u8) -> Credentials {
    Credentials {
        passphrase: Some(passphrase(seed)),
        device_id: format!("device-{seed}"),
        mesh_id: Some("mesh_\u{e4} \"'\\".into()),
        sealed: Some((0..=255).collect()),
        local_key: Some(Key::from_bytes([seed ^ 0x55; 32])),
        superseded: (0..50)
            .map(|n| SupersededKey {
                id: format!("{n}"),
                passphrase: passphrase(n),
                mesh_id: (n % 2 == 0).then(|| "mesh_old".into()),
                superseded_ms: 1_711_785_600_000 + u64::from(n),
            })
            .collect(),
    }
}

fn small(device: &str) -> Credentials {
    Credentials { device_id: device.into(), ..Credentials::default() }
}

async fn missing(store: &dyn CredentialStore, name: &str) {
    assert_eq!(store.load(name).await.unwrap(), None, "nothing was saved yet");
    store.clear(name).await.unwrap();
    assert_eq!(store.load(name).await.unwrap(), None);
}

async fn round_trip(store: &dyn CredentialStore, name: &str) {
    let plain = Credentials { mesh_id: Some("mesh_1".into()), ..small("d") };
    let bare = Credentials { passphrase: Some(passphrase(1)), ..small("") };
    for credentials in [full(1), small("d"), plain, bare] {
        store.save(name, &credentials).await.unwrap();
        assert_eq!(store.load(name).await.unwrap(), Some(credentials));
    }
    store.clear(name).await.unwrap();
}

/// A second save leaves nothing of the first.
async fn replace(store: &dyn CredentialStore, name: &str) {
    for credentials in [full(1), full(2), small("d"), full(3)] {
        store.save(name, &credentials).await.unwrap();
        store.save(name, &credentials).await.unwrap();
        assert_eq!(store.load(name).await.unwrap(), Some(credentials));
    }
    store.clear(name).await.unwrap();
}

/// Names are any text, and all of them differ.
async fn names(store: &dyn CredentialStore, prefix: &str) {
    let endings =
        ["", " ", "a", "A", "a/b", "../b", "app:/data/x y.db", "\u{e9}", "e\u{301}", "'\"%`;--", "\u{1f600}"];
    let mut names: Vec<String> = endings.iter().map(|ending| format!("{prefix}{ending}")).collect();
    names.push(format!("{prefix}{}", "x".repeat(500)));
    for (at, name) in names.iter().enumerate() {
        store.save(name, &small(&at.to_string())).await.unwrap();
    }
    for (at, name) in names.iter().enumerate() {
        assert_eq!(store.load(name).await.unwrap(), Some(small(&at.to_string())), "{name}");
    }
    for name in &names {
        store.clear(name).await.unwrap();
    }
}

/// Clearing takes that name away and no other.
async fn clear(store: &dyn CredentialStore, name: &str) {
    let other = format!("{name} other");
    store.save(name, &full(1)).await.unwrap();
    store.save(&other, &full(2)).await.unwrap();
    store.clear(name).await.unwrap();
    assert_eq!(store.load(name).await.unwrap(), None);
    assert_eq!(store.load(&other).await.unwrap(), Some(full(2)));
    store.clear(name).await.unwrap();
    store.save(name, &small("again")).await.unwrap();
    assert_eq!(store.load(name).await.unwrap(), Some(small("again")));
    store.clear(name).await.unwrap();
    store.clear(&other).await.unwrap();
}

/// What one client saves another one sees.
async fn another(make: Make<'_>, name: &str) {
    let (one, two) = (make(), make());
    one.save(name, &full(1)).await.unwrap();
    assert_eq!(two.load(name).await.unwrap(), Some(full(1)));
    two.save(name, &full(2)).await.unwrap();
    assert_eq!(one.load(name).await.unwrap(), Some(full(2)));
    one.clear(name).await.unwrap();
    assert_eq!(two.load(name).await.unwrap(), None);
}

/// Savers at once, each under its own name: all are kept. All under one: one of them, whole.
async fn races(make: Make<'_>, name: &str) {
    let stores: Vec<_> = (0..RACERS).map(|_| make()).collect();
    let own = |at: usize| format!("{name} {at}");
    let saves = stores.iter().enumerate().map(|(at, store)| {
        let name = own(at);
        async move { store.save(&name, &small(&at.to_string())).await }
    });
    for outcome in future::join_all(saves).await {
        outcome.unwrap();
    }
    for at in 0..RACERS {
        assert_eq!(stores[0].load(&own(at)).await.unwrap(), Some(small(&at.to_string())), "{at}");
        stores[0].clear(&own(at)).await.unwrap();
    }
    let candidates: Vec<Credentials> = (10..).take(RACERS).map(full).collect();
    let saves = stores.iter().zip(&candidates).map(|(store, candidate)| store.save(name, candidate));
    for outcome in future::join_all(saves).await {
        outcome.unwrap();
    }
    let kept = stores[0].load(name).await.unwrap().unwrap();
    assert!(candidates.contains(&kept), "a mixture of two was kept");
    stores[0].clear(name).await.unwrap();
}

/// A store does not print what it keeps.
async fn silence(store: &dyn CredentialStore, name: &str) {
    store.save(name, &full(9)).await.unwrap();
    let text = format!("{store:?} {store:#?}");
    assert!(!text.contains(passphrase(9).expose()), "{text}");
    store.clear(name).await.unwrap();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credentials::{FileCredentials, MemoryCredentials};

    #[tokio::test]
    async fn memory() {
        let store = Arc::new(MemoryCredentials::default());
        run(&|| Arc::<MemoryCredentials>::clone(&store), "app:").await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("credentials");
        run(&|| Arc::new(FileCredentials::new(&path, "correct horse".to_owned().into()).unwrap()), "app:")
            .await;
        // The file and its lock, and nothing half written.
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
