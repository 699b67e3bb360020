//! Reading an export: everything is proven and laid aside, then one transaction takes it over.

use std::{collections::HashMap, io::Read, path::Path};

use interocitor_crypto::{Key, Passphrase};

use super::{
    Course, Imported, archive,
    entry::{self, Kind},
    failed, invalid,
    line::{self, FileLine, Head, MAX_LINE},
    source::{Lines, Source},
};
use crate::{
    bodies::{self, BodyWriter},
    error::{Error, Result},
    events::Event,
    files,
    local::Changes,
    row::{Reader, RowState, put_bytes},
    store::Durability,
    sync::{Context, import},
    value::Name,
    wire::change::Op,
};

/// Rows are laid aside in pieces of about this size, in bytes.
const CHUNK: usize = 1024 * 1024;

/// Bytes read at once.
const PIECE: usize = 256 * 1024;

/// An export that is proven and lies aside; dropped, nothing is left of it.
pub(crate) struct Staged {
    mesh_id: Option<String>,
    /// The rows, in pieces.
    rows: bodies::Staged,
    count: u64,
    files: Vec<(FileLine, bodies::Staged)>,
}

/// Reads all of an export and lays it aside, hidden as the files of this device are. Blocks.
pub(crate) fn stage(
    ctx: &Context,
    path: &Path,
    (passphrase, mesh): (Option<&Passphrase>, Option<&Key>),
    course: &Course,
) -> Result<Staged> {
    let facts = std::fs::metadata(path).map_err(|error| failed(path, &error))?;
    let mut source = if facts.is_dir() {
        Source::folder(path)?
    } else {
        Source::archive(archive::open(path, (passphrase, mesh), &ctx.bodies, &*ctx.host, course)?)
    };
    let mut head: Option<Head> = None;
    let mut rows = Rows::new(ctx.bodies.create(&*ctx.host)?);
    let mut tables: HashMap<String, u64> = HashMap::new();
    let (mut files, mut bodies, mut has_list) = (Vec::new(), HashMap::new(), false);
    while let Some((kind, name, size)) = source.next()? {
        match (kind, &head) {
            (Kind::Head, _) => head = Some(Head::parse(&source.whole(size, &name)?, &name)?),
            (Kind::Table, Some(head)) => {
                let listed = head.tables.iter().find(|table| table.file == name);
                let listed = listed.ok_or_else(|| invalid(&name, "export.json does not name it"))?;
                let count = stage_table(&mut source, &name, &listed.name, &mut rows, course)?;
                if count != listed.rows {
                    return Err(invalid(&name, format!("it has {count} rows in place of {}", listed.rows)));
                }
                tables.insert(name, count);
            }
            (Kind::File, _) => {
                bodies.insert(name.clone(), stage_file(ctx, &mut source, &name, course)?);
            }
            (Kind::Files, _) => {
                has_list = true;
                let mut lines = Lines::new(&mut source, MAX_LINE);
                while let Some((text, _)) = lines.next(&name)? {
                    files.push(FileLine::read(text, &name)?);
                }
            }
            _ => return Err(invalid(&name, "it stands in the wrong place")),
        }
    }
    let head = head.ok_or_else(|| invalid(entry::HEAD, "it is missing"))?;
    if !has_list {
        return Err(invalid(entry::FILES, "it is missing"));
    }
    let mut names = std::collections::HashSet::new();
    for table in &head.tables {
        if !tables.contains_key(&table.file) || !names.insert(&table.name) {
            return Err(invalid(&table.file, "it is missing, or a table is named twice"));
        }
    }
    let mut paths = std::collections::HashSet::new();
    let mut staged = Vec::new();
    for file in files {
        let mut body = bodies
            .remove(&file.entry)
            .ok_or_else(|| invalid(&file.entry, "files.jsonl names it, and it is missing"))?;
        if body.facts.size != file.size || body.facts.digest != file.digest {
            return Err(invalid(&file.entry, "files.jsonl says something else of it"));
        }
        if !paths.insert(file.path.clone()) {
            return Err(invalid(entry::FILES, "it names a path twice"));
        }
        body.facts.content_type.clone_from(&file.content_type);
        staged.push((file, body));
    }
    if let Some(name) = bodies.keys().next() {
        return Err(invalid(name, "files.jsonl does not name it"));
    }
    let count = rows.count;
    Ok(Staged { mesh_id: head.mesh_id, rows: rows.finish()?, count, files: staged })
}

/// Rows on their way aside.
struct Rows {
    body: BodyWriter,
    chunk: Vec<u8>,
    count: u64,
}

impl Rows {
    fn new(body: BodyWriter) -> Self {
        Self { body, chunk: Vec::new(), count: 0 }
    }

    fn push(&mut self, table: &Name, id: &Name, state: &RowState) -> Result<()> {
        put_bytes(&mut self.chunk, table.as_bytes());
        put_bytes(&mut self.chunk, id.as_bytes());
        state.write_record(&mut self.chunk);
        self.count += 1;
        if self.chunk.len() >= CHUNK { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        self.body.write(&(self.chunk.len() as u64).to_be_bytes())?;
        self.body.write(&self.chunk)?;
        self.chunk.clear();
        Ok(())
    }

    fn finish(mut self) -> Result<bodies::Staged> {
        self.flush()?;
        self.body.finish(false)
    }
}

fn stage_table(
    source: &mut Source,
    name: &str,
    table: &Name,
    rows: &mut Rows,
    course: &Course,
) -> Result<u64> {
    let mut lines = Lines::new(source, MAX_LINE);
    let mut last: Option<Name> = None;
    let mut count = 0;
    while let Some((text, number)) = lines.next(name)? {
        let length = text.len() as u64;
        let (id, state) =
            line::read_row(text).map_err(|error| invalid(name, format!("line {number}: {error}")))?;
        // So that a row which is there twice is noticed, however many there are.
        if last.as_ref().is_some_and(|last| last.as_bytes() >= id.as_bytes()) {
            let reason = format!(
                "line {number}: its row is there twice, or the rows are not in the order of their ids"
            );
            return Err(invalid(name, reason));
        }
        rows.push(table, &id, &state)?;
        last = Some(id);
        count += 1;
        course.add(1, 0, length)?;
    }
    Ok(count)
}

fn stage_file(ctx: &Context, source: &mut Source, name: &str, course: &Course) -> Result<bodies::Staged> {
    let mut body = ctx.bodies.create(&*ctx.host)?;
    let mut piece = vec![0; PIECE];
    loop {
        match source.read(&mut piece).map_err(|error| invalid(name, error.to_string()))? {
            0 => break,
            count => {
                body.write(&piece[..count])?;
                course.add(0, 0, count as u64)?;
            }
        }
    }
    course.add(0, 1, 0)?;
    // What the source has is read again after a loss of power; what the store names then must be whole.
    body.finish(true)
}

/// Takes over what was laid aside: all of it, or nothing. Tells the listeners. Blocks.
pub(crate) fn commit(ctx: &Context, mut staged: Staged, course: &Course) -> Result<Imported> {
    let now_ms = ctx.host.now_ms();
    let (changes, notices, kept): (Changes, Vec<Event>, Vec<usize>) =
        ctx.store.write_with(Durability::Power, |tx| {
            import::check_mesh(tx, staged.mesh_id.as_deref())?;
            let mut chunks = Chunks::open(ctx, &staged.rows)?;
            let (changes, notices) = import::rows(ctx, tx, || {
                course.add(0, 0, 0)?;
                chunks.next()
            })?;
            import::remember_mesh(tx, staged.mesh_id.as_deref())?;
            let mut kept = Vec::new();
            for (at, (line, staged)) in staged.files.iter().enumerate() {
                if files::import(tx, &line.path, staged, line.modified_ms, now_ms)? {
                    kept.push(at);
                }
            }
            Ok((changes, notices, kept))
        })?;
    for at in &kept {
        staged.files[*at].1.keep();
    }
    let (changed, files) = (changes.len() as u64, kept.len() as u64);
    ctx.events.emit_changes(&changes);
    for notice in &notices {
        ctx.emit(notice);
    }
    Ok(Imported { rows: staged.count, changed, files })
}

/// Reads rows that were laid aside.
struct Chunks {
    body: bodies::BodyReader,
}

impl Chunks {
    fn open(ctx: &Context, rows: &bodies::Staged) -> Result<Self> {
        let body = ctx.bodies.open(&rows.body, &rows.facts, "the rows of the import")?;
        let body = body.ok_or_else(|| Error::integrity("the rows of the import", "they are gone"))?;
        Ok(Self { body })
    }

    /// The next rows; none after the last.
    fn next(&mut self) -> Result<Vec<Op>> {
        let mut length = [0; 8];
        let mut filled = 0;
        while filled < length.len() {
            match self.body.read(&mut length[filled..]).map_err(|error| self.body.fail(&error))? {
                0 => break,
                count => filled += count,
            }
        }
        if filled == 0 {
            // What was laid aside came back as it was.
            self.body.check()?;
            return Ok(Vec::new());
        }
        let length = usize::try_from(u64::from_be_bytes(length)).unwrap_or(usize::MAX);
        let mut chunk = Vec::new();
        let read = self.body.by_ref().take(length as u64).read_to_end(&mut chunk);
        read.map_err(|error| self.body.fail(&error))?;
        let mut reader = Reader(&chunk);
        let mut ops = Vec::new();
        while !reader.is_empty() {
            let table = Name::from_wtf8(reader.bytes()?);
            let row_id = Name::from_wtf8(reader.bytes()?);
            ops.push(Op { table, row_id, state: RowState::read_record(&mut reader)? });
        }
        Ok(ops)
    }
}
