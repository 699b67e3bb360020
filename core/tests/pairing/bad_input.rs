//! Codes, files and mailboxes that are not what they should be: a typed error in time, and nothing leaves.

use std::sync::Mutex;

use interocitor_core::Error;
use serde_json::json;

use crate::{common::faulty::Failure, *};

/// As long as a step may wait, and a little for the requests.
const LIMIT_MS: u64 = 125_000;

#[test]
fn an_expired_code_pairs_nobody() {
    for waits in [true, false] {
        let (scene, mut executor) = Scene::new(1);
        let member = scene.member.clone();
        let shown = executor.complete(async move { member.pair_share(options()).await.unwrap() });
        let payload = scanned(&shown);
        let began = scene.world.now_ms();
        if !waits {
            executor.run_for(LIMIT_MS);
        }
        let asked = scene.world.now_ms();
        let shown = executor.complete(async move {
            assert_eq!(code(shown.code().await), "PAIRING_TIMEOUT");
            assert_eq!(code(shown.complete().await), "PAIRING_REJECTED");
            shown
        });
        let since = if waits { began } else { asked };
        assert!(scene.world.now_ms() - since < LIMIT_MS);
        let newcomer = scene.newcomer.clone();
        let began = scene.world.now_ms();
        executor.complete(async move {
            let late = newcomer.pair_scan(payload, options()).await.unwrap();
            assert_eq!(code(late.complete().await), "PAIRING_TIMEOUT");
        });
        assert!(scene.world.now_ms() - began < LIMIT_MS);
        assert_eq!(scene.relay_files(&mut executor), Vec::<String>::new());
        scene.assert_untouched(&mut executor);
        drop(shown);
    }
}

#[test]
fn a_used_code_pairs_nobody_else() {
    let (scene, mut executor) = Scene::new(2);
    let (shown, scan) = scene.shared(&mut executor);
    let payload = scanned(&shown);
    let (second, third) = (scene.newcomer.clone(), scene.member.clone());
    executor.complete(async move {
        let (a, b) = futures_util::future::join(shown.complete(), scan.complete()).await;
        a.unwrap();
        b.unwrap();
        third.disconnect().await;
        let path = third.get_passphrase();
        for again in [second, third.clone()] {
            let scan = again.pair_scan(payload.clone(), options()).await.unwrap();
            assert_eq!(code(scan.complete().await), "PAIRING_TIMEOUT");
        }
        assert_eq!(third.get_passphrase(), path);
    });
    assert_eq!(scene.relay_files(&mut executor), Vec::<String>::new());
}

#[test]
fn of_two_scanners_at_once_one_is_told() {
    for seed in 0..10 {
        let (scene, mut executor) = Scene::new(seed);
        let (shown, first) = scene.shared(&mut executor);
        let (newcomer, payload) = (scene.newcomer.clone(), scanned(&shown));
        executor.complete(async move {
            let second = newcomer.pair_scan(payload, options()).await.unwrap();
            let (a, b) = futures_util::future::join(first.code(), second.code()).await;
            let (winner, loser) = if a.is_ok() { (a, b) } else { (b, a) };
            assert_eq!(code(loser), "PAIRING_REJECTED");
            assert_eq!(shown.code().await.unwrap(), winner.unwrap());
        });
    }
}

#[test]
fn a_scanner_that_writes_over_another_gets_nothing() {
    let (scene, mut executor) = Scene::new(3);
    let (shown, first) = scene.shared(&mut executor);
    let (shown, first) = executor.complete(async move {
        let (a, b) = futures_util::future::join(shown.code(), first.code()).await;
        a.unwrap();
        b.unwrap();
        (shown, first)
    });
    let key = interocitor_crypto::agreement::PrivateKey::from_bytes(&[5; 32]).unwrap().public_key();
    scene.plant(&mut executor, &shown, HELLO, json!({"pub": key.to_text()}).to_string());
    executor.complete(async move {
        let error = shown.complete().await.unwrap_err();
        assert_eq!(error.code().as_str(), "PAIRING_REJECTED");
        assert!(error.to_string().contains("nothing was sent"), "{error}");
        assert_eq!(code(first.complete().await), "PAIRING_TIMEOUT");
    });
    assert_eq!(scene.relay_files(&mut executor), Vec::<String>::new());
    scene.assert_untouched(&mut executor);
}

#[test]
fn what_the_remote_puts_in_place_of_the_scanner_is_refused() {
    let valid =
        interocitor_crypto::agreement::PrivateKey::from_bytes(&[5; 32]).unwrap().public_key().to_text();
    for content in [
        "garbage".to_owned(),
        String::new(),
        "{}".into(),
        json!({"pub": "AAAA"}).to_string(),
        json!({"pub": valid, "capabilities": {"supported": 1}}).to_string(),
        json!({"pub": valid, "capabilities": {"supported": ["x"], "required": ["x"]}}).to_string(),
        format!("{{\"pub\":\"{valid}\"}}{}", " ".repeat(1 << 20)),
    ] {
        let (scene, mut executor) = Scene::new(4);
        let member = scene.member.clone();
        let shown = executor.complete(async move { member.pair_share(options()).await.unwrap() });
        scene.plant(&mut executor, &shown, HELLO, content.clone());
        let began = scene.world.now_ms();
        executor.complete(async move {
            assert_eq!(code(shown.complete().await), "PAIRING_REJECTED", "{content:.60}");
        });
        assert!(scene.world.now_ms() - began < LIMIT_MS);
        assert_eq!(scene.relay_files(&mut executor), Vec::<String>::new());
    }
}

#[test]
fn what_the_remote_puts_in_place_of_the_credential_is_refused() {
    let strange = json!({"v": 1, "iv": "AAAAAAAAAAAAAAAA", "ct": "A".repeat(64)}).to_string();
    for content in
        ["garbage".to_owned(), "{}".into(), strange.clone(), strange.replace(":1", ":2"), "x".repeat(1 << 20)]
    {
        for is_shared in [true, false] {
            let (scene, mut executor) = Scene::new(5);
            let (shown, scan) =
                if is_shared { scene.shared(&mut executor) } else { scene.joining(&mut executor) };
            let (shown, scan) = executor.complete(async move {
                let (a, b) = futures_util::future::join(shown.code(), scan.code()).await;
                a.unwrap();
                b.unwrap();
                (shown, scan)
            });
            scene.plant(&mut executor, &shown, CREDENTIAL, content.clone());
            let (sender, receiver) = if is_shared { (shown, scan) } else { (scan, shown) };
            let (began, content) = (scene.world.now_ms(), content.clone());
            executor.complete(async move {
                assert_eq!(code(receiver.complete().await), "PAIRING_REJECTED", "{content:.60}");
                drop((receiver, sender));
            });
            assert!(scene.world.now_ms() - began < LIMIT_MS);
            executor.run_for(1000);
            // Only who gives a credential takes it away again, and this one never gave any.
            let left: &[&str] = if is_shared { &[] } else { &[CREDENTIAL] };
            assert_eq!(scene.relay_files(&mut executor), left);
            scene.assert_untouched(&mut executor);
        }
    }
}

#[test]
fn nothing_is_written_over_what_the_remote_put_there() {
    let (scene, mut executor) = Scene::new(6);
    let (shown, scan) = scene.shared(&mut executor);
    scene.plant(&mut executor, &shown, CREDENTIAL, "something");
    executor.complete(async move {
        scan.code().await.unwrap();
        assert_eq!(code(shown.complete().await), "PAIRING_REJECTED");
    });
}

#[test]
fn a_credential_of_another_pairing_is_refused() {
    let (scene, mut executor) = Scene::new(7);
    let (shown, scan) = scene.shared(&mut executor);
    // Recorded, and played back into the next pairing.
    let old = Arc::new(Mutex::new(None));
    let (mailbox, path, record) =
        (scene.mailbox.clone(), format!("{RELAY}/{}/{CREDENTIAL}", id(&shown)), Arc::clone(&old));
    executor.complete(async move {
        scan.code().await.unwrap();
        let watching = async {
            while let Err(_) | Ok(None) = mailbox.metadata(&path).await {
                common::faulty::yield_once().await;
            }
            *record.lock().unwrap() = Some(mailbox.read_file(&path).await.unwrap());
            scan.complete().await.unwrap();
        };
        futures_util::future::join(shown.complete(), watching).await.0.unwrap();
    });
    let old = old.lock().unwrap().clone().unwrap();
    let (shown, scan) = scene.shared(&mut executor);
    let scan = executor.complete(async move {
        scan.code().await.unwrap();
        scan
    });
    scene.plant(&mut executor, &shown, CREDENTIAL, old.to_vec());
    executor.complete(async move { assert_eq!(code(scan.complete().await), "PAIRING_REJECTED") });
}

#[test]
fn a_file_that_is_still_being_written_is_waited_for() {
    let (scene, mut executor) = Scene::new(8);
    let (shown, scan) = scene.shared(&mut executor);
    let scan = executor.complete(async move {
        scan.code().await.unwrap();
        scan
    });
    let whole = scene.read(&mut executor, &shown, HELLO).unwrap();
    scene.plant(&mut executor, &shown, HELLO, &whole.as_bytes()[..40]);
    let shown = Arc::new(shown);
    let waiting = Arc::clone(&shown);
    let met = Arc::new(Mutex::new(None));
    let slot = Arc::clone(&met);
    executor.add(async move { *slot.lock().unwrap() = Some(waiting.code().await) });
    executor.run_for(500);
    scene.plant(&mut executor, &shown, HELLO, whole);
    executor.run_for(5000);
    let ours = met.lock().unwrap().take().unwrap().unwrap();
    executor.complete(async move { assert_eq!(scan.code().await.unwrap(), ours) });
}

#[test]
fn a_mailbox_that_fails_now_and_then_is_waited_for() {
    for kind in [MailboxErrorKind::Offline, MailboxErrorKind::Unavailable, MailboxErrorKind::RateLimited] {
        let (scene, mut executor) = Scene::new(9);
        let world = Arc::clone(&scene.world);
        // Of ten calls four fail, half of them after they took effect.
        scene.faulty.set(move |_, _| match world.below(10) {
            0 | 1 => Some(Failure::Before(kind)),
            2 | 3 => Some(Failure::After(kind)),
            _ => None,
        });
        let (shown, scan) = scene.shared(&mut executor);
        executor.complete(async move {
            let (a, b) = futures_util::future::join(shown.complete(), scan.complete()).await;
            a.unwrap();
            assert_eq!(b.unwrap().remote_path, "/Mesh/one");
        });
    }
}

#[test]
fn a_mailbox_that_is_away_is_told_as_such() {
    let (scene, mut executor) = Scene::new(10);
    let (shown, scan) = scene.shared(&mut executor);
    let began = scene.world.now_ms();
    scene.faulty.set(|_, _| Some(Failure::Before(MailboxErrorKind::Offline)));
    executor.complete(async move {
        let (a, b) = futures_util::future::join(shown.code(), scan.code()).await;
        for outcome in [a, b] {
            let error = outcome.unwrap_err();
            assert_eq!(error.code().as_str(), "PAIRING_TIMEOUT");
            assert!(error.is_retryable() && error.to_string().contains("injected"), "{error}");
        }
    });
    // The files are not waited for long.
    assert!(scene.world.now_ms() - began < LIMIT_MS + 10_000);
    scene.faulty.set(|_, _| Some(Failure::Before(MailboxErrorKind::Forbidden)));
    let member = scene.member.clone();
    let began = scene.world.now_ms();
    executor.complete(async move { assert_eq!(code(member.pair_share(options()).await), "REMOTE_ACCESS") });
    assert_eq!(scene.world.now_ms(), began, "waiting does not mend that");
    scene.assert_untouched_but_offline();
}

#[test]
fn a_mailbox_that_never_answers_is_given_up() {
    for operation in ["authenticate", "ensure", "create", "read"] {
        let (scene, mut executor) = Scene::new(11);
        scene.faulty.set(move |called, path| {
            (called == operation && (called == "authenticate" || path.contains("handshake")))
                .then_some(Failure::Hangs)
        });
        let began = scene.world.now_ms();
        let (member, newcomer) = (scene.member.clone(), scene.newcomer.clone());
        executor.complete(async move {
            let outcome = async {
                let shown = member.pair_share(options()).await?;
                let scan = newcomer.pair_scan(scanned(&shown), options()).await?;
                let (a, b) = futures_util::future::join(shown.complete(), scan.complete()).await;
                assert!(newcomer.get_passphrase().is_none());
                a.and(b)
            };
            assert_eq!(code(outcome.await), "PAIRING_TIMEOUT", "{operation}");
        });
        assert!(scene.world.now_ms() - began < 4 * LIMIT_MS, "{operation}");
    }
}

#[test]
fn what_a_code_says_of_a_mailbox_is_never_followed() {
    let (scene, mut executor) = Scene::new(12);
    let member = scene.member.clone();
    let shown = executor.complete(async move { member.pair_share(options()).await.unwrap() });
    let text = interocitor_crypto::base64url::decode(&shown.payload().encode()).unwrap();
    let mut payload: serde_json::Value = serde_json::from_slice(&text).unwrap();
    payload["adapterConfig"] = json!(r#"{"baseUrl":"http://127.0.0.1:1/evil"}"#);
    let text = interocitor_crypto::base64url::encode(payload.to_string().as_bytes());
    let payload = PairingPayload::parse(&text).unwrap();
    assert_eq!(payload.adapter_config(), Some(r#"{"baseUrl":"http://127.0.0.1:1/evil"}"#));
    let newcomer = scene.newcomer.clone();
    executor.complete(async move {
        newcomer.set_remote_storage(None).await;
        assert_eq!(code(newcomer.pair_scan(payload, options()).await), "INVALID_ARGUMENT");
    });
}

#[test]
fn only_who_can_do_its_part_begins() {
    let (scene, mut executor) = Scene::new(13);
    let (member, newcomer) = (scene.member.clone(), scene.newcomer.clone());
    executor.complete(async move {
        // The newcomer has nothing to give, the member is connected.
        let error = newcomer.pair_share(options()).await.unwrap_err();
        assert!(
            matches!(&error, Error::InvalidArgument { .. }) && error.to_string().contains("connect first"),
            "{error}"
        );
        let error = member.pair_join(options()).await.unwrap_err();
        assert!(error.to_string().contains("disconnect first"), "{error}");
        let shown = member.pair_share(options()).await.unwrap();
        assert_eq!(code(member.pair_scan(scanned(&shown), options()).await), "INVALID_ARGUMENT");
        let asked = newcomer.pair_join(options()).await.unwrap();
        assert_eq!(code(newcomer.pair_scan(scanned(&asked), options()).await), "INVALID_ARGUMENT");
        // Connected while the pairing went on: it keeps its mesh.
        newcomer
            .configure_mesh(MeshConfig { remote_path: "/own".into(), passphrase: None, encrypted: false })
            .unwrap();
        assert!(newcomer.connect().await.unwrap().is_online());
        assert_eq!(code(asked.complete().await), "INVALID_ARGUMENT");
    });
}

#[test]
fn nothing_that_is_shown_holds_a_secret() {
    let (scene, mut executor) = Scene::new(14);
    let mut events = [scene.member.events(), scene.newcomer.events()];
    let (shown, scan) = scene.shared(&mut executor);
    let payload = scanned(&shown);
    let text = executor.complete(async move {
        let before = format!("{shown:?} {scan:?} {payload:?}");
        let (a, b) = futures_util::future::join(shown.complete(), scan.complete()).await;
        format!("{before} {:?} {:?} {:?} {shown:?} {scan:?}", a.unwrap(), b.unwrap(), scan.complete().await)
    });
    let told: Vec<_> =
        events.iter_mut().flat_map(|events| std::iter::from_fn(|| events.try_next())).collect();
    assert!(told.len() > 4);
    let all = format!("{text} {told:?} {}", told.iter().map(|event| event.to_json()).collect::<String>());
    assert!(!all.contains(PASSPHRASE) && !all.contains("MFkw") && !all.contains("\"d\""), "{all}");
}

impl Scene {
    fn assert_untouched_but_offline(&self) {
        assert!(self.newcomer.get_passphrase().is_none());
    }
}
