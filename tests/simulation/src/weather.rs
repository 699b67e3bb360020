//! How bad a mailbox is: the faults of one run, chosen by its seed.

use interocitor_core::mailbox::{Capabilities, MailboxErrorKind};

use crate::rng::Rng;

/// Rates are in thousandths of all calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weather {
    /// A call fails and does nothing.
    pub fails: u64,
    /// A call does its work, and the answer is lost.
    pub loses_answers: u64,
    /// A write arrives twice; the answer is that to the second.
    pub duplicates: u64,
    /// A read ends early without a sign of it.
    pub truncates: u64,
    /// A call takes a while, so that calls overtake each other.
    pub dawdles: u64,
    /// Listings tell of changes up to so much later, ms.
    pub stale_ms: u64,
    /// From time to time it is full.
    pub fills_up: bool,
    /// What it can do beyond the plain contract.
    pub capabilities: Capabilities,
}

impl Weather {
    /// The weather of a seed.
    pub fn of(rng: &mut Rng) -> Self {
        // A third of the runs has one fault only, so that its effects are not drowned in others.
        let only = rng.below(9);
        let mut rate = |number: u64, most: u64| {
            let drawn = rng.below(most + 1);
            if only >= 3 || only == number { drawn } else { 0 }
        };
        let (fails, loses_answers, truncates) = (rate(0, 120), rate(1, 80), rate(2, 20));
        let duplicates = rate(1, 40);
        let exclusive = rng.permille(700);
        Self {
            fails,
            loses_answers,
            duplicates,
            truncates,
            dawdles: rng.pick(&[0, 50, 200, 500]),
            stale_ms: rng.pick(&[0, 0, 2_000, 60_000, 900_000]),
            fills_up: rng.permille(200),
            capabilities: Capabilities {
                exclusive_create: exclusive,
                conditional_replace: exclusive && rng.permille(700),
                streaming: false,
                max_body: None,
            },
        }
    }

    /// No faults at all.
    pub fn calm(capabilities: Capabilities) -> Self {
        Self {
            fails: 0,
            loses_answers: 0,
            duplicates: 0,
            truncates: 0,
            dawdles: 0,
            stale_ms: 0,
            fills_up: false,
            capabilities,
        }
    }
}

/// One fault, ordered by a story.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing happens but an error.
    Fails,
    /// The answer is lost.
    LosesAnswer,
    /// It arrives twice.
    Doubles,
    /// The body that is read ends early.
    Cuts,
    /// A file that is there is not found.
    Hides,
    /// It arrives so much later, ms.
    Dawdles(u64),
}

/// What becomes of one call.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Fate {
    pub(crate) refused: Option<MailboxErrorKind>,
    pub(crate) lost: Option<MailboxErrorKind>,
    pub(crate) is_doubled: bool,
    pub(crate) is_cut: bool,
    /// Time before and after the effect, ms.
    pub(crate) waits: (u64, u64),
}

impl From<Fault> for Fate {
    fn from(fault: Fault) -> Self {
        let (mut fate, error) = (Self::default(), Some(MailboxErrorKind::Timeout));
        match fault {
            Fault::Fails => fate.refused = error,
            Fault::LosesAnswer => fate.lost = error,
            Fault::Doubles => fate.is_doubled = true,
            Fault::Cuts => fate.is_cut = true,
            Fault::Hides => fate.refused = Some(MailboxErrorKind::NotFound),
            Fault::Dawdles(ms) => fate.waits.0 = ms,
        }
        fate
    }
}

impl Fate {
    pub(crate) fn draw(weather: &Weather, rng: &mut Rng) -> Self {
        use MailboxErrorKind as K;
        // 401, 429, 503, 507, no answer, no network.
        const KINDS: [K; 6] =
            [K::Unauthorized, K::RateLimited, K::Unavailable, K::QuotaFull, K::Timeout, K::Offline];
        const SILENT: [K; 3] = [K::Timeout, K::Unavailable, K::Offline];
        let mut fate = Self::default();
        if rng.permille(weather.dawdles) {
            fate.waits = (rng.below(1500), rng.below(1500));
        }
        if rng.permille(weather.fails) {
            fate.refused = Some(rng.pick(&KINDS));
        } else if rng.permille(weather.loses_answers) {
            fate.lost = Some(rng.pick(&SILENT));
        }
        fate.is_doubled = rng.permille(weather.duplicates);
        fate.is_cut = rng.permille(weather.truncates);
        fate
    }
}
