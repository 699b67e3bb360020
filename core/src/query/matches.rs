//! The rows that matched, in one buffer, sorted, and cut to what was asked for.

use std::{cmp::Ordering, ops::Range};

use crate::value::Name;

/// Rows kept before any are thrown away, however few are wanted.
const LEAST_KEPT: usize = 64;

/// Where a row lies in the buffer.
#[derive(Debug, Clone, Copy)]
struct Span {
    order: usize,
    id: usize,
    json: usize,
    end: usize,
}

/// Rows with what they are ordered by. Of more rows than are wanted the least stay.
#[derive(Debug)]
pub(super) struct Matches {
    bytes: Vec<u8>,
    spans: Vec<Span>,
    /// Number of rows wanted.
    wanted: usize,
    /// Whether the rows came in their order so far.
    in_order: bool,
    /// Whether rows were thrown away: none beyond the last of `wanted` can come in again.
    is_cut: bool,
}

impl Matches {
    pub(super) fn new(wanted: usize) -> Self {
        Self { bytes: Vec::new(), spans: Vec::new(), wanted, in_order: true, is_cut: false }
    }

    pub(super) fn len(&self) -> usize {
        self.spans.len()
    }

    pub(super) fn clear(&mut self) {
        *self = Self::new(self.wanted);
    }

    /// What the row that came last is ordered by.
    pub(super) fn last_order(&self) -> &[u8] {
        self.spans.last().map_or(&[], |span| &self.bytes[span.order..span.id])
    }

    /// Takes a row in. Rows order by the bytes of `order`, then by id.
    pub(super) fn push(&mut self, order: &[u8], id: &[u8], json: &[u8]) {
        if self.is_cut && self.wanted.checked_sub(1).is_none_or(|last| self.compare(last, order, id).is_lt()) {
            return;
        }
        if let Some(last) = self.spans.len().checked_sub(1) {
            self.in_order &= self.compare(last, order, id).is_le();
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(order);
        self.bytes.extend_from_slice(id);
        self.bytes.extend_from_slice(json);
        let (id, json) = (start + order.len(), start + order.len() + id.len());
        self.spans.push(Span { order: start, id, json, end: self.bytes.len() });
        if self.spans.len() >= self.wanted.max(LEAST_KEPT).saturating_mul(2) {
            self.cut();
        }
    }

    /// Throws away what is beyond the wanted rows.
    fn cut(&mut self) {
        self.sort();
        self.spans.truncate(self.wanted);
        let mut bytes = Vec::with_capacity(self.spans.iter().map(|span| span.end - span.order).sum());
        for span in &mut self.spans {
            let (from, to) = (span.order, bytes.len());
            bytes.extend_from_slice(&self.bytes[from..span.end]);
            *span = Span { order: to, id: span.id - from + to, json: span.json - from + to, end: bytes.len() };
        }
        self.bytes = bytes;
        self.is_cut = true;
    }

    fn sort(&mut self) {
        if !self.in_order {
            let bytes = &self.bytes;
            self.spans.sort_unstable_by(|a, b| {
                bytes[a.order..a.id]
                    .cmp(&bytes[b.order..b.id])
                    .then_with(|| compare_ids(&bytes[a.id..a.json], &bytes[b.id..b.json]))
            });
            self.in_order = true;
        }
    }

    fn compare(&self, at: usize, order: &[u8], id: &[u8]) -> Ordering {
        let span = self.spans[at];
        self.bytes[span.order..span.id].cmp(order).then_with(|| compare_ids(&self.bytes[span.id..span.json], id))
    }

    /// The rows of a range, in order, as id and JSON.
    pub(super) fn rows(&mut self, range: Range<usize>) -> impl ExactSizeIterator<Item = (&[u8], &[u8])> {
        self.sort();
        let end = range.end.min(self.spans.len());
        let spans = &self.spans[range.start.min(end)..end];
        spans.iter().map(|span| (&self.bytes[span.id..span.json], &self.bytes[span.json..span.end]))
    }
}

/// Whether byte order and code-unit order may part at this byte of WTF-8.
pub(super) fn is_odd(byte: u8) -> bool {
    byte >= 0xed
}

/// Compares ids by UTF-16 code unit, mostly by their bytes alone.
fn compare_ids(a: &[u8], b: &[u8]) -> Ordering {
    match a.iter().zip(b).find(|(x, y)| x != y) {
        Some((x, y)) if is_odd(*x) && is_odd(*y) => Name::from_wtf8(a).cmp(&Name::from_wtf8(b)),
        _ => a.cmp(b),
    }
}
