use std::io::Write;
use std::sync::Arc;

use parquet::basic::{Compression, ConvertedType, Repetition, Type as Physical};
use parquet::column::writer::ColumnWriterImpl;
use parquet::data_type::{ByteArray, ByteArrayType, DataType, FloatType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{ColumnPath, Type, TypePtr};
use simile_proto::v1::{self as wire};

use super::super::line::{Heading, MARK};
use super::{EXPIRES, ID, INDICES, PART, PAYLOAD, SPAN, TEXT, VALUES, VECTOR};
use crate::cli::documents::span_to_json;
use crate::cli::exit::CliError;
use crate::cli::value;
use crate::error::ErrorKind;

/// A group of rows is written when it has so many bytes.
const GROUP_BYTES: usize = 32 << 20;
/// Or so many rows.
const GROUP_ROWS: usize = 65_536;

/// A file that takes documents.
pub(in crate::cli::exchange) struct Table {
    writer: SerializedFileWriter<Box<dyn Write + Send>>,
    ids: Leaf<ByteArrayType>,
    parts: Leaf<Int32Type>,
    texts: Leaf<ByteArrayType>,
    spans: Leaf<ByteArrayType>,
    payloads: Leaf<ByteArrayType>,
    expiries: Leaf<Int64Type>,
    vectors: Vec<(String, Vector)>,
    bytes: usize,
}

/// The values of a column, and where they belong: how much of the path to each is there, and which
/// list goes on with it.
struct Leaf<T: DataType> {
    values: Vec<T::T>,
    definitions: Vec<i16>,
    repetitions: Vec<i16>,
}

enum Vector {
    Dense(Leaf<FloatType>),
    Sparse(Leaf<Int32Type>, Leaf<FloatType>),
    Multi(Leaf<FloatType>),
}

impl<T: DataType> Leaf<T> {
    fn new() -> Self {
        Self { values: Vec::new(), definitions: Vec::new(), repetitions: Vec::new() }
    }

    fn push(&mut self, definition: i16, repetition: i16, value: Option<T::T>) {
        self.definitions.push(definition);
        self.repetitions.push(repetition);
        self.values.extend(value);
    }

    fn required(&mut self, value: T::T) {
        self.push(0, 0, Some(value));
    }

    fn optional(&mut self, value: Option<T::T>) {
        self.push(i16::from(value.is_some()), 0, value);
    }

    /// Takes a list within an optional column, or none.
    fn list(&mut self, list: Option<impl IntoIterator<Item = T::T>>) {
        let Some(list) = list else { return self.push(0, 0, None) };
        let mut repetition = 0;
        for value in list {
            self.push(2, repetition, Some(value));
            repetition = 1;
        }
        if repetition == 0 {
            self.push(1, 0, None);
        }
    }

    /// Takes a list of lists within an optional column, or none.
    fn lists(&mut self, lists: Option<&[Vec<T::T>]>) {
        let Some(lists) = lists else { return self.push(0, 0, None) };
        if lists.is_empty() {
            return self.push(1, 0, None);
        }
        let mut repetition = 0;
        for list in lists {
            if list.is_empty() {
                self.push(2, repetition, None);
            }
            for value in list {
                self.push(3, repetition, Some(value.clone()));
                repetition = 2;
            }
            repetition = 1;
        }
    }

    /// Writes what was taken, with its levels where the column has them.
    fn write(
        &mut self,
        column: &mut ColumnWriterImpl<'_, T>,
        is_required: bool,
        is_flat: bool,
    ) -> Result<(), ParquetError> {
        let definitions = (!is_required).then_some(&self.definitions[..]);
        let repetitions = (!is_flat).then_some(&self.repetitions[..]);
        column.write_batch(&self.values, definitions, repetitions)?;
        self.values.clear();
        self.definitions.clear();
        self.repetitions.clear();
        Ok(())
    }
}

impl Table {
    /// Begins a file.
    pub(in crate::cli::exchange) fn new(
        out: Box<dyn Write + Send>,
        heading: &Heading,
        collection: &wire::Collection,
    ) -> Result<Self, CliError> {
        let vectors = collection.vectors.iter();
        let vectors = vectors.map(|(name, info)| (name.clone(), Vector::like(info)));
        let mut vectors: Vec<(String, Vector)> = vectors.collect();
        vectors.sort_by(|(one, _), (other, _)| one.cmp(other));
        let schema = schema(&vectors).map_err(failed)?;
        let mut properties = WriterProperties::builder()
            .set_created_by(concat!("simile ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_compression(Compression::ZSTD(parquet::basic::ZstdLevel::default()))
            .set_key_value_metadata(Some(vec![KeyValue::new(
                MARK.to_owned(),
                heading.to_json().to_string(),
            )]));
        for column in float_columns(&vectors) {
            // Components are all different and do not shrink.
            properties = properties
                .set_column_compression(column.clone(), Compression::UNCOMPRESSED)
                .set_column_dictionary_enabled(column.clone(), false)
                .set_column_statistics_enabled(column, EnabledStatistics::None);
        }
        let writer = SerializedFileWriter::new(out, schema, Arc::new(properties.build()));
        Ok(Self {
            writer: writer.map_err(failed)?,
            ids: Leaf::new(),
            parts: Leaf::new(),
            texts: Leaf::new(),
            spans: Leaf::new(),
            payloads: Leaf::new(),
            expiries: Leaf::new(),
            vectors,
            bytes: 0,
        })
    }

    /// Takes a document: a row for each of its parts, or one where it has none.
    pub(in crate::cli::exchange) fn take(
        &mut self,
        document: &wire::StoredDocument,
    ) -> Result<(), CliError> {
        let payload = value::fields_to_json(&document.payload).to_string();
        if document.parts.is_empty() {
            self.row(document, &payload, None);
        }
        for (number, part) in (0..).zip(&document.parts) {
            self.row(document, &payload, Some((number, part)));
        }
        if self.bytes >= GROUP_BYTES || self.ids.values.len() >= GROUP_ROWS {
            self.write_group().map_err(failed)?;
        }
        Ok(())
    }

    fn row(
        &mut self,
        document: &wire::StoredDocument,
        payload: &str,
        part: Option<(i32, &wire::Part)>,
    ) {
        self.ids.required(ByteArray::from(document.id.as_str()));
        self.parts.optional(part.map(|(number, _)| number));
        let part = part.map(|(_, part)| part);
        self.texts.optional(part.map(|part| ByteArray::from(part.text.as_str())));
        let span = part.and_then(|part| part.span.as_ref());
        self.spans.optional(
            span.map(|span| ByteArray::from(span_to_json(span).to_string().into_bytes())),
        );
        self.payloads.required(ByteArray::from(payload));
        self.expiries.optional(document.expires_unix_ms.and_then(|time| i64::try_from(time).ok()));
        self.bytes += document.id.len() + payload.len() + part.map_or(0, |part| part.text.len());
        for (name, vector) in &mut self.vectors {
            self.bytes += vector.take(name, part);
        }
    }

    fn write_group(&mut self) -> Result<(), ParquetError> {
        if self.ids.values.is_empty() {
            return Ok(());
        }
        let mut group = self.writer.next_row_group()?;
        macro_rules! column {
            ($leaf:expr, $type:ty, $is_required:expr, $is_flat:expr) => {
                let column = group.next_column()?;
                let mut column = column.ok_or_else(|| lacking("a column"))?;
                $leaf.write(column.typed::<$type>(), $is_required, $is_flat)?;
                column.close()?;
            };
        }
        column!(self.ids, ByteArrayType, true, true);
        column!(self.parts, Int32Type, false, true);
        column!(self.texts, ByteArrayType, false, true);
        column!(self.spans, ByteArrayType, false, true);
        column!(self.payloads, ByteArrayType, true, true);
        column!(self.expiries, Int64Type, false, true);
        for (_, vector) in &mut self.vectors {
            match vector {
                Vector::Dense(leaf) | Vector::Multi(leaf) => {
                    column!(leaf, FloatType, false, false);
                }
                Vector::Sparse(indices, values) => {
                    column!(indices, Int32Type, false, false);
                    column!(values, FloatType, false, false);
                }
            }
        }
        group.close()?;
        self.bytes = 0;
        Ok(())
    }

    /// Writes what is left, and the end of the file.
    pub(in crate::cli::exchange) fn finish(mut self) -> Result<(), CliError> {
        self.write_group().map_err(failed)?;
        let mut out = self.writer.into_inner().map_err(failed)?;
        Ok(out.flush()?)
    }
}

impl Vector {
    fn like(info: &wire::VectorInfo) -> Self {
        match (info.sparse, info.multi) {
            (true, _) => Self::Sparse(Leaf::new(), Leaf::new()),
            (_, true) => Self::Multi(Leaf::new()),
            (false, false) => Self::Dense(Leaf::new()),
        }
    }

    /// Takes what a part has under a name; returns about how many bytes that is.
    fn take(&mut self, name: &str, part: Option<&wire::Part>) -> usize {
        match self {
            Self::Dense(leaf) => {
                let vector = part.and_then(|part| part.vectors.get(name));
                leaf.list(vector.map(|vector| vector.components.iter().copied()));
                8 * vector.map_or(0, |vector| vector.components.len())
            }
            Self::Sparse(indices, values) => {
                let vector = part.and_then(|part| part.sparse_vectors.get(name));
                indices.list(vector.map(|vector| vector.indices.iter().map(|&i| i.cast_signed())));
                values.list(vector.map(|vector| vector.values.iter().copied()));
                16 * vector.map_or(0, |vector| vector.indices.len())
            }
            Self::Multi(leaf) => {
                let vector = part.and_then(|part| part.multi_vectors.get(name));
                let rows = vector.map(|vector| {
                    let rows = vector.vectors.iter().map(|row| row.components.clone());
                    rows.collect::<Vec<_>>()
                });
                leaf.lists(rows.as_deref());
                8 * rows.iter().flatten().map(Vec::len).sum::<usize>()
            }
        }
    }
}

fn schema(vectors: &[(String, Vector)]) -> Result<TypePtr, ParquetError> {
    let (optional, required) = (Repetition::OPTIONAL, Repetition::REQUIRED);
    let text =
        |name, repetition| primitive(name, Physical::BYTE_ARRAY, repetition, ConvertedType::UTF8);
    let mut fields = vec![
        text(ID, required)?,
        primitive(PART, Physical::INT32, optional, ConvertedType::NONE)?,
        text(TEXT, optional)?,
        text(SPAN, optional)?,
        text(PAYLOAD, required)?,
        primitive(EXPIRES, Physical::INT64, optional, ConvertedType::NONE)?,
    ];
    let float = || primitive("element", Physical::FLOAT, Repetition::REQUIRED, ConvertedType::NONE);
    for (name, vector) in vectors {
        let name = &format!("{VECTOR}{name}");
        fields.push(match vector {
            Vector::Dense(_) => list(name, optional, float()?)?,
            Vector::Multi(_) => list(name, optional, list("element", required, float()?)?)?,
            Vector::Sparse(..) => {
                let index =
                    primitive("element", Physical::INT32, required, ConvertedType::UINT_32)?;
                let parts =
                    vec![list(INDICES, required, index)?, list(VALUES, required, float()?)?];
                let group = Type::group_type_builder(name).with_repetition(optional);
                Arc::new(group.with_fields(parts).build()?)
            }
        });
    }
    Ok(Arc::new(Type::group_type_builder("parts").with_fields(fields).build()?))
}

fn primitive(
    name: &str,
    physical: Physical,
    repetition: Repetition,
    converted: ConvertedType,
) -> Result<TypePtr, ParquetError> {
    let builder = Type::primitive_type_builder(name, physical).with_repetition(repetition);
    Ok(Arc::new(builder.with_converted_type(converted).build()?))
}

fn list(name: &str, repetition: Repetition, element: TypePtr) -> Result<TypePtr, ParquetError> {
    let repeated = Type::group_type_builder("list").with_repetition(Repetition::REPEATED);
    let repeated = Arc::new(repeated.with_fields(vec![element]).build()?);
    let outer = Type::group_type_builder(name).with_repetition(repetition);
    let outer = outer.with_converted_type(ConvertedType::LIST).with_fields(vec![repeated]);
    Ok(Arc::new(outer.build()?))
}

/// Returns the paths of the columns of components.
fn float_columns(vectors: &[(String, Vector)]) -> Vec<ColumnPath> {
    let path = |(name, vector): &(String, Vector)| {
        let mut path = vec![format!("{VECTOR}{name}")];
        path.extend(match vector {
            Vector::Dense(_) => ["list", "element"].map(str::to_owned).to_vec(),
            Vector::Sparse(..) => [VALUES, "list", "element"].map(str::to_owned).to_vec(),
            Vector::Multi(_) => ["list", "element", "list", "element"].map(str::to_owned).to_vec(),
        });
        ColumnPath::new(path)
    };
    vectors.iter().map(path).collect()
}

fn lacking(what: &str) -> ParquetError {
    ParquetError::General(format!("the schema has no more place for {what}"))
}

fn failed(error: ParquetError) -> CliError {
    match error {
        ParquetError::External(source) => {
            CliError::local(ErrorKind::Unavailable, format!("cannot write the table: {source}"))
        }
        error => CliError::local(ErrorKind::Internal, format!("cannot write the table: {error}")),
    }
}
