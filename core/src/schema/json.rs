//! The schema in the JavaScript client's form.

use super::{Field, FieldKind, SchemaBuilder, TableSchema, refused};
use crate::{
    error::Error,
    merge::MergeStrategy,
    value::{
        Name,
        scan::{Cursor, ScanError},
    },
};

/// Why a text is no schema.
struct Problem(String);

type Parsed<T> = Result<T, Problem>;

impl From<ScanError> for Problem {
    fn from(error: ScanError) -> Self {
        Self(error.to_string())
    }
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        refused(&problem.0)
    }
}

pub(super) fn parse(text: &str) -> Result<SchemaBuilder, Error> {
    Ok(read(&mut Cursor::new(text.as_bytes()))?)
}

fn read(cursor: &mut Cursor<'_>) -> Parsed<SchemaBuilder> {
    let mut schema = SchemaBuilder::default();
    let mut has_tables = false;
    cursor.object(|key, cursor| {
        match &*key {
            b"version" => schema.version = version(cursor)?,
            b"mergeStrategy" => schema.merge = strategy(cursor)?,
            b"tables" => {
                has_tables = true;
                cursor.object(|name, cursor| {
                    schema.tables.push((Name::from_wtf8(&name), table(cursor)?));
                    Ok::<_, Problem>(())
                })?;
            }
            _ => skip(cursor)?,
        }
        Ok::<_, Problem>(())
    })?;
    cursor.end()?;
    if has_tables { Ok(schema) } else { Err(Problem("it has no \"tables\"".into())) }
}

fn table(cursor: &mut Cursor<'_>) -> Parsed<TableSchema> {
    let mut table = TableSchema::default();
    cursor.object(|key, cursor| match &*key {
        b"fields" => cursor.object(|name, cursor| {
            table.fields.push((Name::from_wtf8(&name), field(cursor)?));
            Ok::<_, Problem>(())
        }),
        b"indexes" => cursor.array(|cursor| {
            table.indexes.push(index(cursor)?);
            Ok::<_, Problem>(())
        }),
        b"merge" => merge(cursor, &mut table),
        _ => skip(cursor),
    })?;
    Ok(table)
}

fn field(cursor: &mut Cursor<'_>) -> Parsed<Field> {
    let (mut kind, mut values, mut shape) = (None, Vec::new(), None);
    let (mut has_index, mut is_unique, mut is_optional) = (false, false, false);
    cursor.object(|key, cursor| {
        match &*key {
            b"kind" => kind = Some(text(cursor)?),
            b"index" => has_index = is_true(cursor)?,
            b"unique" => is_unique = is_true(cursor)?,
            // The JavaScript client's plain fields carry their optional form, an object, under this name.
            b"optional" => is_optional = is_true(cursor)?,
            b"values" => cursor.array(|cursor| {
                values.push(text(cursor)?);
                Ok::<_, Problem>(())
            })?,
            b"shape" => shape = Some(text(cursor)?),
            _ => skip(cursor)?,
        }
        Ok::<_, Problem>(())
    })?;
    let kind = match kind.as_deref() {
        Some("string") => FieldKind::String,
        Some("number") => FieldKind::Number,
        Some("boolean") => FieldKind::Boolean,
        Some("date") => FieldKind::Date,
        Some("json") => shape.map_or(FieldKind::Json, FieldKind::Typed),
        Some("file") => FieldKind::File,
        Some("enum") => FieldKind::Enum(values),
        Some(other) => return Err(Problem(format!("there is no field kind {other:?}"))),
        None => return Err(Problem("a field has no \"kind\"".into())),
    };
    Ok(Field { kind, has_index: has_index || is_unique, is_unique, is_optional })
}

fn index(cursor: &mut Cursor<'_>) -> Parsed<(Name, bool)> {
    let (mut field, mut is_unique) = (None, false);
    cursor.object(|key, cursor| {
        match &*key {
            b"field" => field = Some(cursor.name()?),
            b"unique" => is_unique = is_true(cursor)?,
            _ => skip(cursor)?,
        }
        Ok::<_, Problem>(())
    })?;
    field.map(|field| (field, is_unique)).ok_or_else(|| Problem("an index has no \"field\"".into()))
}

/// A strategy, or `{strategy?, fields?}`.
fn merge(cursor: &mut Cursor<'_>, table: &mut TableSchema) -> Parsed<()> {
    if cursor.peek()? != b'{' {
        table.merge = strategy(cursor)?;
        return Ok(());
    }
    cursor.object(|key, cursor| match &*key {
        b"strategy" => {
            table.merge = strategy(cursor)?;
            Ok(())
        }
        b"fields" => cursor.object(|name, cursor| {
            table.field_merges.extend(strategy(cursor)?.map(|strategy| (Name::from_wtf8(&name), strategy)));
            Ok::<_, Problem>(())
        }),
        _ => skip(cursor),
    })
}

/// A strategy by its name; `null` is none.
fn strategy(cursor: &mut Cursor<'_>) -> Parsed<Option<MergeStrategy>> {
    if is_null(cursor)? {
        return Ok(None);
    }
    match text(cursor)?.as_str() {
        "lww" => Ok(Some(MergeStrategy::LastWriterWins)),
        "remote-wins" => Ok(Some(MergeStrategy::RemoteWins)),
        "local-wins" => Ok(Some(MergeStrategy::LocalWins)),
        other => Err(Problem(format!("there is no merge strategy {other:?}"))),
    }
}

/// A whole number; `null` is none.
fn version(cursor: &mut Cursor<'_>) -> Parsed<Option<u64>> {
    if is_null(cursor)? {
        return Ok(None);
    }
    let number = std::str::from_utf8(cursor.value()?).ok().and_then(|text| text.parse().ok());
    number.map(Some).ok_or_else(|| Problem("its version is not a whole number".into()))
}

/// Consumes a `null`, if that is next.
fn is_null(cursor: &mut Cursor<'_>) -> Parsed<bool> {
    let is_null = cursor.peek()? == b'n';
    if is_null {
        cursor.value()?;
    }
    Ok(is_null)
}

fn is_true(cursor: &mut Cursor<'_>) -> Parsed<bool> {
    Ok(cursor.value()? == b"true")
}

fn text(cursor: &mut Cursor<'_>) -> Parsed<String> {
    let name = cursor.name()?;
    name.as_str().map(String::from).ok_or_else(|| Problem("a word holds half a character".into()))
}

fn skip(cursor: &mut Cursor<'_>) -> Parsed<()> {
    cursor.value()?;
    Ok(())
}
