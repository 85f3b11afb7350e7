//! One vector takes the name of another: how a collection goes over to another embedder at one moment, once
//! the other vector is made of everything.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::error::Error;
use super::open::Collection;
use super::settings::Settings;

/// The numbers of the vectors by name, at the moment when something was made for them.
pub(super) type Numbers = Arc<BTreeMap<String, u16>>;

impl Collection {
    /// Lets the vector `by` take the name of another one, which is dropped: whoever asks for the name from
    /// now on asks what `by` was. What was made for the old one and comes too late is refused.
    ///
    /// # Errors
    /// Invalid input if there is no such vector, one of them has no embedder, or `by` is not made of
    /// everything yet; the collection takes no writes.
    pub fn replace_vector(&self, name: &str, by: &str) -> Result<(), Error> {
        self.drop_for(name, Some(by))
    }
}

impl Settings {
    /// Returns the settings with one vector under the name of another, which is dropped.
    pub(super) fn with_replaced(&self, name: &str, by: &str) -> Result<Self, Error> {
        for asked in [name, by] {
            self.shape().form(asked)?;
            if self.embedder(asked).is_none() {
                return Err(Error::Settings(format!(
                    "vector `{asked}` has no embedder: only vectors that embedders make replace one \
                     another"
                )));
            }
        }
        if name == by {
            return Err(Error::Settings(format!("vector `{name}` cannot replace itself")));
        }
        if self.filling.contains(by) {
            return Err(Error::Settings(format!(
                "vector `{by}` is not made of everything yet; `simile collection add-vector` goes on \
                 with it"
            )));
        }
        let mut settings = self.without_vector(name)?;
        if let Some(mut vector) = settings.vectors.remove(by) {
            vector.folder = Some(vector.folder_name(by));
            settings.vectors.insert(name.to_owned(), vector);
        }
        if let Some(vector) = settings.sparse.remove(by) {
            settings.sparse.insert(name.to_owned(), vector);
        }
        if let Some(vector) = settings.multi.remove(by) {
            settings.multi.insert(name.to_owned(), vector);
        }
        Ok(settings)
    }

    /// Returns the number of a vector.
    pub(super) fn number(&self, name: &str) -> Option<u16> {
        let dense = self.vectors.get(name).map(|settings| settings.number);
        let sparse = || self.sparse.get(name).map(|settings| settings.number);
        let multi = || self.multi.get(name).map(|settings| settings.number);
        dense.or_else(sparse).or_else(multi)
    }

    /// Returns the numbers of all vectors.
    pub(super) fn numbers(&self) -> Numbers {
        let numbers = self.names().filter_map(|name| Some((name.clone(), self.number(name)?)));
        Arc::new(numbers.collect())
    }

    /// Checks that no vector was replaced since something was made for vectors with these numbers.
    ///
    /// # Errors
    /// [`Error::Replaced`] (unavailable): the same request again is for the new one.
    pub(super) fn check_numbers(&self, numbers: &Numbers) -> Result<(), Error> {
        let replaced = numbers.iter().find(|(name, number)| {
            self.number(name.as_str()).is_some_and(|current| current != **number)
        });
        match replaced {
            Some((name, _)) => Err(Error::Replaced(name.clone())),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collection::settings::{ChunkSettings, EmbedderFacts, NewCollection, NewVector};
    use crate::collection::{About, NewVectorSource, Settings};
    use crate::query::Reads;
    use crate::vector::{Form, Metric};

    fn facts(embedder: &str) -> Result<EmbedderFacts, Error> {
        Ok(EmbedderFacts {
            fingerprint: embedder.to_owned(),
            reads: Reads { texts: true, ..Reads::default() },
            form: if embedder == "sparse" { Form::Sparse } else { Form::Dense },
            dimension: 4,
            metric: Metric::Cosine,
        })
    }

    fn settings(models: [(&str, &str); 2]) -> Settings {
        let of = |model: &str| NewVector::from_source(NewVectorSource::Embedder(model.to_owned()));
        let vectors = models.map(|(name, model)| (name.to_owned(), of(model)));
        let asked = NewCollection {
            vectors: vectors.into(),
            has_words: true,
            chunk: ChunkSettings::default(),
            about: About::default(),
        };
        Settings::decide(&asked, &facts).unwrap()
    }

    #[test]
    fn what_was_made_for_a_vector_that_was_replaced_is_refused() {
        let before = settings([("a", "old"), ("b", "new")]);
        let (numbers, by) = (before.numbers(), before.number("b"));
        let after = before.with_replaced("a", "b").unwrap();
        assert_eq!((after.number("a"), after.number("b")), (by, None));
        assert_eq!(after.embedder("a").unwrap().name, "new");
        let error = after.check_numbers(&numbers).unwrap_err();
        assert!(matches!(&error, Error::Replaced(name) if name == "a"), "{error}");
        before.check_numbers(&numbers).unwrap();
        after.check_numbers(&after.numbers()).unwrap();
        // Its index stays in its folder, and no other vector gets that.
        assert_eq!(after.vectors["a"].folder_name("a"), "b");
        after.check().map_err(|error| error.to_string()).unwrap_err();
        let mut cleared = after.clone();
        cleared.dropped.clear();
        cleared.check().unwrap();
        cleared.vectors.get_mut("a").unwrap().folder = Some("../b".to_owned());
        assert!(cleared.check().is_err(), "a folder of another collection");
    }

    #[test]
    fn a_vector_may_be_replaced_by_one_of_another_form_once_it_is_made() {
        let mut before = settings([("a", "old"), ("b", "sparse")]);
        before.filling.insert("b".to_owned());
        let error = before.with_replaced("a", "b").unwrap_err().to_string();
        assert!(error.contains("not made of everything yet"), "{error}");
        before.filling.clear();
        let after = before.with_replaced("a", "b").unwrap();
        assert!(after.vectors.is_empty() && after.sparse.contains_key("a"));
    }
}
