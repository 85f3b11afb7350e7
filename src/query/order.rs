use std::cmp::Ordering;

use crate::document::{FieldPath, Payload, Scalar, Value, parse_datetime, values_at};

/// Documents in the order of the values of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderBy {
    /// The field.
    pub path: FieldPath,
    /// Which end comes first.
    pub direction: Direction,
}

/// Which end of an order comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// The least.
    #[default]
    Ascending,
    /// The greatest.
    Descending,
}

/// A value by which documents are ordered: false, true, numbers, points in time, other texts by
/// their letters' code points.
#[derive(Debug, Clone, PartialEq)]
pub struct OrderKey(Scalar);

impl Eq for OrderKey {}

impl PartialOrd for OrderKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for OrderKey {
    fn cmp(&self, other: &Self) -> Ordering {
        let kinds = kind(&self.0).cmp(&kind(&other.0));
        kinds.then_with(|| self.0.compare(&other.0).unwrap_or(Ordering::Equal))
    }
}

impl OrderKey {
    /// Returns the key of a value; none for null, lists and objects.
    pub fn of(value: &Value) -> Option<Self> {
        Some(Self(match value {
            Value::Null | Value::Array(_) | Value::Object(_) => return None,
            Value::Boolean(value) => Scalar::Boolean(*value),
            Value::Integer(value) => Scalar::Integer(*value),
            Value::Float(value) => Scalar::Float(*value),
            Value::Text(text) => match parse_datetime(text) {
                Some(time) => Scalar::Datetime(time),
                None => Scalar::Text(text.clone()),
            },
        }))
    }
}

impl OrderBy {
    /// Compares two documents by their keys, as the direction says.
    pub fn compare(&self, a: &OrderKey, b: &OrderKey) -> Ordering {
        match self.direction {
            Direction::Ascending => a.cmp(b),
            Direction::Descending => b.cmp(a),
        }
    }
}

/// Returns the value by which a document is ordered and its key: of several, the one that comes
/// first. None for a document without a value.
pub fn order_key(payload: &Payload, order: &OrderBy) -> Option<(OrderKey, Value)> {
    let values = values_at(payload, &order.path.0).into_iter();
    let keyed = values.filter_map(|value| Some((OrderKey::of(&value)?, value)));
    keyed.min_by(|a, b| order.compare(&a.0, &b.0))
}

fn kind(scalar: &Scalar) -> u8 {
    match scalar {
        Scalar::Boolean(_) => 0,
        Scalar::Integer(_) | Scalar::Float(_) => 1,
        Scalar::Datetime(_) => 2,
        Scalar::Text(_) => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_all_types_have_one_order() {
        let text = |text: &str| Value::Text(text.to_owned());
        let ascending = [
            Value::Boolean(false),
            Value::Boolean(true),
            Value::Float(-2.5),
            Value::Integer(3),
            Value::Float(3.5),
            text("1999-01-01"),
            text("2024-01-31T00:00:00Z"),
            text("a"),
            text("b"),
        ];
        let keys: Vec<OrderKey> = ascending.iter().filter_map(OrderKey::of).collect();
        assert_eq!(keys.len(), ascending.len());
        assert!(keys.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!(OrderKey::of(&Value::Null), None);
    }

    #[test]
    fn of_several_values_the_first_in_the_order_counts() {
        let list = Value::Array(vec![Value::Integer(5), Value::Null, Value::Integer(2)]);
        let payload = Payload::from([("a".to_owned(), list)]);
        let of = |direction| {
            let order = OrderBy { path: FieldPath("a".into()), direction };
            order_key(&payload, &order).unwrap().1
        };
        assert_eq!(of(Direction::Ascending), Value::Integer(2));
        assert_eq!(of(Direction::Descending), Value::Integer(5));
    }
}
