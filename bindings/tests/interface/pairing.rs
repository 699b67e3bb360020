//! One device gives its mesh to another: by code, and by everything that can go wrong on the way.

use std::{
    sync::{
        Arc,
        mpsc::{Sender, channel},
    },
    thread,
};

use interocitor_ffi::{
    CancelToken, Connection, Event, EventListener, Failure, Interocitor, Mailbox, Pairing, PairingIntent,
    PairingOptions, PairingPayload, QrCode,
};

use crate::support::{PASSPHRASE, PATIENCE, code, member, open, wait};

fn options() -> PairingOptions {
    PairingOptions {
        relay_base: "/Interocitor".into(),
        timeout_ms: 20_000,
        poll_interval_ms: 10,
        supported: Vec::new(),
        required: Vec::new(),
    }
}

/// A device without a mesh, before this mailbox.
fn stranger(mailbox: &Arc<Mailbox>) -> Interocitor {
    let db = open(|configuration| {
        configuration.remote_path = None;
        configuration.passphrase = None;
    });
    wait(db.set_remote_storage(Some(Arc::clone(mailbox)))).unwrap();
    db
}

fn scanned(shown: &Pairing) -> Arc<PairingPayload> {
    Arc::new(PairingPayload::parse(shown.payload().to_url("https://app.example/pair".into())).unwrap())
}

/// Both ends compare their codes and finish.
fn finish(one: &Pairing, other: &Pairing) {
    thread::scope(|scope| {
        let there = scope.spawn(|| {
            let code = wait(other.code(None)).unwrap();
            (code, wait(other.complete(None)).unwrap())
        });
        let here = wait(one.code(None)).unwrap();
        let mine = wait(one.complete(None)).unwrap();
        let (code, yours) = there.join().unwrap();
        assert_eq!(here, code);
        assert_eq!(here.len(), "1234 5678 9012".len());
        assert_ne!(mine.received, yours.received);
        assert_eq!((mine.remote_path.as_str(), yours.remote_path.as_str()), ("/Mesh", "/Mesh"));
    });
}

/// Names of events, as they come.
struct Hears(Sender<Event>);

impl EventListener for Hears {
    fn on_events(&self, events: Vec<Event>) -> Result<(), Failure> {
        for event in events {
            let _ = self.0.send(event);
        }
        Ok(())
    }
}

#[test]
fn a_device_shares_its_mesh() {
    let mailbox = Arc::new(Mailbox::memory());
    let (owner, guest) = (member(&mailbox, |_| {}), stranger(&mailbox));
    let (sender, events) = channel();
    let _subscription = guest.subscribe(Arc::new(Hears(sender))).unwrap();
    let shown = wait(owner.pair_share(options(), None)).unwrap();
    assert!(shown.sends());
    assert_eq!(shown.payload().intent(), PairingIntent::Share);
    let scan = wait(guest.pair_scan(scanned(&shown), options(), None)).unwrap();
    assert!(!scan.sends());
    finish(&shown, &scan);
    // Once only.
    assert_eq!(code(wait(scan.complete(None))), "PAIRING_REJECTED");
    assert_eq!(guest.get_passphrase().as_deref(), Some(PASSPHRASE));
    assert_eq!(wait(guest.connect(None)).unwrap(), Connection::Online);
    let wanted = Event::PairingReceived { intent: PairingIntent::Share };
    while events.recv_timeout(PATIENCE).unwrap() != wanted {}
}

#[test]
fn a_device_asks_for_the_mesh_of_another() {
    let mailbox = Arc::new(Mailbox::memory());
    let (owner, guest) = (member(&mailbox, |_| {}), stranger(&mailbox));
    let (sender, events) = channel();
    let _subscription = guest.subscribe(Arc::new(Hears(sender))).unwrap();
    let shown = wait(guest.pair_join(options(), None)).unwrap();
    assert_eq!(shown.payload().intent(), PairingIntent::Join);
    assert_eq!(events.recv_timeout(PATIENCE).unwrap(), Event::PairingWaiting { intent: PairingIntent::Join });
    let scan = wait(owner.pair_scan(scanned(&shown), options(), None)).unwrap();
    assert!(scan.sends());
    finish(&shown, &scan);
    assert_eq!(wait(guest.connect(None)).unwrap(), Connection::Online);
}

#[test]
fn what_cannot_be_paired_is_told() {
    let mailbox = Arc::new(Mailbox::memory());
    let (owner, guest) = (member(&mailbox, |_| {}), stranger(&mailbox));
    assert_eq!(code(PairingPayload::parse("https://app.example/".into())), "PAIRING_REJECTED");
    assert_eq!(code(wait(guest.pair_share(options(), None))), "INVALID_ARGUMENT");
    assert_eq!(code(wait(owner.pair_join(options(), None))), "INVALID_ARGUMENT");
    let below_zero = PairingOptions { timeout_ms: -1, ..options() };
    assert_eq!(code(wait(owner.pair_share(below_zero, None))), "INVALID_ARGUMENT");
    let unsupported = PairingOptions { required: vec!["a".into()], ..options() };
    assert_eq!(code(wait(owner.pair_share(unsupported, None))), "INVALID_ARGUMENT");
    let picky = PairingOptions { supported: vec!["a".into()], required: vec!["a".into()], ..options() };
    let shown = wait(owner.pair_share(picky, None)).unwrap();
    assert_eq!(code(wait(guest.pair_scan(scanned(&shown), options(), None))), "PAIRING_REJECTED");
    let short = PairingOptions { timeout_ms: 50, ..options() };
    let shown = wait(owner.pair_share(short, None)).unwrap();
    assert_eq!(code(wait(shown.code(None))), "PAIRING_TIMEOUT");
}

#[test]
fn a_pairing_ends_when_somebody_ends_it() {
    let mailbox = Arc::new(Mailbox::memory());
    let (owner, guest) = (member(&mailbox, |_| {}), stranger(&mailbox));
    let shown = wait(owner.pair_share(options(), None)).unwrap();
    // The wait is given up, the pairing is not.
    let token = Arc::new(CancelToken::new());
    thread::scope(|scope| {
        let waiting = scope.spawn(|| wait(shown.code(Some(Arc::clone(&token)))));
        token.cancel();
        assert_eq!(code(waiting.join().unwrap()), "CANCELLED");
    });
    let scan = wait(guest.pair_scan(scanned(&shown), options(), None)).unwrap();
    thread::scope(|scope| {
        let there = scope.spawn(|| wait(scan.code(None)).unwrap());
        assert_eq!(wait(shown.code(None)).unwrap(), there.join().unwrap());
    });
    // The codes differ, say.
    wait(shown.cancel()).unwrap();
    assert_eq!(code(wait(shown.complete(None))), "USER_CANCELLED");
    wait(scan.cancel()).unwrap();
    assert_eq!(code(wait(scan.complete(None))), "USER_CANCELLED");
    assert_eq!(guest.get_passphrase(), None);
}

#[test]
fn codes_can_be_drawn() {
    let code_of = |text: &str| QrCode::new(text.into());
    let qr = code_of("https://app.example/pair").unwrap();
    let side = usize::try_from(qr.size()).unwrap();
    let modules = qr.modules();
    assert_eq!(modules.len(), side * side);
    let line = |row: usize| &modules[row * side..(row + 1) * side];
    assert!((0..4).all(|row| line(row).iter().all(|module| *module == 0)), "the quiet zone");
    assert_eq!(line(4)[3..12], [0, 1, 1, 1, 1, 1, 1, 1, 0], "the top of a finder pattern");
    assert_eq!(line(5)[3..12], [0, 1, 0, 0, 0, 0, 0, 1, 0]);
    assert!(qr.to_svg().starts_with("<svg "));
    assert!(qr.to_png(4).starts_with(b"\x89PNG"));
    assert_eq!(code(code_of(&"x".repeat(2954))), "LIMIT");
}
