//! Hybrid logical clocks: the timestamps that decide which write wins.
//!
//! After Kulkarni, Demirbas et al., "Logical Physical Clocks" (2014), in the wire form of the
//! JavaScript client: `<ts, 15 digits>-<counter, 4 hex digits>-<node>`. Clocks are compared parsed,
//! never as text.

use std::{fmt, str::FromStr};

use crate::value::Name;

/// How far ahead of the wall clock a peer may push our own clock, in milliseconds.
pub const MAX_AHEAD_MS: u64 = 5 * 60 * 1000;

/// Greatest counter we issue; past it the timestamp moves on, so that text keeps its four digits.
const MAX_COUNTER: u32 = 0xffff;

/// Greatest timestamp that JavaScript holds exactly.
const MAX_TS: u64 = (1 << 53) - 1;

/// One point in hybrid logical time, ordered by timestamp, counter, then node by UTF-16 code unit.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Clock {
    /// Milliseconds since the Unix epoch, possibly ahead of any wall clock.
    pub ts: u64,
    /// Orders events within one millisecond.
    pub counter: u32,
    /// The device that issued it.
    pub node: Name,
}

/// A text that is no clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed clock")]
pub struct MalformedClock;

impl Clock {
    /// Reads the wire form from WTF-8. Accepts unpadded parts and uppercase digits, as peers do.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, MalformedClock> {
        let mut parts = text.splitn(3, |byte| *byte == b'-');
        let (ts, counter, node) = (parts.next(), parts.next(), parts.next());
        let (Some(ts), Some(counter), Some(node)) = (ts, counter, node) else {
            return Err(MalformedClock);
        };
        if ts.is_empty() || ts.len() > 16 || counter.is_empty() || counter.len() > 8 || node.is_empty() {
            return Err(MalformedClock);
        }
        let number = |digits: &[u8], radix: u32| {
            digits.iter().try_fold(0u64, |value, digit| {
                let digit = char::from(*digit).to_digit(radix).ok_or(MalformedClock)?;
                Ok(value * u64::from(radix) + u64::from(digit))
            })
        };
        let ts = number(ts, 10)?;
        let counter = u32::try_from(number(counter, 16)?).map_err(|_| MalformedClock)?;
        if ts > MAX_TS {
            return Err(MalformedClock);
        }
        Ok(Self { ts, counter, node: Name::from_wtf8(node) })
    }

    /// The least clock of `node` that is certainly greater than this one, whatever the nodes are.
    #[must_use]
    pub(crate) fn successor(&self, node: &Name) -> Self {
        let (ts, counter) = advance(self.ts, self.counter);
        Self { ts, counter, node: node.clone() }
    }

    /// Appends the wire form as WTF-8.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        self.write_time(out);
        out.extend_from_slice(self.node.as_bytes());
    }

    /// Appends what stands before the node.
    pub(crate) fn write_time(&self, out: &mut Vec<u8>) {
        let mut digits = [b'0'; 15];
        let mut rest = self.ts;
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
            rest /= 10;
        }
        if rest > 0 {
            out.extend_from_slice(rest.to_string().as_bytes());
        }
        out.extend_from_slice(&digits);
        out.push(b'-');
        let width = (35 - (self.counter | 1).leading_zeros()) / 4;
        for place in (0..width.max(4)).rev() {
            out.push(b"0123456789abcdef"[(self.counter >> (4 * place) & 0xf) as usize]);
        }
        out.push(b'-');
    }

    /// The wire form as WTF-8.
    pub(crate) fn to_wtf8(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(21 + self.node.as_bytes().len());
        self.write(&mut out);
        out
    }
}

/// The next timestamp and counter, carrying past `ffff`.
fn advance(ts: u64, counter: u32) -> (u64, u32) {
    if counter >= MAX_COUNTER { (ts + 1, 0) } else { (ts, counter + 1) }
}

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.to_wtf8()))
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for Clock {
    type Err = MalformedClock;

    fn from_str(text: &str) -> Result<Self, MalformedClock> {
        Self::parse(text.as_bytes())
    }
}

/// The clock of this device: the last timestamp and counter issued or received.
///
/// The store persists it in the same transaction as whatever was stamped with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct DeviceClock {
    pub(crate) ts: u64,
    pub(crate) counter: u32,
}

impl DeviceClock {
    /// Advances for a local event at wall time `now` (ms).
    pub(crate) fn tick(&mut self, now: u64) {
        (self.ts, self.counter) = if now > self.ts { (now, 0) } else { advance(self.ts, self.counter) };
    }

    /// Advances past a received clock, but never more than [`MAX_AHEAD_MS`] past the wall. Tells
    /// whether the received clock was further ahead than that.
    pub(crate) fn receive(&mut self, remote: &Clock, now: u64) -> bool {
        let safe = remote.ts.min(now + MAX_AHEAD_MS);
        let greatest = now.max(self.ts).max(safe);
        (self.ts, self.counter) = if greatest == self.ts && greatest == remote.ts {
            advance(greatest, self.counter.max(remote.counter))
        } else if greatest == self.ts {
            advance(greatest, self.counter)
        } else if greatest == safe {
            advance(greatest, remote.counter)
        } else {
            (greatest, 0)
        };
        remote.ts > safe
    }

    /// The clock of a local write: the tick at `now`, or the successor of the greatest clock that the
    /// write must beat, where that is further. Such a clock does not move the device clock: a peer
    /// from the future cannot take us along.
    pub(crate) fn issue<'a>(
        &mut self,
        now: u64,
        node: &Name,
        beat: impl IntoIterator<Item = &'a Clock>,
    ) -> Clock {
        self.tick(now);
        let tick = Clock { ts: self.ts, counter: self.counter, node: node.clone() };
        match beat.into_iter().max() {
            Some(greatest) if *greatest >= tick => greatest.successor(node),
            _ => tick,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const T: u64 = 1_711_785_600_000;
    const DAY: u64 = 86_400_000;

    fn clock(text: &str) -> Clock {
        text.parse().unwrap()
    }

    /// The vectors of protocol.md 3.
    #[test]
    fn text_vectors() {
        let at = |counter| Clock { ts: T, counter, node: "dev_a".into() }.to_string();
        assert_eq!(at(0), "001711785600000-0000-dev_a");
        assert_eq!(at(65535), "001711785600000-ffff-dev_a");
        assert_eq!(at(65536), "001711785600000-10000-dev_a");
        assert!(clock("001711785600000-ffff-dev_a") < clock("001711785600000-10000-dev_a"));
        assert_eq!(clock("1711785600000-0000-a"), clock("001711785600000-0000-a"));
        assert_eq!(clock("001711785600000-00FF-a").counter, 255);
        assert_eq!(clock("001711785600000-0000-a-b-c").node, Name::from("a-b-c"));
    }

    #[test]
    fn tick_vectors() {
        for (wall, wanted) in [(T + 601 - 600, (T + 1, 0)), (T, (T, 6)), (T - 10, (T, 6))] {
            let mut local = DeviceClock { ts: T, counter: 5 };
            local.tick(wall);
            assert_eq!((local.ts, local.counter), wanted);
        }
        let mut full = DeviceClock { ts: T, counter: 0xffff };
        full.tick(T);
        assert_eq!((full.ts, full.counter), (T + 1, 0));
    }

    #[test]
    fn receive_vectors() {
        for (local_ts, remote_ts, wall, wanted, skewed) in [
            (T, T + 1000, T + 10, (T + 1000, 8), false),
            (T + 1000, T + 1000, T + 10, (T + 1000, 8), false),
            (T + 2000, T + 1000, T + 10, (T + 2000, 3), false),
            (T, T - 5, T + 10, (T + 10, 0), false),
            (T, T + DAY, T, (T + MAX_AHEAD_MS, 8), true),
            (T + MAX_AHEAD_MS, T + DAY, T, (T + MAX_AHEAD_MS, 3), true),
        ] {
            let mut local = DeviceClock { ts: local_ts, counter: 2 };
            let remote = Clock { ts: remote_ts, counter: 7, node: "b".into() };
            assert_eq!(local.receive(&remote, wall), skewed);
            assert_eq!((local.ts, local.counter), wanted);
        }
    }

    #[test]
    fn malformed() {
        for text in [
            "",
            "-",
            "1-0",
            "1-0-",
            "-0-a",
            "1--a",
            "x-0-a",
            "1-g-a",
            "99999999999999999-0-a",
            "1-123456789-a",
            "9999999999999999-0-a",
            " 1-0-a",
            "+1-0-a",
            "NaN-0-a",
            "1.5-0-a",
        ] {
            assert!(Clock::parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn a_write_beats_a_clock_from_the_future_without_following_it() {
        let mut device = DeviceClock { ts: T, counter: 0 };
        let far = Clock { ts: T + 3650 * DAY, counter: 0xffff, node: "z".into() };
        let node = Name::from("a");
        let first = device.issue(T + 5, &node, [&far]);
        assert!(first > far && first.counter == 0);
        assert_eq!(device, DeviceClock { ts: T + 5, counter: 0 });
        let second = device.issue(T + 5, &node, [&first]);
        assert!(second > first);
    }

    prop_compose! {
        fn any_clock()(ts in 0..=MAX_TS, counter in any::<u32>(), node in ".{1,8}") -> Clock {
            Clock { ts, counter, node: node.into() }
        }
    }

    proptest! {
        #[test]
        fn text_round_trip(clock in any_clock()) {
            prop_assert_eq!(clock.to_string().parse::<Clock>().unwrap(), clock);
        }

        #[test]
        fn a_successor_is_greater_for_any_node(clock in any_clock(), node in ".{1,8}") {
            prop_assert!(clock.successor(&node.into()) > clock);
        }

        #[test]
        fn the_device_clock_only_moves_forward_and_stays_near_the_wall(
            start in 0..2 * T, events in prop::collection::vec((any::<bool>(), 0..2 * T, any_clock()), 1..50)
        ) {
            let mut device = DeviceClock { ts: start, counter: 0 };
            let mut limit = start;
            for (is_tick, wall, remote) in events {
                let before = (device.ts, device.counter);
                if is_tick { device.tick(wall) } else { device.receive(&remote, wall); }
                prop_assert!((device.ts, device.counter) > before);
                prop_assert!(device.counter <= MAX_COUNTER);
                limit = limit.max(wall + MAX_AHEAD_MS) + 1;
                prop_assert!(device.ts <= limit);
            }
        }

        #[test]
        fn issued_clocks_beat_what_they_must(wall in 0..2 * T, beat in prop::collection::vec(any_clock(), 0..5)) {
            let mut device = DeviceClock::default();
            let issued = device.issue(wall, &"me".into(), &beat);
            prop_assert!(beat.iter().all(|clock| issued > *clock));
            prop_assert!(issued.counter <= MAX_COUNTER);
        }
    }
}
