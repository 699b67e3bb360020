//! The declared schema: tables with their fields, indexes and merge strategies.
//!
//! A schema says what this app knows, not what may be stored: peers and other versions of the app write
//! what they like, so kinds are never enforced. What has an effect are the indexes, `unique` (checked
//! on local writes only) and the merge strategies. [`Schema::from_json`] reads the JavaScript client's
//! form.

mod json;

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write,
};

use sha2::{Digest, Sha256};

use crate::{
    error::{Error, Result},
    merge::{MergeStrategy, Strategies, TableStrategies},
    row::put_bytes,
    store::{Tx, fields::WantedField, meta::keys},
    value::Name,
};

/// Most fields of one table that may have an index.
pub const MAX_INDEXES: usize = 64;

/// What a field holds, as the app sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FieldKind {
    /// A string.
    String,
    /// A number.
    Number,
    /// True or false.
    Boolean,
    /// A point in time, as the string `YYYY-MM-DDTHH:mm:ss.sssZ`.
    Date,
    /// Any JSON.
    Json,
    /// A reference to a durable file.
    File,
    /// One of these strings.
    Enum(Vec<String>),
    /// JSON of a shape that the app has a name for.
    Typed(String),
}

impl FieldKind {
    /// Whether values of this kind have an order that an index can keep.
    fn is_indexable(&self) -> bool {
        !matches!(self, FieldKind::Json | FieldKind::File | FieldKind::Typed(_))
    }
}

/// One field of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    kind: FieldKind,
    has_index: bool,
    is_unique: bool,
    is_optional: bool,
}

impl Field {
    /// A field that every row has.
    pub fn new(kind: FieldKind) -> Self {
        Self { kind, has_index: false, is_unique: false, is_optional: false }
    }

    /// A string.
    pub fn string() -> Self {
        Self::new(FieldKind::String)
    }

    /// A number.
    pub fn number() -> Self {
        Self::new(FieldKind::Number)
    }

    /// True or false.
    pub fn boolean() -> Self {
        Self::new(FieldKind::Boolean)
    }

    /// A point in time.
    pub fn date() -> Self {
        Self::new(FieldKind::Date)
    }

    /// Any JSON.
    pub fn json() -> Self {
        Self::new(FieldKind::Json)
    }

    /// A reference to a durable file.
    pub fn file() -> Self {
        Self::new(FieldKind::File)
    }

    /// One of some strings.
    pub fn one_of<T: Into<String>>(values: impl IntoIterator<Item = T>) -> Self {
        Self::new(FieldKind::Enum(values.into_iter().map(Into::into).collect()))
    }

    /// JSON of a shape that the app has a name for.
    pub fn typed(shape: impl Into<String>) -> Self {
        Self::new(FieldKind::Typed(shape.into()))
    }

    /// With an index: conditions and orders on the field are fast.
    #[must_use]
    pub fn index(mut self) -> Self {
        self.has_index = true;
        self
    }

    /// With an index, and no two rows written here may have the same value. Rows from peers may: they
    /// are stored and reported.
    #[must_use]
    pub fn unique(mut self) -> Self {
        self.has_index = true;
        self.is_unique = true;
        self
    }

    /// A field that rows may lack. It can have no index.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.is_optional = true;
        self
    }

    /// What it holds.
    pub fn kind(&self) -> &FieldKind {
        &self.kind
    }

    /// Whether it has an index.
    pub fn has_index(&self) -> bool {
        self.has_index
    }

    /// Whether its values are unique among the rows written here.
    pub fn is_unique(&self) -> bool {
        self.is_unique
    }

    /// Whether rows may lack it.
    pub fn is_optional(&self) -> bool {
        self.is_optional
    }
}

/// One table, as [`SchemaBuilder::table`] takes it.
#[derive(Debug, Clone, Default)]
pub struct TableSchema {
    fields: Vec<(Name, Field)>,
    /// Indexes on fields that are not declared, or declared without one; whether they are unique.
    indexes: Vec<(Name, bool)>,
    merge: Option<MergeStrategy>,
    field_merges: Vec<(Name, MergeStrategy)>,
}

impl TableSchema {
    /// A table without fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a field.
    #[must_use]
    pub fn field(mut self, name: impl Into<Name>, field: Field) -> Self {
        self.fields.push((name.into(), field));
        self
    }

    /// Adds an index to a field, declared or not.
    #[must_use]
    pub fn index(mut self, field: impl Into<Name>) -> Self {
        self.indexes.push((field.into(), false));
        self
    }

    /// Adds a unique index to a field, declared or not.
    #[must_use]
    pub fn unique(mut self, field: impl Into<Name>) -> Self {
        self.indexes.push((field.into(), true));
        self
    }

    /// How values of this table merge.
    #[must_use]
    pub fn merge(mut self, strategy: MergeStrategy) -> Self {
        self.merge = Some(strategy);
        self
    }

    /// How values of one field merge.
    #[must_use]
    pub fn merge_field(mut self, field: impl Into<Name>, strategy: MergeStrategy) -> Self {
        self.field_merges.push((field.into(), strategy));
        self
    }

    fn check(self, name: &Name) -> Result<(Table, TableStrategies)> {
        let refuse =
            |field: &Name, why: &str| Err(refused(&format!("field {field:?} of table {name:?} {why}")));
        let mut table = Table::default();
        for (name, field) in self.fields {
            if name.is_empty() {
                return refuse(&name, "needs a name");
            }
            if table.fields.contains_key(&name) {
                return refuse(&name, "is declared twice");
            }
            if field.has_index {
                table.indexes.insert(name.clone(), field.is_unique);
            }
            table.fields.insert(name, field);
        }
        for (field, is_unique) in self.indexes {
            if field.is_empty() {
                return refuse(&field, "needs a name");
            }
            *table.indexes.entry(field).or_default() |= is_unique;
        }
        for name in table.indexes.keys() {
            let Some(field) = table.fields.get(name) else { continue };
            if field.is_optional {
                return refuse(name, "is optional and so can have no index");
            }
            if !field.kind.is_indexable() {
                return refuse(name, "is of a kind that can have no index");
            }
        }
        if table.indexes.len() > MAX_INDEXES {
            return Err(refused(&format!("table {name:?} has more than {MAX_INDEXES} indexes")));
        }
        let mut strategies = TableStrategies { table: self.merge, fields: HashMap::new() };
        for (field, strategy) in self.field_merges {
            if strategies.fields.insert(field.clone(), strategy).is_some() {
                return refuse(&field, "has two merge strategies");
            }
        }
        Ok((table, strategies))
    }
}

fn refused(reason: &str) -> Error {
    Error::invalid("schema", reason)
}

/// A table that was checked.
#[derive(Debug, Clone, Default)]
struct Table {
    fields: BTreeMap<Name, Field>,
    /// Fields with an index; whether they are unique.
    indexes: BTreeMap<Name, bool>,
}

/// Collects a schema.
#[derive(Debug, Clone, Default)]
pub struct SchemaBuilder {
    version: Option<u64>,
    merge: Option<MergeStrategy>,
    tables: Vec<(Name, TableSchema)>,
}

impl SchemaBuilder {
    /// The version that the mesh must have.
    #[must_use]
    pub fn version(mut self, version: u64) -> Self {
        self.version = Some(version);
        self
    }

    /// How values merge where neither their field nor their table says so.
    #[must_use]
    pub fn merge(mut self, strategy: MergeStrategy) -> Self {
        self.merge = Some(strategy);
        self
    }

    /// Adds a table.
    #[must_use]
    pub fn table(mut self, name: impl Into<Name>, table: TableSchema) -> Self {
        self.tables.push((name.into(), table));
        self
    }

    /// The schema, checked: names are there and single, indexed fields are neither optional nor JSON.
    pub fn build(self) -> Result<Schema> {
        let (mut tables, mut merges) = (BTreeMap::new(), HashMap::new());
        for (name, table) in self.tables {
            if name.is_empty() {
                return Err(refused("a table needs a name"));
            }
            let (table, strategies) = table.check(&name)?;
            merges.insert(name.clone(), strategies);
            if tables.insert(name.clone(), table).is_some() {
                return Err(refused(&format!("table {name:?} is declared twice")));
            }
        }
        Ok(Schema { version: self.version, merge: self.merge, merges, tables })
    }
}

/// What an app declares about its data.
#[derive(Debug, Clone, Default)]
pub struct Schema {
    version: Option<u64>,
    merge: Option<MergeStrategy>,
    merges: HashMap<Name, TableStrategies>,
    tables: BTreeMap<Name, Table>,
}

impl Schema {
    /// A schema to fill.
    pub fn builder() -> SchemaBuilder {
        SchemaBuilder::default()
    }

    /// Reads the form of the JavaScript client, as `JSON.stringify` spells it:
    /// `{version?, mergeStrategy?, tables: {name: {fields?, indexes?, merge?}}}`.
    ///
    /// A field is `{kind, index?, unique?, optional?}`; a field of kind `enum` may list its `values`, one
    /// of kind `json` may name its `shape`. Members that are not known are passed over. Merge functions
    /// cannot travel so: see [`with_merge`](Self::with_merge).
    pub fn from_json(text: &str) -> Result<Self> {
        json::parse(text)?.build()
    }

    /// Sets how values of a table merge, or of one of its fields; the table need not be declared.
    #[must_use]
    pub fn with_merge(
        mut self,
        table: impl Into<Name>,
        field: Option<Name>,
        strategy: MergeStrategy,
    ) -> Self {
        let strategies = self.merges.entry(table.into()).or_default();
        match field {
            Some(field) => {
                strategies.fields.insert(field, strategy);
            }
            None => strategies.table = Some(strategy),
        }
        self
    }

    /// The version that the mesh must have, if the app declares one.
    pub fn version(&self) -> Option<u64> {
        self.version
    }

    /// The declared tables, by name.
    pub fn tables(&self) -> impl Iterator<Item = &Name> {
        self.tables.keys()
    }

    /// The declared fields of a table, by name.
    pub fn fields(&self, table: &Name) -> impl Iterator<Item = (&Name, &Field)> {
        self.tables.get(table).into_iter().flat_map(|table| &table.fields)
    }

    /// A text that two schemas share if they declare the same tables, fields and indexes, in whatever
    /// order. Version and merge strategies leave no trace in the store, and none here.
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        let mut add = |bytes: &[u8]| {
            let mut part = Vec::with_capacity(bytes.len() + 2);
            put_bytes(&mut part, bytes);
            hash.update(part);
        };
        for (name, table) in &self.tables {
            add(b"table");
            add(name.as_bytes());
            for (name, field) in &table.fields {
                add(b"field");
                add(name.as_bytes());
                let (kind, mut details): (&str, Vec<&str>) = match &field.kind {
                    FieldKind::String => ("string", Vec::new()),
                    FieldKind::Number => ("number", Vec::new()),
                    FieldKind::Boolean => ("boolean", Vec::new()),
                    FieldKind::Date => ("date", Vec::new()),
                    FieldKind::Json => ("json", Vec::new()),
                    FieldKind::File => ("file", Vec::new()),
                    FieldKind::Enum(values) => ("enum", values.iter().map(String::as_str).collect()),
                    FieldKind::Typed(shape) => ("typed", vec![shape]),
                };
                details.sort_unstable();
                add(kind.as_bytes());
                add(&[u8::from(field.is_optional)]);
                add(details.len().to_string().as_bytes());
                for detail in details {
                    add(detail.as_bytes());
                }
            }
            for (name, is_unique) in &table.indexes {
                add(b"index");
                add(name.as_bytes());
                add(&[u8::from(*is_unique)]);
            }
        }
        hash.finalize().iter().fold(String::with_capacity(64), |mut hex, byte| {
            // Writing to a String cannot fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }

    /// The declared tables, and their fields with an index.
    pub(crate) fn wanted_fields(&self) -> (Vec<Name>, Vec<WantedField>) {
        let wanted = self.tables.iter().flat_map(|(name, table)| {
            table.indexes.iter().map(|(field, is_unique)| WantedField {
                table: name.clone(),
                field: field.clone(),
                is_unique: *is_unique,
            })
        });
        (self.tables.keys().cloned().collect(), wanted.collect())
    }

    /// Which strategy holds where; `database_default` where the schema says nothing.
    pub(crate) fn strategies(&self, database_default: MergeStrategy) -> Strategies {
        Strategies { database: self.merge.clone().unwrap_or(database_default), tables: self.merges.clone() }
    }
}

/// Makes the store's indexes those of the schema and mends what is broken. Tells whether anything was
/// done. Tables that the schema no longer declares keep their rows and lose their indexes.
pub(crate) fn apply(tx: &Tx<'_>, schema: &Schema) -> Result<bool> {
    tx.engine()?;
    let (mut tables, wanted) = schema.wanted_fields();
    let undeclared = tx.tables()?.into_iter().filter(|table| !table.fields.is_empty());
    tables
        .extend(undeclared.map(|table| table.name.clone()).filter(|name| !schema.tables.contains_key(name)));
    let is_mended = tx.reconcile_fields(&tables, &wanted)? > 0;
    let fingerprint = schema.fingerprint();
    let is_known = tx.meta(keys::SCHEMA)?.is_some_and(|known| known == fingerprint);
    if !is_known {
        tx.set_meta(keys::SCHEMA, &fingerprint)?;
    }
    Ok(is_mended || !is_known)
}

#[cfg(test)]
mod tests;
