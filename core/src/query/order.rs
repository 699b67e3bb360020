//! What rows are ordered by, as bytes: the keys of several fields one after the other.

use super::Direction;
use crate::value::key;

/// Appends a column, given as JSON text or empty where it is missing, so that bytes order as columns
/// do. No column's bytes are the start of another's.
pub(super) fn push(out: &mut Vec<u8>, raw: &[u8], direction: Direction) {
    let start = out.len();
    // A key starts above zero, so that no key at all is the least.
    for byte in key::of(raw).unwrap_or_default() {
        out.push(byte);
        if byte == 0 {
            out.push(0xff);
        }
    }
    out.extend_from_slice(&[0, 0]);
    if direction == Direction::Descending {
        for byte in &mut out[start..] {
            *byte = !*byte;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes(columns: &[&str], direction: Direction) -> Vec<u8> {
        let mut out = Vec::new();
        for column in columns {
            push(&mut out, column.as_bytes(), direction);
        }
        out
    }

    #[test]
    fn columns_order_one_after_the_other() {
        let order = [
            ["", "3"],
            ["null", "4"],
            ["false", "0"],
            ["-1", "9"],
            ["0", "9"],
            ["\"\"", "9"],
            ["\"a\"", "1"],
            ["\"a\"", "2"],
            ["\"a\\u0000\"", "1"],
            ["\"a\\u0001\"", "1"],
            ["[]", "0"],
        ];
        for pair in order.windows(2) {
            assert!(
                bytes(&pair[0], Direction::Ascending) < bytes(&pair[1], Direction::Ascending),
                "{pair:?}"
            );
            assert!(
                bytes(&pair[0], Direction::Descending) > bytes(&pair[1], Direction::Descending),
                "{pair:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn strings_keep_their_order(a in "[\\x00-\\x02a]{0,4}", b in "[\\x00-\\x02a]{0,4}", tail in any::<(u8, u8)>()) {
            let json = |text: &String| serde_json::to_string(text).unwrap();
            let (tail_a, tail_b) = (tail.0.to_string(), tail.1.to_string());
            let of = |text, tail| bytes(&[&json(text), tail], Direction::Ascending);
            prop_assert_eq!(of(&a, &tail_a).cmp(&of(&b, &tail_b)), (&a, tail.0).cmp(&(&b, tail.1)));
        }
    }
}
