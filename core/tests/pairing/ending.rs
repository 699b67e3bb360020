//! Pairings that end early: by the user, by the app, by the system, or since nobody comes.

use std::sync::Mutex;

use crate::*;

type Slot<T> = Arc<Mutex<Option<T>>>;

/// Starts a call that is meant to wait.
fn start<T: 'static>(executor: &mut Executor<'static>, call: impl Future<Output = T> + 'static) -> Slot<T> {
    let slot = Slot::default();
    let outcome = Arc::clone(&slot);
    executor.add(async move { *outcome.lock().unwrap() = Some(call.await) });
    executor.run_for(3000);
    assert!(slot.lock().unwrap().is_none(), "it does not wait");
    slot
}

fn code_of(pairing: &Arc<Pairing>) -> impl Future<Output = Result<String>> + 'static {
    let pairing = Arc::clone(pairing);
    async move { pairing.code().await }
}

fn complete(pairing: &Arc<Pairing>) -> impl Future<Output = Result<interocitor_core::Paired>> + 'static {
    let pairing = Arc::clone(pairing);
    async move { pairing.complete().await }
}

fn cancel(executor: &mut Executor<'static>, pairing: &Arc<Pairing>) {
    let pairing = Arc::clone(pairing);
    executor.complete(async move { pairing.cancel().await });
}

/// Both have met.
fn met(scene: &Scene, executor: &mut Executor<'static>) -> (Arc<Pairing>, Arc<Pairing>) {
    let (shown, scan) = scene.shared(executor);
    executor.complete(async move {
        let (a, b) = futures_util::future::join(shown.code(), scan.code()).await;
        a.unwrap();
        b.unwrap();
        (Arc::new(shown), Arc::new(scan))
    })
}

#[test]
fn the_user_has_had_enough() {
    let (scene, mut executor) = Scene::new(1);
    let member = scene.member.clone();
    let shown = Arc::new(executor.complete(async move { member.pair_share(options()).await.unwrap() }));
    let waiting = start(&mut executor, code_of(&shown));
    let began = scene.world.now_ms();
    cancel(&mut executor, &shown);
    assert_eq!(code(waiting.lock().unwrap().take().unwrap()), "USER_CANCELLED");
    assert_eq!(scene.world.now_ms(), began);
    let again = Arc::clone(&shown);
    executor.complete(async move {
        assert_eq!(code(again.code().await), "USER_CANCELLED");
        assert_eq!(code(again.complete().await), "USER_CANCELLED");
    });
    assert_eq!(scene.relay_files(&mut executor), Vec::<String>::new());
}

#[test]
fn codes_that_differ_end_it_on_either_side() {
    for by_sender in [true, false] {
        let (scene, mut executor) = Scene::new(2);
        let (shown, scan) = met(&scene, &mut executor);
        let receiving = start(&mut executor, complete(&scan));
        cancel(&mut executor, if by_sender { &shown } else { &scan });
        executor.run_for(130_000);
        let wanted = if by_sender { "PAIRING_TIMEOUT" } else { "USER_CANCELLED" };
        assert_eq!(code(receiving.lock().unwrap().take().unwrap()), wanted);
        assert_eq!(scene.relay_files(&mut executor), Vec::<String>::new());
        scene.assert_untouched(&mut executor);
    }
}

#[test]
fn a_credential_that_nobody_takes_is_taken_back() {
    for is_cancelled in [true, false] {
        let (scene, mut executor) = Scene::new(3);
        let (shown, scan) = met(&scene, &mut executor);
        let sending = start(&mut executor, complete(&shown));
        assert!(scene.read(&mut executor, &shown, CREDENTIAL).is_some());
        if is_cancelled {
            cancel(&mut executor, &shown);
        }
        executor.run_for(125_000);
        let wanted = if is_cancelled { "USER_CANCELLED" } else { "PAIRING_TIMEOUT" };
        assert_eq!(code(sending.lock().unwrap().take().unwrap()), wanted);
        assert_eq!(scene.relay_files(&mut executor), Vec::<String>::new());
        executor.complete(async move { assert_eq!(code(scan.complete().await), "PAIRING_TIMEOUT") });
        scene.assert_untouched(&mut executor);
    }
}

#[test]
fn a_call_that_was_given_up_can_be_made_again() {
    let (scene, mut executor) = Scene::new(4);
    let (shown, scan) = scene.shared(&mut executor);
    let host = scene.world.host(0);
    executor.complete(async move {
        use interocitor_core::host::Host as _;
        // Given up while waiting for the scanner, then while the credential lies there.
        let pause = |seconds| host.sleep(std::time::Duration::from_secs(seconds));
        tokio::select! {
            _ = shown.code() => panic!("nobody has scanned yet"),
            () = pause(5) => {}
        }
        let ours = scan.code().await.unwrap();
        assert_eq!(shown.code().await.unwrap(), ours);
        for _ in 0..2 {
            tokio::select! {
                _ = shown.complete() => panic!("nobody has taken it yet"),
                () = pause(5) => {}
            }
        }
        let (a, b) = futures_util::future::join(shown.complete(), scan.complete()).await;
        a.unwrap();
        assert!(b.unwrap().received);
    });
    assert_eq!(scene.relay_files(&mut executor), Vec::<String>::new());
}

#[test]
fn one_that_is_dropped_leaves_nothing() {
    let (scene, mut executor) = Scene::new(5);
    let (shown, scan) = met(&scene, &mut executor);
    let host = scene.world.host(0);
    let shown = executor.complete(async move {
        use interocitor_core::host::Host as _;
        tokio::select! {
            _ = shown.complete() => panic!("nobody has taken it yet"),
            () = host.sleep(std::time::Duration::from_secs(5)) => {}
        }
        shown
    });
    let mut left = scene.relay_files(&mut executor);
    left.sort();
    assert_eq!(left, [CREDENTIAL, HELLO]);
    drop(shown);
    executor.run_for(1);
    assert_eq!(scene.relay_files(&mut executor), Vec::<String>::new());
    drop(scan);
}

#[test]
fn who_was_too_late_takes_nothing_of_the_others_away() {
    let (scene, mut executor) = Scene::new(6);
    let (shown, scan) = met(&scene, &mut executor);
    let (newcomer, payload) = (scene.newcomer.clone(), scanned(&shown));
    executor.complete(async move {
        let late = newcomer.pair_scan(payload, options()).await.unwrap();
        assert_eq!(code(late.code().await), "PAIRING_REJECTED");
        late.cancel().await;
        drop(late);
    });
    executor.run_for(1);
    assert_eq!(scene.relay_files(&mut executor), [HELLO]);
    executor.complete(async move {
        let (a, b) = futures_util::future::join(shown.complete(), scan.complete()).await;
        a.unwrap();
        b.unwrap();
    });
}

#[test]
fn a_database_that_is_shut_down_pairs_no_more() {
    let (scene, mut executor) = Scene::new(7);
    let (shown, _scan) = scene.shared(&mut executor);
    let shown = Arc::new(shown);
    let waiting = {
        let (shown, newcomer) = (Arc::clone(&shown), scene.member.clone());
        let slot = start(&mut executor, async move { shown.complete().await });
        executor.complete(async move { newcomer.shutdown().await.unwrap() });
        slot
    };
    executor.run_for(1);
    assert_eq!(code(waiting.lock().unwrap().take().unwrap()), "SHUT_DOWN");
    drop(shown);
    executor.run_for(1);
    assert_eq!(scene.relay_files(&mut executor), Vec::<String>::new());
}

#[test]
fn a_suspended_database_goes_on_afterwards() {
    let (scene, mut executor) = Scene::new(8);
    let (shown, scan) = scene.shared(&mut executor);
    let shown = Arc::new(shown);
    let waiting = start(&mut executor, code_of(&shown));
    let member = scene.member.clone();
    executor.complete(async move { member.suspend().await.unwrap() });
    executor.run_for(1);
    assert_eq!(code(waiting.lock().unwrap().take().unwrap()), "SUSPENDED");
    let member = scene.member.clone();
    executor.complete(async move {
        member.resume().await.unwrap();
        let (a, b) = futures_util::future::join(shown.complete(), scan.complete()).await;
        a.unwrap();
        b.unwrap();
    });
}

#[test]
fn who_cannot_take_the_credential_gives_no_receipt() {
    let (scene, mut executor) = Scene::new(9);
    let (shown, scan) = scene.joining(&mut executor);
    let (shown, scan) = (Arc::new(shown), Arc::new(scan));
    let receiving = start(&mut executor, complete(&shown));
    let newcomer = scene.newcomer.clone();
    executor.complete(async move {
        let own = MeshConfig { remote_path: "/own".into(), passphrase: None, encrypted: false };
        newcomer.configure_mesh(own).unwrap();
        assert!(newcomer.connect().await.unwrap().is_online());
    });
    let sending = start(&mut executor, complete(&scan));
    assert_eq!(code(receiving.lock().unwrap().take().unwrap()), "INVALID_ARGUMENT");
    executor.run_for(125_000);
    assert_eq!(code(sending.lock().unwrap().take().unwrap()), "PAIRING_TIMEOUT");
    assert_eq!(scene.relay_files(&mut executor), Vec::<String>::new());
    assert!(scene.newcomer.get_passphrase().is_none());
}
