use std::collections::{BTreeMap, HashMap};

use simile_proto::v1::{self as wire, value::Kind};

use super::WireError;
use crate::document::{
    DocumentId, PAYLOAD_DEPTH_MAX, Payload, PayloadError, Span, Value, check_payload,
};
use crate::picture::Area;
use crate::vector::{DenseVector, MultiVector, SparseVector, Vector, VectorError};

/// Returns the fields as a checked payload.
pub(in crate::server) fn payload(
    fields: HashMap<String, wire::Value>,
) -> Result<Payload, WireError> {
    let payload = object(fields, "", 1)?;
    check_payload(&payload)?;
    Ok(payload)
}

fn object(
    fields: HashMap<String, wire::Value>,
    path: &str,
    depth: usize,
) -> Result<BTreeMap<String, Value>, WireError> {
    fields
        .into_iter()
        .map(|(name, field)| {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            Ok((name, value(field, &path, depth)?))
        })
        .collect()
}

/// The recursion is bounded here, since the rules for payloads are applied to what it returns.
fn value(value_: wire::Value, path: &str, depth: usize) -> Result<Value, WireError> {
    if depth > PAYLOAD_DEPTH_MAX {
        return Err(PayloadError::TooDeep(path.to_owned()).into());
    }
    Ok(match value_.kind {
        None | Some(Kind::Null(_)) => Value::Null,
        Some(Kind::Boolean(boolean)) => Value::Boolean(boolean),
        Some(Kind::Integer(integer)) => Value::Integer(integer),
        Some(Kind::Float(float)) => Value::Float(float),
        Some(Kind::Text(text)) => Value::Text(text),
        Some(Kind::Array(array)) => {
            let values = array.values.into_iter().map(|element| value(element, path, depth + 1));
            Value::Array(values.collect::<Result<_, _>>()?)
        }
        Some(Kind::Object(fields)) => Value::Object(object(fields.fields, path, depth + 1)?),
    })
}

/// Returns a payload as it travels.
pub(in crate::server) fn payload_to_wire(payload: Payload) -> HashMap<String, wire::Value> {
    payload.into_iter().map(|(name, value)| (name, value_to_wire(value))).collect()
}

/// Returns a value as it travels.
pub(in crate::server) fn value_to_wire(value: Value) -> wire::Value {
    let kind = match value {
        Value::Null => Kind::Null(true),
        Value::Boolean(boolean) => Kind::Boolean(boolean),
        Value::Integer(integer) => Kind::Integer(integer),
        Value::Float(float) => Kind::Float(float),
        Value::Text(text) => Kind::Text(text),
        Value::Array(values) => {
            Kind::Array(wire::Array { values: values.into_iter().map(value_to_wire).collect() })
        }
        Value::Object(fields) => Kind::Object(wire::Object { fields: payload_to_wire(fields) }),
    };
    wire::Value { kind: Some(kind) }
}

/// Returns the place in an order that a page before ended at.
pub(in crate::server) fn cursor(text: &str) -> Result<(Value, DocumentId), WireError> {
    serde_json::from_str(text).map_err(|_| WireError::Cursor)
}

/// Returns the place in an order as it travels.
pub(in crate::server) fn cursor_to_wire(place: &(Value, DocumentId)) -> String {
    // A scalar and a text, which JSON can always hold.
    serde_json::to_string(place).unwrap_or_default()
}

/// Returns the text as a checked id.
pub(in crate::server) fn document_id(id: String) -> Result<DocumentId, WireError> {
    Ok(DocumentId::new(id)?)
}

/// Returns the texts as checked ids.
pub(in crate::server) fn document_ids(ids: Vec<String>) -> Result<Vec<DocumentId>, WireError> {
    ids.into_iter().map(document_id).collect()
}

/// Returns the vector, checked; `name` is for the error.
pub(in crate::server) fn dense_vector(
    name: &str,
    vector: wire::DenseVector,
) -> Result<DenseVector, WireError> {
    DenseVector::new(vector.components)
        .map_err(|source: VectorError| WireError::Vector { name: name.to_owned(), source })
}

/// Returns the vector, checked; `name` is for the error.
pub(in crate::server) fn sparse_vector(
    name: &str,
    vector: wire::SparseVector,
) -> Result<SparseVector, WireError> {
    SparseVector::new(vector.indices, vector.values)
        .map_err(|source: VectorError| WireError::Vector { name: name.to_owned(), source })
}

/// Returns the vectors as one, checked; `name` is for the error.
pub(in crate::server) fn multi_vector(
    name: &str,
    vector: wire::MultiVector,
) -> Result<MultiVector, WireError> {
    let rows = vector.vectors.into_iter().map(|row| row.components).collect();
    MultiVector::from_rows(rows)
        .map_err(|source: VectorError| WireError::Vector { name: name.to_owned(), source })
}

/// Vectors as they travel, by name: dense, sparse, and several to a part.
#[derive(Debug, Default, PartialEq)]
pub(in crate::server) struct WireVectors {
    pub(in crate::server) dense: HashMap<String, wire::DenseVector>,
    pub(in crate::server) sparse: HashMap<String, wire::SparseVector>,
    pub(in crate::server) multi: HashMap<String, wire::MultiVector>,
}

/// Returns named vectors, checked.
pub(in crate::server) fn vectors(
    WireVectors { dense, sparse, multi }: WireVectors,
) -> Result<BTreeMap<String, Vector>, WireError> {
    let mut vectors = BTreeMap::new();
    for (name, vector) in dense {
        let vector = dense_vector(&name, vector)?;
        vectors.insert(name, Vector::from(vector));
    }
    for (name, vector) in sparse {
        let vector = sparse_vector(&name, vector)?;
        if vectors.insert(name.clone(), Vector::from(vector)).is_some() {
            return Err(WireError::BothForms(name));
        }
    }
    for (name, vector) in multi {
        let vector = multi_vector(&name, vector)?;
        if vectors.insert(name.clone(), Vector::from(vector)).is_some() {
            return Err(WireError::BothForms(name));
        }
    }
    Ok(vectors)
}

/// Returns several vectors as they travel.
pub(in crate::server) fn multi_to_wire(vector: &MultiVector) -> wire::MultiVector {
    let row = |row: &[f32]| wire::DenseVector { components: row.to_vec() };
    wire::MultiVector { vectors: vector.rows().map(row).collect() }
}

/// Returns named vectors as they travel.
pub(in crate::server) fn vectors_to_wire(vectors: BTreeMap<String, Vector>) -> WireVectors {
    let WireVectors { mut dense, mut sparse, mut multi } = WireVectors::default();
    for (name, vector) in vectors {
        match vector {
            Vector::Dense(vector) => {
                dense.insert(name, wire::DenseVector { components: vector.into_vec() });
            }
            Vector::Sparse(vector) => {
                let (indices, values) = (vector.indices().to_vec(), vector.values().to_vec());
                sparse.insert(name, wire::SparseVector { indices, values });
            }
            Vector::Multi(vector) => {
                multi.insert(name, multi_to_wire(&vector));
            }
        }
    }
    WireVectors { dense, sparse, multi }
}

/// Returns the span of a part; nothing stands for the whole document.
pub(super) fn span(span: Option<wire::Span>) -> Result<Option<Span>, WireError> {
    let Some(span) = span else { return Ok(None) };
    if span.start_ms.is_some() || span.end_ms.is_some() || span.area.is_some() {
        return media_span(span).map(Some);
    }
    if span.byte_end < span.byte_start {
        return Err(WireError::Span { start: span.byte_start, end: span.byte_end });
    }
    Ok(Some(Span::Text {
        bytes: span.byte_start..span.byte_end,
        page: span.page,
        heading: span.heading,
    }))
}

fn media_span(span: wire::Span) -> Result<Span, WireError> {
    if span.byte_end > 0 || span.page.is_some() || span.heading.is_some() {
        return Err(WireError::SpanOfBoth);
    }
    let time = match (span.start_ms, span.end_ms) {
        (None, None) => None,
        (Some(start), Some(end)) if start <= end => Some(start..end),
        (start, end) => {
            let (start, end) = (start.unwrap_or_default(), end.unwrap_or_default());
            return Err(WireError::SpanOfTime { start, end });
        }
    };
    let area = match span.area {
        None => None,
        Some(wire::Area { width, height, .. }) if width == 0 || height == 0 => {
            return Err(WireError::EmptyArea { width, height });
        }
        Some(wire::Area { left, top, width, height }) => Some(Area { left, top, width, height }),
    };
    Ok(Span::Media { time, area })
}

/// Returns a span as it travels; the whole document is no span.
pub(in crate::server) fn span_to_wire(span: Span) -> Option<wire::Span> {
    match span {
        Span::Whole => None,
        Span::Text { bytes, page, heading } => {
            let (byte_start, byte_end) = (bytes.start, bytes.end);
            Some(wire::Span { byte_start, byte_end, page, heading, ..wire::Span::default() })
        }
        Span::Media { time, area } => Some(wire::Span {
            start_ms: time.as_ref().map(|time| time.start),
            end_ms: time.as_ref().map(|time| time.end),
            area: area.map(|Area { left, top, width, height }| wire::Area {
                left,
                top,
                width,
                height,
            }),
            ..wire::Span::default()
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(depth: usize) -> wire::Value {
        let mut value = wire::Value { kind: Some(Kind::Integer(1)) };
        for _ in 0..depth {
            value = wire::Value { kind: Some(Kind::Array(wire::Array { values: vec![value] })) };
        }
        value
    }

    #[test]
    fn a_payload_comes_back_as_it_was() {
        let all = Payload::from([
            ("null".to_owned(), Value::Null),
            ("boolean".to_owned(), Value::Boolean(true)),
            ("integer".to_owned(), Value::Integer(i64::MIN)),
            ("float".to_owned(), Value::Float(0.5)),
            ("text".to_owned(), Value::Text("猫".to_owned())),
            ("list".to_owned(), Value::Array(vec![Value::Null, Value::Integer(1)])),
            ("object".to_owned(), {
                Value::Object(BTreeMap::from([("inner".to_owned(), Value::Float(-1.0))]))
            }),
        ]);
        assert_eq!(payload(payload_to_wire(all.clone())).unwrap(), all);
    }

    #[test]
    fn what_is_no_payload_is_refused_with_its_field() {
        let float = wire::Value { kind: Some(Kind::Float(f64::NAN)) };
        let cases = [
            ("a", float, "field `a` holds NaN"),
            ("a.b", nested(0), "a field name is not empty"),
            ("", nested(0), "a field name is not empty"),
            ("deep", nested(99), "field `deep` is nested deeper"),
        ];
        for (name, value, expected) in cases {
            let error = payload(HashMap::from([(name.to_owned(), value)])).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
    }

    #[test]
    fn a_vector_that_is_none_is_refused_by_name() {
        let wrong = wire::DenseVector { components: vec![1.0, f32::NAN] };
        let dense = HashMap::from([("image".to_owned(), wrong)]);
        let error = vectors(WireVectors { dense, ..WireVectors::default() }).unwrap_err();
        assert_eq!(
            error.to_string(),
            "vector `image`: component 1 is NaN, expected a finite number"
        );
    }

    #[test]
    fn a_vector_has_one_form_and_comes_back_as_it_was() {
        let dense = wire::DenseVector { components: vec![1.0, 2.0] };
        let sparse = wire::SparseVector { indices: vec![3, 9], values: vec![0.5, -1.0] };
        let dense = HashMap::from([("a".to_owned(), dense)]);
        let sparse = HashMap::from([("b".to_owned(), sparse)]);
        let row = |components: &[f32]| wire::DenseVector { components: components.to_vec() };
        let rows = wire::MultiVector { vectors: vec![row(&[1.0, 2.0]), row(&[3.0, 4.0])] };
        let multi = HashMap::from([("c".to_owned(), rows.clone())]);
        let all =
            || WireVectors { dense: dense.clone(), sparse: sparse.clone(), multi: multi.clone() };
        assert_eq!(vectors_to_wire(vectors(all()).unwrap()), all());
        let twice = HashMap::from([("a".to_owned(), wire::SparseVector::default())]);
        let error = vectors(WireVectors { sparse: twice, ..all() }).unwrap_err().to_string();
        assert_eq!(error, "vector `a` is given in two forms");
        let twice = HashMap::from([("a".to_owned(), rows)]);
        assert!(vectors(WireVectors { multi: twice, ..all() }).is_err());
    }

    #[test]
    fn a_span_that_ends_before_it_starts_is_refused() {
        let backward = wire::Span { byte_start: 9, byte_end: 3, ..Default::default() };
        assert!(span(Some(backward)).is_err());
        assert_eq!(span(None).unwrap(), None);
    }
}
