//! Many writes from a file, one JSON object a line.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
};

use interocitor_core::{Batch, Name};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    failure::{Failure, Outcome},
    json,
    reply::Reply,
    session::Session,
    text,
};

/// One line. Names are kept as JSON text, since they may hold half a character.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    op: Op,
    #[serde(borrow)]
    table: &'a RawValue,
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    row: Option<&'a RawValue>,
    #[serde(default)]
    prefix: Option<String>,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Op {
    Add,
    Put,
    Patch,
    Replace,
    Delete,
}

pub(super) async fn batch(session: &Session, file: &Path, as_json: bool) -> Outcome<Reply> {
    let mut batch = session.db.begin_batch()?;
    let added = if file == Path::new("-") {
        fill(&mut batch, std::io::stdin().lock(), "standard input")?
    } else {
        let opened = File::open(file).map_err(|error| Failure::file("the batch file", file, &error))?;
        fill(&mut batch, BufReader::new(opened), &file.display().to_string())?
    };
    let writes = batch.len() as u64;
    batch.commit().await?;
    if as_json {
        let ids = json::list(added.iter().map(Name::to_json));
        return Ok(Reply::text(format!("{{\"writes\":{writes},\"added\":{ids}}}")));
    }
    Ok(Reply::text(format!("{} stored as one batch", text::count(writes, "write"))))
}

/// Reads every line into the batch; gives the ids of the rows that it adds.
fn fill(batch: &mut Batch, mut input: impl BufRead, place: &str) -> Outcome<Vec<Name>> {
    let mut added = Vec::new();
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        let read = input
            .read_until(b'\n', &mut line)
            .map_err(|error| Failure::invalid(format!("{place}: {error}")))?;
        if read == 0 {
            break;
        }
        let bytes = line.strip_prefix(b"\xef\xbb\xbf".as_slice()).filter(|_| number == 1).unwrap_or(&line);
        if bytes.trim_ascii().is_empty() {
            continue;
        }
        let outcome = std::str::from_utf8(bytes)
            .map_err(|_| Failure::invalid("not UTF-8"))
            .and_then(|text| push(batch, text));
        added.extend(
            outcome.map_err(|failure| failure.at(&format!("{place}, line {number}; nothing was written")))?,
        );
    }
    Ok(added)
}

/// Adds one line to the batch; gives the id where it is an `add`.
fn push(batch: &mut Batch, text: &str) -> Outcome<Option<Name>> {
    let line: Line<'_> = serde_json::from_str(text).map_err(|error| Failure::invalid(reason(&error)))?;
    let table = json::name(line.table).ok_or_else(|| Failure::invalid("\"table\" must be a string"))?;
    let mut table = batch.table(table);
    let row = || line.row.ok_or_else(|| Failure::invalid("\"row\" is missing"));
    if line.op == Op::Add {
        if line.id.is_some() {
            return Err(Failure::invalid("add makes an id of its own: use put, or leave out \"id\""));
        }
        return Ok(Some(match line.prefix {
            Some(prefix) => {
                let id = Name::from(format!("{prefix}_{}", uuid::Uuid::new_v4()));
                table.put(&id, row()?)?;
                id
            }
            None => table.add(row()?)?,
        }));
    }
    if line.prefix.is_some() {
        return Err(Failure::invalid("\"prefix\" goes with add only"));
    }
    let id = line.id.and_then(json::name).ok_or_else(|| Failure::invalid("\"id\" must be a string"))?;
    match line.op {
        Op::Replace => table.replace(id, row()?)?,
        Op::Delete if line.row.is_some() => return Err(Failure::invalid("delete takes no \"row\"")),
        Op::Delete => table.delete(id)?,
        _ => table.put(id, row()?)?,
    }
    Ok(None)
}

/// The parser's reason with the column only: the line is told already.
fn reason(error: &serde_json::Error) -> String {
    error.to_string().replace(" at line 1 column ", " at column ")
}
