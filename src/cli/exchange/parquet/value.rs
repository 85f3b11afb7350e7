//! What a cell of a table holds, as it travels.

use parquet::data_type::Decimal;
use parquet::record::Field;
use simile_proto::v1::{self as wire, value::Kind};

/// Returns a payload value; nothing where a cell holds none. A float that is not a number is none.
pub(super) fn payload_value(field: &Field) -> Result<Option<wire::Value>, String> {
    let time = |time: Result<jiff::Timestamp, jiff::Error>| {
        time.map(|time| Kind::Text(time.to_string())).map_err(|error| error.to_string())
    };
    let kind = match field {
        Field::Null => return Ok(None),
        Field::Bool(boolean) => Kind::Boolean(*boolean),
        Field::Str(text) => Kind::Text(text.clone()),
        Field::Bytes(_) => return Err("bytes are no payload value".to_owned()),
        Field::ULong(number) => {
            let integer = i64::try_from(*number);
            Kind::Integer(integer.map_err(|_| format!("{number} is no 64-bit integer"))?)
        }
        Field::Date(days) => {
            let day = jiff::civil::date(1970, 1, 1)
                .checked_add(jiff::Span::new().try_days(*days).map_err(|error| error.to_string())?);
            Kind::Text(day.map_err(|error| error.to_string())?.to_string())
        }
        Field::TimeMillis(time) => Kind::Text(clock(i64::from(*time) * 1_000)?),
        Field::TimeMicros(time) => Kind::Text(clock(*time)?),
        Field::TimestampMillis(at) => time(jiff::Timestamp::from_millisecond(*at))?,
        Field::TimestampMicros(at) => time(jiff::Timestamp::from_microsecond(*at))?,
        Field::Decimal(decimal) => float(decimal_value(decimal)?)?,
        Field::Group(row) => {
            let mut fields = std::collections::HashMap::new();
            for (name, field) in row.get_column_iter() {
                fields.extend(payload_value(field)?.map(|value| (name.clone(), value)));
            }
            Kind::Object(wire::Object { fields })
        }
        Field::ListInternal(list) => {
            let values =
                list.elements().iter().map(|field| Ok(payload_value(field)?.unwrap_or(NULL)));
            Kind::Array(wire::Array { values: values.collect::<Result<_, String>>()? })
        }
        Field::MapInternal(map) => {
            let mut fields = std::collections::HashMap::new();
            for (key, field) in map.entries() {
                fields.extend(payload_value(field)?.map(|value| (key_text(key), value)));
            }
            Kind::Object(wire::Object { fields })
        }
        number => match (integer(number), component(number)) {
            (Some(integer), _) => Kind::Integer(integer),
            (None, Some(number)) if number.is_nan() => return Ok(None),
            (None, Some(number)) => float(number)?,
            (None, None) => return Err("a value of a type that is not known".to_owned()),
        },
    };
    Ok(Some(wire::Value { kind: Some(kind) }))
}

const NULL: wire::Value = wire::Value { kind: Some(Kind::Null(true)) };

fn float(number: f64) -> Result<Kind, String> {
    if !number.is_finite() {
        return Err(format!("{number} is no finite number"));
    }
    Ok(Kind::Float(number))
}

/// Returns a time of the day, of microseconds since midnight.
fn clock(microseconds: i64) -> Result<String, String> {
    let span =
        jiff::Span::new().try_microseconds(microseconds).map_err(|error| error.to_string())?;
    let time = jiff::civil::Time::midnight().checked_add(span);
    time.map(|time| time.to_string()).map_err(|error| error.to_string())
}

/// Returns a timestamp that a column counts in nanoseconds.
pub(super) fn from_nanoseconds(nanoseconds: i64) -> Result<wire::Value, String> {
    let time = jiff::Timestamp::from_nanosecond(i128::from(nanoseconds));
    let time = time.map_err(|error| error.to_string())?;
    Ok(wire::Value { kind: Some(Kind::Text(time.to_string())) })
}

fn decimal_value(decimal: &Decimal) -> Result<f64, String> {
    let bytes = decimal.data();
    if bytes.len() > 16 {
        return Err(format!("a decimal has {} bytes, expected at most 16", bytes.len()));
    }
    let sign = if bytes.first().is_some_and(|first| first & 0x80 != 0) { -1_i128 } else { 0 };
    let unscaled = bytes.iter().fold(sign, |number, byte| number << 8 | i128::from(*byte));
    Ok(unscaled as f64 / 10_f64.powi(decimal.scale()))
}

/// Returns what a cell of integers holds.
pub(super) fn integer(field: &Field) -> Option<i64> {
    Some(match field {
        Field::Byte(number) => i64::from(*number),
        Field::Short(number) => i64::from(*number),
        Field::Int(number) => i64::from(*number),
        Field::Long(number) => *number,
        Field::UByte(number) => i64::from(*number),
        Field::UShort(number) => i64::from(*number),
        Field::UInt(number) => i64::from(*number),
        Field::ULong(number) => i64::try_from(*number).ok()?,
        _ => return None,
    })
}

/// Returns the number of a cell, if it holds one.
pub(super) fn component(field: &Field) -> Option<f64> {
    match field {
        Field::Float(number) => Some(f64::from(*number)),
        Field::Double(number) => Some(*number),
        Field::Float16(number) => Some(f64::from(*number)),
        Field::Decimal(decimal) => decimal_value(decimal).ok(),
        other => integer(other).map(|number| number as f64),
    }
}

fn key_text(key: &Field) -> String {
    match key {
        Field::Str(text) => text.clone(),
        other => integer(other).map_or_else(|| other.to_string(), |number| number.to_string()),
    }
}

/// Returns the components of a list of numbers.
pub(super) fn components(field: &Field) -> Result<Vec<f32>, String> {
    let Field::ListInternal(list) = field else {
        return Err("expected a list of numbers".to_owned());
    };
    #[expect(clippy::cast_possible_truncation, reason = "a component is single precision")]
    let number = |field: &Field| component(field).map(|number| number as f32);
    let components = list.elements().iter().map(number).collect::<Option<_>>();
    components.ok_or_else(|| "a component is missing, or no number".to_owned())
}

/// Returns the vectors of a list of lists.
pub(super) fn several(field: &Field) -> Result<wire::MultiVector, String> {
    let Field::ListInternal(list) = field else {
        return Err("expected a list of lists of numbers".to_owned());
    };
    let row = |row| Ok(wire::DenseVector { components: components(row)? });
    let vectors = list.elements().iter().map(row).collect::<Result<_, String>>()?;
    Ok(wire::MultiVector { vectors })
}

/// Returns the entries of a struct of indices and values, or of a map of weights by index.
pub(super) fn sparse(field: &Field) -> Result<wire::SparseVector, String> {
    let index = |field: &Field| integer(field).and_then(|index| u32::try_from(index).ok());
    let wrong = || "an index is missing, or no whole number from 0 to 4294967295".to_owned();
    match field {
        Field::Group(row) => {
            let find = |wanted: &str| {
                let found = row.get_column_iter().find(|(name, _)| *name == wanted);
                found.map(|(_, field)| field).ok_or_else(|| format!("it has no `{wanted}`"))
            };
            let Field::ListInternal(list) = find(super::INDICES)? else {
                return Err("expected a list of indices".to_owned());
            };
            let indices = list.elements().iter().map(index).collect::<Option<_>>();
            let values = components(find(super::VALUES)?)?;
            Ok(wire::SparseVector { indices: indices.ok_or_else(wrong)?, values })
        }
        Field::MapInternal(map) => {
            let mut entries = Vec::with_capacity(map.len());
            for (key, weight) in map.entries() {
                let weight = component(weight).ok_or("a weight is missing, or no number")?;
                entries.push((index(key).ok_or_else(wrong)?, weight));
            }
            entries.sort_unstable_by_key(|(index, _)| *index);
            #[expect(clippy::cast_possible_truncation, reason = "a weight is single precision")]
            let values = entries.iter().map(|(_, weight)| *weight as f32).collect();
            let indices = entries.iter().map(|(index, _)| *index).collect();
            Ok(wire::SparseVector { indices, values })
        }
        _ => Err("expected a struct of indices and values, or a map".to_owned()),
    }
}
