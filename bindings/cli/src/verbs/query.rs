//! Queries: conditions and orders as text, rows as a table.

use interocitor_core::{Condition, Direction, Name, Query, Row, Value};
use serde_json::value::RawValue;

use crate::{
    args::QueryArgs,
    failure::{Failure, Outcome},
    json,
    reply::Reply,
    session::Session,
    terminal, text,
};

/// The query that the arguments describe.
pub(super) fn build(args: &QueryArgs) -> Outcome<Query> {
    let mut query = Query::table(&*args.table).offset(args.offset);
    for filter in args.filters.chunks(3) {
        let [field, operator, value] = filter else { continue };
        query = query.filter(&**field, condition(operator, value)?);
    }
    for order in &args.order_by {
        let (field, direction) = match order.rsplit_once(':') {
            Some((field, "desc")) => (field, Direction::Descending),
            Some((field, "asc")) => (field, Direction::Ascending),
            _ => (&**order, Direction::Ascending),
        };
        query = query.order_by(field, direction);
    }
    Ok(match args.limit {
        Some(limit) => query.limit(limit),
        None => query,
    })
}

fn condition(operator: &str, value: &str) -> Outcome<Condition> {
    let one = json::parse_value;
    Ok(match operator {
        "equals" => Condition::Equals(one(value)),
        "above" => Condition::Above(one(value)),
        "above-or-equal" => Condition::AboveOrEqual(one(value)),
        "below" => Condition::Below(one(value)),
        "below-or-equal" => Condition::BelowOrEqual(one(value)),
        "between" => {
            let Some([low, high]) = array(value).and_then(|ends| <[Value; 2]>::try_from(ends).ok()) else {
                return Err(Failure::Usage(
                    "--where FIELD between VALUE: VALUE is a JSON array [least,greatest]".into(),
                ));
            };
            Condition::Between { low, high, low_open: false, high_open: false }
        }
        "starts-with" => {
            Condition::StartsWith(serde_json::from_str(value).unwrap_or_else(|_| value.to_owned()))
        }
        "any-of" => {
            let values = array(value)
                .ok_or_else(|| Failure::Usage("--where FIELD any-of VALUE: VALUE is a JSON array".into()))?;
            Condition::AnyOf(values)
        }
        other => {
            return Err(Failure::Usage(format!(
                "--where FIELD OP VALUE: OP cannot be {other:?}; it is equals, above, above-or-equal, below, \
                 below-or-equal, between, starts-with or any-of"
            )));
        }
    })
}

/// The elements of a JSON array, each as it is spelled.
fn array(text: &str) -> Option<Vec<Value>> {
    let elements: Vec<Box<RawValue>> = serde_json::from_str(text).ok()?;
    elements.iter().map(|element| Value::parse(element.get()).ok()).collect()
}

pub(super) async fn run(session: &Session, query: &Query, as_json: bool) -> Outcome<Reply> {
    let rows = session.db.query(query).await?;
    if as_json {
        let items = rows.iter().map(|row| format!("{{\"id\":{},\"row\":{}}}", row.id.to_json(), row.json));
        return Ok(Reply::text(json::list(items)));
    }
    if rows.is_empty() {
        return Ok(Reply::nothing().note("note: no rows"));
    }
    Ok(Reply::text(table(&rows)))
}

/// One line a row, one column a field, in the order in which the fields first appear.
fn table(rows: &[Row]) -> String {
    let columns: Option<Vec<_>> = rows.iter().map(json::columns).collect();
    let Some(columns) = columns else {
        let lines: Vec<_> = rows.iter().map(|row| vec![row.id.to_string(), row.json.clone()]).collect();
        return text::aligned(&lines, terminal::widest_cell());
    };
    let mut fields: Vec<&Name> = Vec::new();
    let mut known = std::collections::HashSet::new();
    for (name, _) in columns.iter().flatten() {
        if known.insert(name) {
            fields.push(name);
        }
    }
    let head = std::iter::once("(id)".to_owned()).chain(fields.iter().map(ToString::to_string)).collect();
    let mut lines = vec![head];
    for (row, columns) in rows.iter().zip(&columns) {
        let values: std::collections::HashMap<_, _> =
            columns.iter().map(|(name, value)| (name, value)).collect();
        let cells =
            fields.iter().map(|field| values.get(field).map_or_else(String::new, |value| (*value).clone()));
        lines.push(std::iter::once(row.id.to_string()).chain(cells).collect());
    }
    text::aligned(&lines, terminal::widest_cell())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operands_keep_their_type() {
        let value = |text: &str| Value::parse(text).unwrap();
        let table = [
            (("equals", "1"), Condition::Equals(value("1"))),
            (("equals", "\"1\""), Condition::Equals(value("\"1\""))),
            (("equals", "milk"), Condition::Equals(value("\"milk\""))),
            (("above-or-equal", "-5"), Condition::AboveOrEqual(value("-5"))),
            (("starts-with", "12"), Condition::StartsWith("12".into())),
            (("starts-with", "\"a b\""), Condition::StartsWith("a b".into())),
            (("any-of", "[1, \"x\"]"), Condition::AnyOf(vec![value("1"), value("\"x\"")])),
            (
                ("between", "[1,2.0]"),
                Condition::Between { low: value("1"), high: value("2.0"), low_open: false, high_open: false },
            ),
        ];
        for ((operator, text), wanted) in table {
            assert_eq!(condition(operator, text).unwrap(), wanted, "{operator} {text}");
        }
        for (operator, text) in [("between", "[1]"), ("between", "1"), ("any-of", "{}"), ("is", "1")] {
            assert!(matches!(condition(operator, text), Err(Failure::Usage(_))), "{operator} {text}");
        }
    }
}
