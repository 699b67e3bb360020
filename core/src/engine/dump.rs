//! The store as one JSON object, rows and tombstones in the order of their ids.

use crate::{
    error::Result,
    store::{Tx, meta::keys},
    value::{Name, scan},
};

/// One table's entries, each with its JSON text; tombstones have none.
type Rows = Vec<(Name, Option<String>)>;

pub(super) fn dump(tx: &Tx<'_>) -> Result<String> {
    let mut tables: Vec<(Name, Rows)> = Vec::new();
    for table in tx.tables()? {
        let mut rows = Vec::new();
        tx.each_row(&table, |_, id, state| {
            rows.push((id, state.is_live().then(|| state.to_json())));
            Ok(())
        })?;
        rows.sort_by(|a, b| a.0.as_bytes().cmp(b.0.as_bytes()));
        tables.push((table.name.clone(), rows));
    }
    tables.sort_by(|a, b| a.0.as_bytes().cmp(b.0.as_bytes()));
    let mut out = b"{\"meshId\":".to_vec();
    match tx.meta(keys::MESH_ID)? {
        Some(mesh_id) => scan::write_string(&mut out, mesh_id.as_bytes()),
        None => out.extend_from_slice(b"null"),
    }
    let number = |key| Ok::<_, crate::error::Error>(tx.meta_number(key)?.unwrap_or(0));
    let (epoch, generation) = (number(keys::EPOCH)?, number(keys::GENERATION)?);
    out.extend_from_slice(format!(",\"epoch\":{epoch},\"generation\":{generation},\"tables\":{{").as_bytes());
    write_tables(&mut out, &tables, |out, rows| {
        let live = rows.iter().filter_map(|(id, json)| Some((id, json.as_ref()?)));
        write_list(out, *b"{}", live, |out, (id, json)| {
            scan::write_string(out, id.as_bytes());
            out.push(b':');
            out.extend_from_slice(json.as_bytes());
        })
    });
    out.extend_from_slice(b"},\"tombstones\":{");
    write_tables(&mut out, &tables, |out, rows| {
        let dead = rows.iter().filter(|(_, json)| json.is_none());
        write_list(out, *b"[]", dead, |out, (id, _)| scan::write_string(out, id.as_bytes()))
    });
    out.extend_from_slice(b"}}");
    Ok(String::from_utf8_lossy(&out).into_owned())
}

/// Writes the tables for which `write` has something to say.
fn write_tables(out: &mut Vec<u8>, tables: &[(Name, Rows)], write: impl Fn(&mut Vec<u8>, &Rows) -> bool) {
    let mut separator = None;
    for (name, rows) in tables {
        let mut body = Vec::new();
        if write(&mut body, rows) {
            out.extend(separator.replace(b','));
            scan::write_string(out, name.as_bytes());
            out.push(b':');
            out.append(&mut body);
        }
    }
}

/// Writes items between brackets; tells whether there were any.
fn write_list<T>(
    out: &mut Vec<u8>,
    brackets: [u8; 2],
    items: impl Iterator<Item = T>,
    write: impl Fn(&mut Vec<u8>, T),
) -> bool {
    let mut separator = None;
    out.push(brackets[0]);
    for item in items {
        out.extend(separator.replace(b','));
        write(out, item);
    }
    out.push(brackets[1]);
    separator.is_some()
}
