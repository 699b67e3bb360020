//! The `where` operators: what an app asks for, and the test made of it.

use std::{borrow::Cow, cmp::Ordering, fmt, ops::Bound};

use crate::{
    store::rows::KeyRange,
    value::{Name, Value, canonical, key},
};

/// What a column must be like.
///
/// Types never compare across: `1`, `"1"` and `true` are three things, and a range over numbers holds
/// numbers only. Booleans order false before true, numbers as doubles, strings by UTF-16 code unit. A
/// column that is missing or null matches nothing, and so does an operand that is null.
///
/// Arrays and objects are equal when they mean the same, whatever the order of their keys; among each
/// other they order by their text.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Condition {
    /// The column is this value.
    Equals(Value),
    /// The column is greater.
    Above(Value),
    /// The column is greater or the same.
    AboveOrEqual(Value),
    /// The column is less.
    Below(Value),
    /// The column is less or the same.
    BelowOrEqual(Value),
    /// The column lies between two values of one type. No value lies between a greater and a lesser one.
    Between {
        /// The least value.
        low: Value,
        /// The greatest value.
        high: Value,
        /// Whether `low` itself is left out.
        low_open: bool,
        /// Whether `high` itself is left out.
        high_open: bool,
    },
    /// The column is a string that starts so; every string starts with the empty one.
    StartsWith(String),
    /// The column is one of these values.
    AnyOf(Vec<Value>),
}

impl fmt::Debug for Condition {
    /// Operands are the user's data: only their sizes are shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Condition::Equals(value) => f.debug_tuple("Equals").field(value).finish(),
            Condition::Above(value) => f.debug_tuple("Above").field(value).finish(),
            Condition::AboveOrEqual(value) => f.debug_tuple("AboveOrEqual").field(value).finish(),
            Condition::Below(value) => f.debug_tuple("Below").field(value).finish(),
            Condition::BelowOrEqual(value) => f.debug_tuple("BelowOrEqual").field(value).finish(),
            Condition::Between { low, high, low_open, high_open } => f
                .debug_struct("Between")
                .field("low", low)
                .field("high", high)
                .field("low_open", low_open)
                .field("high_open", high_open)
                .finish(),
            Condition::StartsWith(prefix) => write!(f, "StartsWith({} bytes)", prefix.len()),
            Condition::AnyOf(values) => write!(f, "AnyOf({} values)", values.len()),
        }
    }
}

/// A condition made ready: every operand read once.
#[derive(Debug)]
pub(super) enum Test {
    /// Matches nothing.
    Never,
    /// Matches these scalars, sorted, and these arrays and objects in canonical form, sorted.
    AnyOf { scalars: Vec<Operand>, composites: Vec<Vec<u8>> },
    /// Matches what lies between two values of one type, of which at least one is there.
    Range { low: Bound<Operand>, high: Bound<Operand> },
    /// Matches strings whose key starts so.
    Prefix(Vec<u8>),
}

/// One value to compare with.
#[derive(Debug, Clone)]
pub(super) struct Operand {
    value: Column<'static>,
    key: Vec<u8>,
}

impl Operand {
    fn new(value: &Value) -> Option<Self> {
        let raw = value.as_str().as_bytes();
        Some(Self { value: Column::read(raw)?.into_owned(), key: key::of(raw)? })
    }
}

impl Test {
    pub(super) fn new(condition: &Condition) -> Self {
        use Bound::{Excluded, Included, Unbounded};
        match condition {
            Condition::Equals(value) => Test::any_of(std::slice::from_ref(value)),
            Condition::AnyOf(values) => Test::any_of(values),
            Condition::Above(value) => Test::range(Excluded(value), Unbounded),
            Condition::AboveOrEqual(value) => Test::range(Included(value), Unbounded),
            Condition::Below(value) => Test::range(Unbounded, Excluded(value)),
            Condition::BelowOrEqual(value) => Test::range(Unbounded, Included(value)),
            Condition::Between { low, high, low_open, high_open } => Test::range(
                if *low_open { Excluded(low) } else { Included(low) },
                if *high_open { Excluded(high) } else { Included(high) },
            ),
            Condition::StartsWith(prefix) => {
                key::of(Name::from(prefix).to_json().as_bytes()).map_or(Test::Never, Test::Prefix)
            }
        }
    }

    fn any_of(values: &[Value]) -> Self {
        let (mut scalars, mut composites) = (Vec::new(), Vec::new());
        for operand in values.iter().filter_map(Operand::new) {
            match operand.value {
                Column::Composite(raw) => composites.push(canonical_form(&raw)),
                _ => scalars.push(operand),
            }
        }
        if scalars.is_empty() && composites.is_empty() {
            return Test::Never;
        }
        scalars.sort_by(|a, b| a.value.order(&b.value));
        scalars.dedup_by(|a, b| a.value.order(&b.value).is_eq());
        composites.sort_unstable();
        composites.dedup();
        Test::AnyOf { scalars, composites }
    }

    fn range(low: Bound<&Value>, high: Bound<&Value>) -> Self {
        let operand = |bound: Bound<&Value>| match bound {
            Bound::Included(value) => Operand::new(value).map(Bound::Included),
            Bound::Excluded(value) => Operand::new(value).map(Bound::Excluded),
            Bound::Unbounded => Some(Bound::Unbounded),
        };
        let (Some(low), Some(high)) = (operand(low), operand(high)) else { return Test::Never };
        let is_empty = match (&low, &high) {
            (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
            (Bound::Included(low), Bound::Included(high)) => !low.value.is(&high.value, Ordering::is_le),
            (Bound::Included(low) | Bound::Excluded(low), Bound::Included(high) | Bound::Excluded(high)) => {
                !low.value.is(&high.value, Ordering::is_lt)
            }
        };
        if is_empty { Test::Never } else { Test::Range { low, high } }
    }

    /// Whether a column with this JSON text matches; an empty text is a missing column.
    pub(super) fn matches(&self, raw: &[u8]) -> bool {
        let Some(column) = Column::read(raw) else { return false };
        match self {
            Test::Never => false,
            Test::AnyOf { scalars, composites } => match column {
                Column::Composite(raw) => {
                    !composites.is_empty() && composites.binary_search(&canonical_form(&raw)).is_ok()
                }
                column => scalars.binary_search_by(|scalar| scalar.value.order(&column)).is_ok(),
            },
            Test::Range { low, high } => {
                let above = match low {
                    Bound::Included(low) => column.is(&low.value, Ordering::is_ge),
                    Bound::Excluded(low) => column.is(&low.value, Ordering::is_gt),
                    Bound::Unbounded => true,
                };
                above
                    && match high {
                        Bound::Included(high) => column.is(&high.value, Ordering::is_le),
                        Bound::Excluded(high) => column.is(&high.value, Ordering::is_lt),
                        Bound::Unbounded => true,
                    }
            }
            Test::Prefix(key) => matches!(column, Column::Text(text) if text.starts_with(&key[1..])),
        }
    }

    /// Whether everything in [`key_ranges`](Self::key_ranges) matches; else there are candidates only.
    pub(super) fn is_exact(&self) -> bool {
        !matches!(self, Test::AnyOf { composites, .. } if !composites.is_empty())
    }

    /// The ranges of keys where all matches lie, ascending and apart from each other.
    pub(super) fn key_ranges(&self) -> Vec<KeyRange> {
        match self {
            Test::Never => Vec::new(),
            Test::AnyOf { scalars, composites } => {
                let mut ranges: Vec<KeyRange> =
                    scalars.iter().map(|scalar| KeyRange::exactly(scalar.key.clone())).collect();
                if !composites.is_empty() {
                    // The key of an array or object is its text, and other texts may mean the same.
                    ranges.push(type_range(&key::of(b"[]").unwrap_or_default()));
                }
                ranges
            }
            Test::Range { low, high } => {
                let ((Bound::Included(any) | Bound::Excluded(any), _)
                | (_, Bound::Included(any) | Bound::Excluded(any))) = (low, high)
                else {
                    return Vec::new();
                };
                let KeyRange { low: least, high: end } = type_range(&any.key);
                let key = |bound: &Bound<Operand>, instead| match bound {
                    Bound::Included(operand) => Bound::Included(operand.key.clone()),
                    Bound::Excluded(operand) => Bound::Excluded(operand.key.clone()),
                    Bound::Unbounded => instead,
                };
                vec![KeyRange { low: key(low, least), high: key(high, end) }]
            }
            Test::Prefix(key) => {
                let high = key::prefix_end(key).map_or(Bound::Unbounded, Bound::Excluded);
                vec![KeyRange { low: Bound::Included(key.clone()), high }]
            }
        }
    }
}

/// All keys of the type of `key`.
fn type_range(key: &[u8]) -> KeyRange {
    let (low, high) = key::type_bounds(key);
    KeyRange { low: Bound::Included(low.into()), high: Bound::Excluded(high.into()) }
}

/// The text by which arrays and objects are equal: canonical, or as it stands where it is too deep.
fn canonical_form(raw: &[u8]) -> Vec<u8> {
    std::str::from_utf8(raw).ok().and_then(canonical::text).unwrap_or_else(|| raw.to_vec())
}

/// A column's value, read as far as a comparison needs it: says what its key would, mostly without
/// making one.
#[derive(Debug, Clone)]
enum Column<'a> {
    Boolean(bool),
    Number(f64),
    /// In the spelling of keys.
    Text(Cow<'a, [u8]>),
    /// An array or object as its text.
    Composite(Cow<'a, [u8]>),
}

impl<'a> Column<'a> {
    /// Reads a value; `None` for null and for no value at all.
    fn read(raw: &'a [u8]) -> Option<Self> {
        match raw.first()? {
            b'n' => None,
            b't' => Some(Column::Boolean(true)),
            b'f' => Some(Column::Boolean(false)),
            b'{' | b'[' => Some(Column::Composite(raw.into())),
            b'"' => {
                let text = raw.get(1..raw.len() - 1)?;
                // Keys spell only these otherwise. No early end, so that this runs many bytes at a time.
                let odd = |byte: u8| u8::from(byte == b'\\') | u8::from(byte & 0xfe == 0xee);
                let is_plain = text.iter().fold(0, |found, byte| found | odd(*byte)) == 0;
                let text = if is_plain { text.into() } else { key::of(raw)?.split_off(1).into() };
                Some(Column::Text(text))
            }
            _ => std::str::from_utf8(raw).ok()?.parse().ok().map(Column::Number),
        }
    }

    fn into_owned(self) -> Column<'static> {
        match self {
            Column::Boolean(value) => Column::Boolean(value),
            Column::Number(value) => Column::Number(value),
            Column::Text(text) => Column::Text(text.into_owned().into()),
            Column::Composite(raw) => Column::Composite(raw.into_owned().into()),
        }
    }

    fn kind(&self) -> u8 {
        match self {
            Column::Boolean(_) => 0,
            Column::Number(_) => 1,
            Column::Text(_) => 2,
            Column::Composite(_) => 3,
        }
    }

    /// An order over all types.
    fn order(&self, other: &Column<'_>) -> Ordering {
        match (self, other) {
            (Column::Boolean(a), Column::Boolean(b)) => a.cmp(b),
            // Zeros are one number; JSON has no NaN.
            (Column::Number(a), Column::Number(b)) => a.partial_cmp(b).unwrap_or(Ordering::Equal),
            (Column::Text(a), Column::Text(b)) | (Column::Composite(a), Column::Composite(b)) => a.cmp(b),
            _ => self.kind().cmp(&other.kind()),
        }
    }

    /// Whether the two are of one type and their order is `wanted`.
    fn is(&self, other: &Column<'_>, wanted: fn(Ordering) -> bool) -> bool {
        self.kind() == other.kind() && wanted(self.order(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(json: &str) -> Value {
        Value::parse(json).unwrap()
    }

    fn matching<'a>(condition: &Condition, columns: &[&'a str]) -> Vec<&'a str> {
        let test = Test::new(condition);
        columns.iter().copied().filter(|column| test.matches(column.as_bytes())).collect()
    }

    const COLUMNS: [&str; 16] = [
        "",
        "null",
        "false",
        "true",
        "-1",
        "-0",
        "0.0",
        "1",
        "1e3",
        "\"\"",
        "\"1\"",
        "\"a\"",
        "\"ab\"",
        "[]",
        "[1]",
        "{\"a\":1,\"b\":2}",
    ];

    #[test]
    fn types_never_compare_across() {
        for (condition, wanted) in [
            (Condition::Equals(value("1")), vec!["1"]),
            (Condition::Equals(value("1000.0")), vec!["1e3"]),
            (Condition::Equals(value("0")), vec!["-0", "0.0"]),
            (Condition::Equals(value("null")), vec![]),
            (Condition::Equals(value("true")), vec!["true"]),
            (Condition::Equals(value("{\"b\":2.0,\"a\":1}")), vec!["{\"a\":1,\"b\":2}"]),
            (Condition::Above(value("-1")), vec!["-0", "0.0", "1", "1e3"]),
            (Condition::AboveOrEqual(value("\"1\"")), vec!["\"1\"", "\"a\"", "\"ab\""]),
            (Condition::Below(value("true")), vec!["false"]),
            (Condition::BelowOrEqual(value("[]")), vec!["[]", "[1]"]),
            (Condition::BelowOrEqual(value("[1]")), vec!["[1]"]),
            (Condition::Above(value("null")), vec![]),
            (Condition::StartsWith("a".into()), vec!["\"a\"", "\"ab\""]),
            (Condition::StartsWith(String::new()), vec!["\"\"", "\"1\"", "\"a\"", "\"ab\""]),
            (Condition::AnyOf(vec![]), vec![]),
            (
                Condition::AnyOf(["null", "1", "\"a\"", "1", "[]", "true"].map(value).to_vec()),
                vec!["true", "1", "\"a\"", "[]"],
            ),
        ] {
            assert_eq!(matching(&condition, &COLUMNS), wanted, "{condition:?}");
        }
    }

    #[test]
    fn ranges_have_open_and_closed_ends() {
        let between = |low: &str, high: &str, low_open, high_open| {
            let condition = Condition::Between { low: value(low), high: value(high), low_open, high_open };
            matching(&condition, &COLUMNS)
        };
        assert_eq!(between("-1", "1", false, false), ["-1", "-0", "0.0", "1"]);
        assert_eq!(between("-1", "1", true, false), ["-0", "0.0", "1"]);
        assert_eq!(between("-1", "1", false, true), ["-1", "-0", "0.0"]);
        assert_eq!(between("1", "1", false, false), ["1"]);
        for (low, high, low_open, high_open) in [
            ("1", "1", true, false),
            ("1", "-1", false, false),
            ("1", "\"a\"", false, false),
            ("null", "1", false, false),
        ] {
            assert!(between(low, high, low_open, high_open).is_empty());
            let condition = Condition::Between { low: value(low), high: value(high), low_open, high_open };
            assert!(Test::new(&condition).key_ranges().is_empty());
        }
    }

    #[test]
    fn strings_order_as_keys_do() {
        let above = |operand: &str, column: &str| {
            Test::new(&Condition::Above(value(operand))).matches(column.as_bytes())
        };
        // U+1F600 is a surrogate pair, which stands before U+FF5E; written as an escape as well.
        assert!(above("\"\u{1f600}\"", "\"\u{ff5e}\"") && !above("\"\u{ff5e}\"", "\"\u{1f600}\""));
        assert!(above("\"\u{1f600}\"", "\"\\uff5e\""));
        assert!(Test::new(&Condition::Equals(value("\"\\ud800\""))).matches(b"\"\\uD800\""));
        assert!(Test::new(&Condition::StartsWith("\u{ff5e}".into())).matches("\"\u{ff5e}x\"".as_bytes()));
    }

    #[test]
    fn operands_are_not_shown() {
        let between =
            Condition::Between { low: value("41"), high: value("42"), low_open: true, high_open: false };
        for condition in [
            Condition::Equals(value("\"secret\"")),
            Condition::StartsWith("secret".into()),
            Condition::AnyOf(vec![value("\"secret\"")]),
            between,
        ] {
            let shown = format!("{condition:?}");
            assert!(!shown.contains("secret") && !shown.contains("42"), "{shown}");
        }
    }
}
