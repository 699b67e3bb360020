//! Single rows: add, put, replace, delete, show.

use std::io::Read as _;

use interocitor_core::Name;
use serde_json::value::RawValue;

use crate::{
    args::RowArgs,
    failure::{Failure, Outcome},
    json,
    reply::Reply,
    session::Session,
    terminal, text,
};

pub(super) async fn add(
    session: &Session,
    table: &str,
    row: &str,
    prefix: Option<&str>,
    as_json: bool,
) -> Outcome<Reply> {
    let row = given_row(row)?;
    let table = session.db.table(table);
    let id = match prefix {
        Some(prefix) => table.add_with_prefix(prefix, &row).await?,
        None => table.add(&row).await?,
    };
    Ok(if as_json { written(&id) } else { Reply::text(text::shown(&id.to_string_lossy())) })
}

pub(super) async fn put(session: &Session, args: &RowArgs, as_json: bool) -> Outcome<Reply> {
    let row = given_row(&args.row)?;
    session.db.table(&args.table).put(&args.rowid, &row).await?;
    Ok(acknowledged(&args.rowid, as_json))
}

pub(super) async fn replace(session: &Session, args: &RowArgs, as_json: bool) -> Outcome<Reply> {
    let row = given_row(&args.row)?;
    session.db.table(&args.table).replace(&args.rowid, &row).await?;
    Ok(acknowledged(&args.rowid, as_json))
}

pub(super) async fn delete(session: &Session, table: &str, rowid: &str, as_json: bool) -> Outcome<Reply> {
    session.db.table(table).delete(rowid).await?;
    Ok(acknowledged(rowid, as_json))
}

pub(super) async fn row(session: &Session, table: &str, rowid: &str, as_json: bool) -> Outcome<Reply> {
    let row = session.db.table(table).row(rowid).await?;
    if as_json {
        return Ok(Reply::text(row.map_or_else(|| "null".into(), |row| row.json)));
    }
    let Some(row) = row else {
        return Ok(Reply::nothing().note(format!("note: table {table} has no row {rowid}")));
    };
    let Some(columns) = json::columns(&row) else { return Ok(Reply::text(text::shown(&row.json))) };
    let lines: Vec<_> = columns.into_iter().map(|(name, value)| vec![name.to_string(), value]).collect();
    Ok(Reply::text(text::aligned(&lines, terminal::widest_cell())))
}

/// Silence says that it was written; programs get the id.
fn acknowledged(rowid: &str, as_json: bool) -> Reply {
    if as_json { written(&Name::from(rowid)) } else { Reply::nothing() }
}

fn written(id: &Name) -> Reply {
    Reply::text(format!("{{\"id\":{}}}", id.to_json()))
}

/// The row on the command line, or on standard input where that says `-`: arguments have a limit.
fn given_row(argument: &str) -> Outcome<Box<RawValue>> {
    if argument != "-" {
        return json::parse_row(argument);
    }
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .map_err(|error| Failure::invalid(format!("standard input cannot be read: {error}")))?;
    json::parse_row(&text)
}
