//! Both intents, from the code on the screen to the first sync.

use interocitor_core::{
    Event,
    pairing::{Capabilities, Intent, PairingOptions, QrCode},
};

use crate::*;

fn is_code(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == 14
        && bytes
            .iter()
            .enumerate()
            .all(|(at, byte)| if at % 5 == 4 { *byte == b' ' } else { byte.is_ascii_digit() })
}

/// Runs both sides to the end, and then a first sync of the newcomer.
fn run(scene: &Scene, executor: &mut Executor<'static>, shown: Pairing, scanned: Pairing) {
    let mut told_member = scene.member.events();
    let mut told_newcomer = scene.newcomer.events();
    let both = async move {
        let (a, b) = futures_util::future::join(shown.code(), scanned.code()).await;
        let (a, b) = (a.unwrap(), b.unwrap());
        assert_eq!(a, b, "both show the same code");
        assert!(is_code(&a), "{a}");
        assert_eq!(shown.code().await.unwrap(), a, "it can be asked for again");
        let (a, b) = futures_util::future::join(shown.complete(), scanned.complete()).await;
        for (pairing, paired) in [(&shown, a.unwrap()), (&scanned, b.unwrap())] {
            assert_eq!(paired.remote_path, "/Mesh/one");
            assert_eq!(paired.received, !pairing.sends());
            assert_eq!(paired.connection_config, None);
        }
        assert_eq!(code(shown.complete().await), "PAIRING_REJECTED", "single use");
        assert_eq!(code(scanned.code().await), "PAIRING_REJECTED", "single use");
    };
    executor.complete(both);
    assert_eq!(scene.relay_files(executor), Vec::<String>::new());
    let sent = told(&mut told_member);
    assert_eq!(sent, ["pairing:scanned", "pairing:sent", "pairing:received"]);
    assert_eq!(told(&mut told_newcomer), ["pairing:scanned", "pairing:received"]);

    let (newcomer, saved) = (scene.newcomer.clone(), Arc::clone(&scene.saved));
    executor.complete(async move {
        // Proven first, saved then.
        assert_eq!(saved.load("test::memory:").await.unwrap(), None);
        assert!(newcomer.connect().await.unwrap().is_online());
        assert_eq!(newcomer.table("t").row("r").await.unwrap().unwrap().json, r#"{"x":1}"#);
        let saved = saved.load("test::memory:").await.unwrap().unwrap();
        assert_eq!(saved.passphrase, Some(PASSPHRASE.into()));
        assert!(saved.mesh_id.is_some());
    });
}

#[test]
fn a_member_shares_its_mesh() {
    for seed in 0..8 {
        let (scene, mut executor) = Scene::new(seed);
        let (shown, scanned) = scene.shared(&mut executor);
        assert_eq!(shown.payload().intent(), Intent::Share);
        assert!(shown.sends() && !scanned.sends());
        run(&scene, &mut executor, shown, scanned);
    }
}

#[test]
fn a_newcomer_asks_to_join() {
    for seed in 0..8 {
        let (scene, mut executor) = Scene::new(seed);
        let (shown, scanned) = scene.joining(&mut executor);
        assert_eq!(shown.payload().intent(), Intent::Join);
        assert!(!shown.sends() && scanned.sends());
        run(&scene, &mut executor, shown, scanned);
    }
}

#[test]
fn the_folder_is_there_before_the_code_is_shown() {
    let (scene, mut executor) = Scene::new(1);
    let mut events = scene.member.events();
    let member = scene.member.clone();
    let shown = executor.complete(async move { member.pair_share(options()).await.unwrap() });
    assert_eq!(events.try_next(), Some(Event::PairingWaiting { intent: "share" }));
    let mailbox = scene.mailbox.clone();
    let folders = executor.complete(async move { mailbox.list_folders(RELAY).await.unwrap() });
    assert_eq!(folders, [id(&shown)]);
    assert_eq!(scene.relay_files(&mut executor), Vec::<String>::new());
    // It fits on a screen.
    assert!(QrCode::new(&shown.payload().encode()).unwrap().size() < 80);
}

#[test]
fn a_mesh_without_encryption_is_shared_as_one() {
    let (scene, mut executor) = Scene::new(2);
    let open = {
        let (host, adapter) = (scene.world.host(0), scene.mailbox.clone());
        async move {
            let db = open_at(StoreLocation::Memory, |config| {
                (config.remote_path, config.encrypted, config.host) = (Some("/Plain".into()), false, host);
            })
            .await;
            db.set_remote_storage(Some(Arc::new(adapter))).await;
            assert!(db.connect().await.unwrap().is_online());
            db
        }
    };
    let plain = executor.complete(open);
    let newcomer = scene.newcomer.clone();
    executor.complete(async move {
        let shown = plain.pair_share(options()).await.unwrap();
        let scan = newcomer.pair_scan(scanned(&shown), options()).await.unwrap();
        let (a, b) = futures_util::future::join(shown.complete(), scan.complete()).await;
        a.unwrap();
        assert_eq!(b.unwrap().remote_path, "/Plain");
        assert!(newcomer.get_passphrase().is_none());
        assert!(newcomer.connect().await.unwrap().is_online());
    });
}

#[test]
fn the_codes_differ_where_somebody_stands_between() {
    // A thief saw the code, and was quicker with a device of his own.
    let (scene, mut executor) = Scene::new(3);
    let (shown, thief) = scene.shared(&mut executor);
    let newcomer = scene.newcomer.clone();
    let payload = scanned(&shown);
    executor.complete(async move {
        let (ours, theirs) = futures_util::future::join(shown.code(), thief.code()).await;
        assert_eq!(ours.unwrap(), theirs.unwrap());
        // The device that was meant shows no code at all.
        let late = newcomer.pair_scan(payload, options()).await.unwrap();
        let error = late.code().await.unwrap_err();
        assert_eq!(error.code().as_str(), "PAIRING_REJECTED");
        assert!(error.to_string().contains("another device has scanned this code"), "{error}");
        shown.cancel().await;
        assert_eq!(code(thief.complete().await), "PAIRING_TIMEOUT");
    });
    assert_eq!(scene.relay_files(&mut executor), Vec::<String>::new());
    scene.assert_untouched(&mut executor);
}

#[test]
fn nothing_leaves_before_the_caller_says_so() {
    for is_shared in [true, false] {
        let (scene, mut executor) = Scene::new(4);
        let (shown, scanned) =
            if is_shared { scene.shared(&mut executor) } else { scene.joining(&mut executor) };
        let (shown, scanned) = executor.complete(async move {
            let (a, b) = futures_util::future::join(shown.code(), scanned.code()).await;
            a.unwrap();
            b.unwrap();
            (shown, scanned)
        });
        executor.run_for(60_000);
        assert_eq!(scene.relay_files(&mut executor), [HELLO]);
        // Who compares for longer than the other device waits has to start again.
        executor.run_for(61_000);
        let sender = if is_shared { shown } else { scanned };
        let began = scene.world.now_ms();
        executor.complete(async move { assert_eq!(code(sender.complete().await), "PAIRING_TIMEOUT") });
        assert_eq!(scene.world.now_ms(), began, "it was not even tried");
        assert!(!scene.relay_files(&mut executor).contains(&CREDENTIAL.to_owned()));
        scene.assert_untouched(&mut executor);
    }
}

#[test]
fn what_apps_require_is_agreed_upon() {
    let with = |supported: &str, required: &str| {
        let ids = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        let mut options = PairingOptions::default();
        options.capabilities = Capabilities::new(ids(supported), ids(required)).unwrap();
        options
    };
    for (ours, theirs, outcome) in [
        (with("a z", "a"), with("a", ""), None),
        (with("a", ""), with("a", "a"), None),
        (with("a", "a"), with("b", ""), Some("scanner")),
        (with("", ""), with("a", "a"), Some("scanner")),
    ] {
        let (scene, mut executor) = Scene::new(5);
        let (member, newcomer) = (scene.member.clone(), scene.newcomer.clone());
        executor.complete(async move {
            let shown = member.pair_share(ours).await.unwrap();
            match (newcomer.pair_scan(scanned(&shown), theirs).await, outcome) {
                (Ok(scan), None) => {
                    let (a, b) = futures_util::future::join(shown.complete(), scan.complete()).await;
                    a.unwrap();
                    b.unwrap();
                }
                (Err(error), Some(_)) => assert_eq!(error.code().as_str(), "PAIRING_REJECTED"),
                (other, _) => panic!("{other:?}"),
            }
        });
        assert_eq!(scene.relay_files(&mut executor), Vec::<String>::new());
    }
}
