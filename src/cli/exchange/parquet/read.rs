use std::collections::{BTreeMap, HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use parquet::basic::{LogicalType, TimeUnit};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::reader::{ReaderIter, TreeBuilder};
use parquet::record::{Field, Row};
use simile_proto::v1::document::Content;
use simile_proto::v1::{self as wire};

use super::super::line::{Heading, MARK, span};
use super::value::{components, from_nanoseconds, integer, payload_value, several, sparse};
use super::{EXPIRES, ID, PART, PAYLOAD, SPAN, TEXT, VECTOR};
use crate::cli::exit::CliError;
use crate::cli::value;
use crate::error::ErrorKind;

/// What every file of the format begins and ends with.
pub(in crate::cli::exchange) const MAGIC: &[u8] = b"PAR1";
/// Rows of a file that are decoded at a time.
const ROWS: usize = 64;
/// What pandas calls the columns of an index without a name.
const INDEX_OF_PANDAS: &str = "__index_level_";
/// How much of the last words of a reader that gave up is passed on.
const REASON_BYTES_MAX: usize = 200;

/// Which columns of a file mean what, where somebody said so.
#[derive(Debug, Clone, Default)]
pub(in crate::cli::exchange) struct Columns {
    pub(in crate::cli::exchange) id: Option<String>,
    pub(in crate::cli::exchange) text: Option<String>,
    /// By the name of the vector.
    pub(in crate::cli::exchange) vectors: BTreeMap<String, String>,
}

/// The rows of a file, read in groups.
pub(in crate::cli::exchange) struct Rows {
    reader: Box<dyn FileReader>,
    heading: Option<Heading>,
    plan: Vec<Meaning>,
    /// Whether a document may have several rows.
    has_parts: bool,
    group: usize,
    rows: Option<ReaderIter>,
    waiting: VecDeque<wire::Document>,
    row: u64,
}

/// What a column is.
#[derive(Debug, Clone, PartialEq)]
enum Meaning {
    Id,
    Part,
    Text,
    Span,
    Payload,
    Expires,
    Vector(String, Kind),
    Field,
    /// A field that counts nanoseconds since 1970.
    Nanoseconds,
    Nothing,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Dense,
    Sparse,
    Multi,
}

impl Rows {
    /// Opens a file.
    pub(in crate::cli::exchange) fn open(path: &Path) -> Result<Self, CliError> {
        let file = fs_err::File::open(path)
            .map_err(|error| CliError::local(ErrorKind::NotFound, error.to_string()))?;
        let file = file.into_parts().0;
        let open = || Ok(Box::new(SerializedFileReader::new(file)?));
        let reader = contained(open).map_err(|reason| {
            CliError::usage(format!("{} is no table of Parquet: {reason}", path.display()))
        })?;
        let metadata = reader.metadata().file_metadata().key_value_metadata();
        let mark = metadata.into_iter().flatten().find(|entry| entry.key == MARK);
        let heading = mark.and_then(|entry| entry.value.as_ref()).map(|text| {
            let json = serde_json::from_str(text).map_err(|error| error.to_string())?;
            Heading::from_json(&json)
        });
        let heading = heading.transpose().map_err(|reason| {
            CliError::usage(format!("{}: what it says of itself: {reason}", path.display()))
        })?;
        Ok(Self {
            reader,
            heading: heading.flatten(),
            plan: Vec::new(),
            has_parts: false,
            group: 0,
            rows: None,
            waiting: VecDeque::new(),
            row: 0,
        })
    }

    pub(in crate::cli::exchange) fn heading(&self) -> Option<&Heading> {
        self.heading.as_ref()
    }

    /// Returns how many rows the file says that it has.
    pub(in crate::cli::exchange) fn total(&self) -> u64 {
        u64::try_from(self.reader.metadata().file_metadata().num_rows()).unwrap_or_default()
    }

    pub(in crate::cli::exchange) fn done(&self) -> u64 {
        self.row
    }

    /// Decides what the columns mean for a collection.
    pub(in crate::cli::exchange) fn plan(
        &mut self,
        columns: &Columns,
        collection: &wire::Collection,
    ) -> Result<(), CliError> {
        let metadata = self.reader.metadata();
        let schema = metadata.file_metadata().schema_descr_ptr();
        let fields = schema.root_schema().get_fields();
        let names: Vec<&str> = fields.iter().map(|field| field.name()).collect();
        let is_there = |name: &str| names.contains(&name);
        for wanted in columns.id.iter().chain(&columns.text).chain(columns.vectors.values()) {
            if !is_there(wanted) {
                return Err(no_column(wanted, &names, ""));
            }
        }
        if let Some(name) =
            columns.vectors.keys().find(|name| !collection.vectors.contains_key(*name))
        {
            let message = format!("collection `{}` has no vector `{name}`", collection.name);
            return Err(CliError::usage(message));
        }
        let id = columns.id.as_deref().unwrap_or(ID);
        if !is_there(id) {
            return Err(no_column(
                id,
                &names,
                "; --id-column says which one identifies a document",
            ));
        }
        // An export, or what was made of one.
        let is_export = self.heading.is_some() || (is_there(PART) && is_there(PAYLOAD));
        self.has_parts = is_export && is_there(PART);
        let text = columns.text.as_deref().unwrap_or(TEXT);
        let only = (collection.vectors.len() == 1).then(|| collection.vectors.keys().next());
        let vector = |column: &str| {
            let named = columns.vectors.iter().find(|(_, named)| *named == column);
            let name = named.map(|(name, _)| name.as_str()).or_else(|| {
                let name = column.strip_prefix(VECTOR).unwrap_or(column);
                let is_usual = ["vector", "embedding"].contains(&column);
                let only = only.flatten().filter(|_| is_usual);
                let found = collection.vectors.get_key_value(name).map(|(name, _)| name);
                let is_free = |name: &&String| !columns.vectors.contains_key(*name);
                found.or(only).filter(is_free).map(String::as_str)
            })?;
            let info = collection.vectors.get(name)?;
            let kind = match (info.sparse, info.multi) {
                (true, _) => Kind::Sparse,
                (_, true) => Kind::Multi,
                (false, false) => Kind::Dense,
            };
            Some(Meaning::Vector(name.to_owned(), kind))
        };
        let meaning = |field: &parquet::schema::types::TypePtr| {
            let name = field.name();
            // A vector may have the name of a column of texts.
            let vector = if field.is_group() { vector(name) } else { None };
            match name {
                name if name == id => Meaning::Id,
                _ if vector.is_some() => vector.unwrap_or(Meaning::Nothing),
                name if name == text => Meaning::Text,
                PART if is_export => Meaning::Part,
                SPAN if is_export => Meaning::Span,
                PAYLOAD if is_export => Meaning::Payload,
                EXPIRES => Meaning::Expires,
                name if name.starts_with(INDEX_OF_PANDAS) => Meaning::Nothing,
                _ => match field.get_basic_info().logical_type_ref() {
                    Some(LogicalType::Timestamp(time)) if time.unit == TimeUnit::NANOS => {
                        Meaning::Nanoseconds
                    }
                    _ => Meaning::Field,
                },
            }
        };
        self.plan = fields.iter().map(meaning).collect();
        Ok(())
    }

    /// Returns the next document.
    pub(in crate::cli::exchange) fn next(&mut self) -> Result<Option<wire::Document>, CliError> {
        loop {
            // Rows of one document follow one another: the last may still grow.
            if self.waiting.len() > 1 {
                return Ok(self.waiting.pop_front());
            }
            let Some(row) = self.next_row()? else { return Ok(self.waiting.pop_front()) };
            let (document, is_more) = self.document(row).map_err(|reason| self.wrong(&reason))?;
            match self.waiting.back_mut() {
                Some(last) if is_more && self.has_parts && last.id == document.id => {
                    join(last, document);
                }
                _ => self.waiting.push_back(document),
            }
        }
    }

    fn next_row(&mut self) -> Result<Option<Row>, CliError> {
        loop {
            if let Some(rows) = &mut self.rows {
                let row = contained(|| rows.next().transpose());
                match row.map_err(|reason| self.wrong(&reason))? {
                    Some(row) => {
                        self.row += 1;
                        return Ok(Some(row));
                    }
                    None => self.rows = None,
                }
            }
            if self.group >= self.reader.num_row_groups() {
                return Ok(None);
            }
            let (reader, number) = (&self.reader, self.group);
            let schema = reader.metadata().file_metadata().schema_descr_ptr();
            let rows = contained(|| {
                let group = reader.get_row_group(number)?;
                TreeBuilder::new().with_batch_size(ROWS).as_iter(schema, &*group)
            });
            self.rows = Some(rows.map_err(|reason| self.wrong(&reason))?);
            self.group += 1;
        }
    }

    /// Returns the document of a row, and whether it is a further part.
    fn document(&self, row: Row) -> Result<(wire::Document, bool), String> {
        let (mut id, mut payload, mut part) = (None, HashMap::new(), wire::Part::default());
        let (mut number, mut expires_unix_ms, mut has_text) = (None, None, false);
        for ((name, field), meaning) in row.into_columns().into_iter().zip(&self.plan) {
            let wrong = |reason: String| format!("column `{name}`: {reason}");
            if matches!(field, Field::Null) {
                continue;
            }
            match meaning {
                Meaning::Id => {
                    id = Some(match &field {
                        Field::Str(id) => id.clone(),
                        other => {
                            let integer = integer(other);
                            let integer = integer.ok_or("expected a text or an integer".to_owned());
                            integer.map_err(wrong)?.to_string()
                        }
                    });
                }
                Meaning::Part => number = integer(&field),
                Meaning::Text => match field {
                    Field::Str(text) => (part.text, has_text) = (text, true),
                    _ => return Err(wrong("expected a text".to_owned())),
                },
                Meaning::Span => part.span = span(&json(&field).map_err(wrong)?)?,
                Meaning::Payload => {
                    let json = json(&field).map_err(wrong)?;
                    let fields = json.as_object().ok_or("expected an object".to_owned());
                    for (name, field) in fields.map_err(wrong)? {
                        let value = value::to_wire(field).map_err(|error| error.to_string())?;
                        payload.insert(name.clone(), value);
                    }
                }
                Meaning::Expires => {
                    let time = integer(&field).and_then(|time| u64::try_from(time).ok());
                    let time = time.ok_or("expected milliseconds since 1970".to_owned());
                    expires_unix_ms = Some(time.map_err(wrong)?);
                }
                Meaning::Vector(vector, Kind::Dense) => {
                    let components = components(&field).map_err(wrong)?;
                    part.vectors.insert(vector.clone(), wire::DenseVector { components });
                }
                Meaning::Vector(vector, Kind::Sparse) => {
                    let entries = sparse(&field).map_err(wrong)?;
                    part.sparse_vectors.insert(vector.clone(), entries);
                }
                Meaning::Vector(vector, Kind::Multi) => {
                    let vectors = several(&field).map_err(wrong)?;
                    part.multi_vectors.insert(vector.clone(), vectors);
                }
                Meaning::Nanoseconds => {
                    let time = integer(&field).ok_or("expected a time".to_owned());
                    let value = time.and_then(from_nanoseconds).map_err(wrong)?;
                    payload.insert(name, value);
                }
                Meaning::Field => {
                    let value = payload_value(&field).map_err(wrong)?;
                    payload.extend(value.map(|value| (name, value)));
                }
                Meaning::Nothing => {}
            }
        }
        let has_vectors = !part.vectors.is_empty()
            || !part.sparse_vectors.is_empty()
            || !part.multi_vectors.is_empty();
        let content = if self.has_parts {
            let parts = if number.is_some() { vec![part] } else { Vec::new() };
            Content::Parts(wire::PartList { parts })
        } else if has_text && !has_vectors {
            Content::Text(part.text)
        } else {
            Content::Parts(wire::PartList { parts: vec![part] })
        };
        let document = wire::Document {
            id: id.ok_or("a row has no id")?,
            payload,
            content: Some(content),
            expires_unix_ms,
            ..wire::Document::default()
        };
        Ok((document, number.is_some_and(|number| number > 0)))
    }

    fn wrong(&self, reason: &str) -> CliError {
        CliError::usage(format!("row {}: {reason}", self.row))
    }
}

fn no_column(name: &str, names: &[&str], hint: &str) -> CliError {
    CliError::usage(format!("the table has no column `{name}`, but {}{hint}", names.join(", ")))
}

fn json(field: &Field) -> Result<serde_json::Value, String> {
    match field {
        Field::Str(text) => serde_json::from_str(text).map_err(|error| error.to_string()),
        _ => Err("expected JSON as text".to_owned()),
    }
}

/// Adds the parts of a row to the document that it goes on with.
fn join(document: &mut wire::Document, more: wire::Document) {
    if let (Some(Content::Parts(list)), Some(Content::Parts(more))) =
        (&mut document.content, more.content)
    {
        list.parts.extend(more.parts);
    }
}

/// Runs a step of the reader; if it panics, that is an error of the file.
fn contained<T>(work: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(done) => done.map_err(|error| error.to_string()),
        Err(panic) => {
            let reason = panic.downcast_ref::<String>().map(String::as_str);
            let reason = reason.or_else(|| panic.downcast_ref::<&str>().copied());
            let reason = reason.unwrap_or("without a reason");
            let end = reason.floor_char_boundary(REASON_BYTES_MAX);
            Err(format!("the file is damaged ({})", &reason[..end]))
        }
    }
}
