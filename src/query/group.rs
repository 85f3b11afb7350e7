use std::collections::HashMap;

use crate::document::{FieldPath, Value, values_at};

/// Hits grouped by the values of a field. A document with several values is in several groups, one
/// with none in none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupBy {
    /// The field.
    pub path: FieldPath,
    /// The most hits of a group, at least 1.
    pub size: usize,
}

/// Collects hits, which come best first, into groups.
#[derive(Debug)]
pub struct Groups {
    groups_max: usize,
    size: usize,
    places: HashMap<String, usize>,
    groups: Vec<(Value, Vec<usize>)>,
}

impl Groups {
    /// Returns a collector of at most so many groups of at most so many hits.
    pub fn new(groups_max: usize, size: usize) -> Self {
        Self { groups_max, size, places: HashMap::new(), groups: Vec::new() }
    }

    /// Adds a hit by its number to the groups of its values.
    pub fn add(&mut self, number: usize, payload: &crate::document::Payload, path: &FieldPath) {
        for value in values_at(payload, &path.0) {
            let next = self.groups.len();
            let place = *self.places.entry(value.to_key()).or_insert(next);
            if place == next {
                self.groups.push((value, Vec::new()));
            }
            if let Some((_, hits)) = self.groups.get_mut(place)
                && hits.len() < self.size
            {
                hits.push(number);
            }
        }
    }

    /// Returns whether no further hit can change the groups that are wanted.
    pub fn is_full(&self) -> bool {
        let wanted = self.groups.get(..self.groups_max);
        wanted.is_some_and(|groups| groups.iter().all(|(_, hits)| hits.len() >= self.size))
    }

    /// Returns the groups, each with its hits by number, in the order of their best hits.
    pub fn finish(mut self) -> Vec<(Value, Vec<usize>)> {
        self.groups.truncate(self.groups_max);
        self.groups
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Payload;

    #[test]
    fn groups_stand_in_the_order_of_their_best_hits() {
        let path = FieldPath("tag".into());
        let tags = |tags: &[&str]| {
            let tags = tags.iter().map(|tag| Value::Text((*tag).to_owned())).collect();
            Payload::from([("tag".to_owned(), Value::Array(tags))])
        };
        let mut groups = Groups::new(2, 2);
        let hits =
            [tags(&["b"]), tags(&[]), tags(&["a", "b", "a"]), tags(&["b", "c"]), tags(&["a"])];
        for (number, payload) in hits.iter().enumerate() {
            assert!(!groups.is_full(), "before hit {number}");
            groups.add(number, payload, &path);
        }
        assert!(groups.is_full());
        let text = |text: &str| Value::Text(text.to_owned());
        assert_eq!(groups.finish(), [(text("b"), vec![0, 2]), (text("a"), vec![2, 4])]);
    }
}
