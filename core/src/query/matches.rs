//! The rows that matched, in one buffer, sorted, and cut to what was asked for.

use std::{cmp::Ordering, ops::Range};

use crate::value::Name;

/// Rows kept before any are thrown away, however few are wanted.
const LEAST_KEPT: usize = 64;

/// Where a row lies in the buffer.
#[derive(Debug, Clone, Copy)]
struct Span {
    /// The first bytes of what it is ordered by, as a number: mostly they decide.
    head: u64,
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
    /// Whether ids may order otherwise than their bytes.
    has_odd_ids: bool,
    /// Whether rows were thrown away: none beyond the last of `wanted` can come in again.
    is_cut: bool,
}

impl Matches {
    pub(super) fn new(wanted: usize) -> Self {
        Self {
            bytes: Vec::new(),
            spans: Vec::new(),
            wanted,
            in_order: true,
            has_odd_ids: false,
            is_cut: false,
        }
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

    /// Takes a row in. Rows order by the bytes of `order`, then by id; `order` is empty for all or none.
    pub(super) fn push(&mut self, order: &[u8], id: &[u8], json: &[u8]) {
        self.has_odd_ids |= id.iter().fold(false, |odd, byte| odd | is_odd(*byte));
        let start = self.bytes.len();
        self.bytes.extend_from_slice(order);
        self.bytes.extend_from_slice(id);
        let (id, json_start) = (start + order.len(), self.bytes.len());
        let head = head(if order.is_empty() { &self.bytes[id..] } else { order });
        let span = Span { head, order: start, id, json: json_start, end: json_start + json.len() };
        let worst = self.wanted.checked_sub(1).and_then(|last| self.spans.get(last));
        if self.is_cut && worst.is_none_or(|worst| self.compare(worst, &span).is_lt()) {
            self.bytes.truncate(start);
            return;
        }
        self.bytes.extend_from_slice(json);
        self.in_order &= self.spans.last().is_none_or(|last| self.compare(last, &span).is_le());
        self.spans.push(span);
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
            let Span { head, order, id, json, end } = *span;
            let to = bytes.len();
            bytes.extend_from_slice(&self.bytes[order..end]);
            *span = Span { head, order: to, id: id - order + to, json: json - order + to, end: bytes.len() };
        }
        self.bytes = bytes;
        self.is_cut = true;
    }

    fn sort(&mut self) {
        if !self.in_order {
            let mut spans = std::mem::take(&mut self.spans);
            // Stable, since it is the faster one where long runs are in order, as ids made in time are.
            spans.sort_by(|a, b| self.compare(a, b));
            self.spans = spans;
            self.in_order = true;
        }
    }

    fn compare(&self, a: &Span, b: &Span) -> Ordering {
        // Without an order the head is that of the id.
        if a.head != b.head && !(self.has_odd_ids && a.order == a.id) {
            return a.head.cmp(&b.head);
        }
        self.bytes[a.order..a.id].cmp(&self.bytes[b.order..b.id]).then_with(|| {
            let (a, b) = (&self.bytes[a.id..a.json], &self.bytes[b.id..b.json]);
            if self.has_odd_ids { Name::from_wtf8(a).cmp(&Name::from_wtf8(b)) } else { a.cmp(b) }
        })
    }

    /// The rows of a range, in order, as id and JSON.
    pub(super) fn rows(&mut self, range: Range<usize>) -> impl ExactSizeIterator<Item = (&[u8], &[u8])> {
        self.sort();
        let end = range.end.min(self.spans.len());
        let spans = &self.spans[range.start.min(end)..end];
        spans.iter().map(|span| (&self.bytes[span.id..span.json], &self.bytes[span.json..span.end]))
    }
}

/// Whether byte order and code-unit order may part where two WTF-8 texts have such bytes.
pub(super) fn is_odd(byte: u8) -> bool {
    byte >= 0xed
}

/// The first bytes as a number that orders as they do.
fn head(bytes: &[u8]) -> u64 {
    let mut head = [0; 8];
    let length = bytes.len().min(8);
    head[..length].copy_from_slice(&bytes[..length]);
    u64::from_be_bytes(head)
}
