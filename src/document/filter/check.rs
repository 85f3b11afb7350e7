use super::{
    Bound, Condition, FILTER_CONDITIONS_MAX, FILTER_DEPTH_MAX, FILTER_PREFIX_BYTES_MAX,
    FILTER_VALUES_MAX, FieldPath, Filter, FilterError, Range, Scalar,
};
use crate::document::words::terms;
use crate::document::{FieldType, FieldTypes};

impl Filter {
    /// Checks that the filter is well formed, within the limits, and asks of each field what the
    /// values it was seen to hold can answer.
    ///
    /// # Errors
    /// [`FilterError`] (invalid input) that names the field and what it holds.
    pub fn check(&self, fields: &FieldTypes) -> Result<(), FilterError> {
        let mut conditions = 0;
        self.check_within(fields, 1, &mut conditions)?;
        if conditions > FILTER_CONDITIONS_MAX {
            return Err(FilterError::TooMany { limit: FILTER_CONDITIONS_MAX, actual: conditions });
        }
        Ok(())
    }

    fn check_within(
        &self,
        fields: &FieldTypes,
        depth: usize,
        conditions: &mut usize,
    ) -> Result<(), FilterError> {
        if depth > FILTER_DEPTH_MAX {
            return Err(FilterError::TooDeep { limit: FILTER_DEPTH_MAX });
        }
        match self {
            Self::All(filters) | Self::Any(filters) => filters
                .iter()
                .try_for_each(|filter| filter.check_within(fields, depth + 1, conditions)),
            Self::AtLeast(least, filters) => {
                if *least == 0 || *least > filters.len() {
                    return Err(malformed(format!(
                        "at least 1 to {} of {} conditions hold, got {least}",
                        filters.len(),
                        filters.len()
                    )));
                }
                filters
                    .iter()
                    .try_for_each(|filter| filter.check_within(fields, depth + 1, conditions))
            }
            Self::Not(filter) => filter.check_within(fields, depth + 1, conditions),
            Self::Nested { path, filter } => {
                if filter.has_ids() {
                    return Err(malformed(format!(
                        "the elements of `{}` have no ids of documents",
                        path.0
                    )));
                }
                filter.below(path).check_within(fields, depth + 1, conditions)
            }
            Self::Field { path, condition } => {
                *conditions += 1;
                condition.check_form()?;
                check_types(path, condition, fields)
            }
            Self::Ids(ids) => {
                *conditions += 1;
                check_count(ids.len())
            }
        }
    }
}

impl Filter {
    /// Returns the filter of a document that has one element at the path, of which this one holds.
    #[must_use]
    pub fn below(&self, path: &FieldPath) -> Self {
        let inner = |other: &FieldPath| FieldPath(format!("{}.{}", path.0, other.0));
        let all = |filters: &[Self]| filters.iter().map(|filter| filter.below(path)).collect();
        match self {
            Self::All(filters) => Self::All(all(filters)),
            Self::Any(filters) => Self::Any(all(filters)),
            Self::AtLeast(least, filters) => Self::AtLeast(*least, all(filters)),
            Self::Not(filter) => Self::Not(Box::new(filter.below(path))),
            Self::Field { path, condition } => {
                Self::Field { path: inner(path), condition: condition.clone() }
            }
            Self::Nested { path, filter } => {
                Self::Nested { path: inner(path), filter: filter.clone() }
            }
            Self::Ids(ids) => Self::Ids(ids.clone()),
        }
    }

    fn has_ids(&self) -> bool {
        match self {
            Self::All(filters) | Self::Any(filters) | Self::AtLeast(_, filters) => {
                filters.iter().any(Self::has_ids)
            }
            Self::Not(filter) | Self::Nested { filter, .. } => filter.has_ids(),
            Self::Field { .. } => false,
            Self::Ids(_) => true,
        }
    }
}

impl Filter {
    /// Returns the filter with each condition that the fields cannot answer replaced by one that never
    /// holds: what no document has, none satisfies.
    #[must_use]
    pub fn lenient(&self, fields: &FieldTypes) -> Self {
        self.lenient_below("", fields)
    }

    /// As [`Self::lenient`], of a filter whose paths begin behind `base`.
    fn lenient_below(&self, base: &str, fields: &FieldTypes) -> Self {
        let all = |filters: &[Self]| {
            filters.iter().map(|filter| filter.lenient_below(base, fields)).collect()
        };
        match self {
            Self::All(filters) => Self::All(all(filters)),
            Self::Any(filters) => Self::Any(all(filters)),
            Self::AtLeast(least, filters) => Self::AtLeast(*least, all(filters)),
            Self::Not(filter) => Self::Not(Box::new(filter.lenient_below(base, fields))),
            Self::Field { path, condition } => {
                let whole = FieldPath(format!("{base}{}", path.0));
                match check_types(&whole, condition, fields) {
                    Ok(()) => self.clone(),
                    Err(_) => Self::Any(Vec::new()),
                }
            }
            Self::Nested { path, filter } => {
                let filter = filter.lenient_below(&format!("{base}{}.", path.0), fields);
                Self::Nested { path: path.clone(), filter: Box::new(filter) }
            }
            Self::Ids(_) => self.clone(),
        }
    }
}

impl Condition {
    fn check_form(&self) -> Result<(), FilterError> {
        match self {
            Self::Equals(value) => check_finite(value),
            Self::In(values) => {
                check_count(values.len())?;
                values.iter().try_for_each(check_finite)
            }
            Self::Except(values) => {
                check_count(values.len())?;
                if values.iter().any(|value| matches!(value, Scalar::Datetime(_))) {
                    return Err(malformed("times are left out by a range or as texts"));
                }
                values.iter().try_for_each(check_finite)
            }
            Self::Range(range) => range.check_form(),
            Self::Length(range) => {
                let bounds = [&range.lower, &range.upper];
                let is_count = |bound: &Bound| matches!(bound.value, Scalar::Integer(_));
                if !bounds.into_iter().flatten().all(is_count) {
                    return Err(malformed("a length is a whole number"));
                }
                range.check_form()
            }
            Self::GeoBox(area) => area.check(),
            Self::GeoRadius(circle) => circle.check(),
            Self::Text(text) | Self::Phrase(text) if terms(text).is_empty() => {
                Err(malformed(format!("there is no word in `{text}`")))
            }
            Self::Text(text) | Self::Phrase(text) if text.len() > FILTER_PREFIX_BYTES_MAX * 4 => {
                let limit = FILTER_PREFIX_BYTES_MAX * 4;
                Err(malformed(format!("a text has at most {limit} bytes, got {}", text.len())))
            }
            Self::Prefix(prefix) if prefix.is_empty() || prefix.len() > FILTER_PREFIX_BYTES_MAX => {
                let limit = FILTER_PREFIX_BYTES_MAX;
                Err(malformed(format!("a prefix has 1 to {limit} bytes, got {}", prefix.len())))
            }
            Self::Exists | Self::Null | Self::Text(_) | Self::Phrase(_) | Self::Prefix(_) => Ok(()),
        }
    }

    /// What the condition asks, in words, and the types of which one has to be there for it.
    fn asks(&self) -> (&'static str, Vec<FieldType>) {
        match self {
            Self::Equals(value) => value.asks(),
            Self::In(values) | Self::Except(values) => {
                let mut asked = values.iter().map(Scalar::asks);
                let (words, mut types) = asked.next().unwrap_or(("nothing", Vec::new()));
                types.extend(asked.flat_map(|(_, types)| types));
                (words, types)
            }
            Self::Range(range) => match range.lower.as_ref().or(range.upper.as_ref()) {
                Some(Bound { value: Scalar::Datetime(_), .. }) => {
                    ("a range of time", vec![FieldType::Datetime])
                }
                _ => ("a range of numbers", vec![FieldType::Integer, FieldType::Float]),
            },
            Self::Exists => ("a test for a value", Vec::new()),
            Self::Null => ("a test for null", Vec::new()),
            Self::Length(_) => ("a test of the length of a list", vec![FieldType::List]),
            Self::GeoBox(_) | Self::GeoRadius(_) => {
                ("a comparison with a place (an object with lat and lon)", vec![FieldType::Geo])
            }
            Self::Text(_) => ("a search for words", TEXTS.to_vec()),
            Self::Phrase(_) => ("a search for a phrase", TEXTS.to_vec()),
            Self::Prefix(_) => ("a search for a prefix", TEXTS.to_vec()),
        }
    }
}

const TEXTS: [FieldType; 2] = [FieldType::Keyword, FieldType::Datetime];

impl Scalar {
    fn asks(&self) -> (&'static str, Vec<FieldType>) {
        match self {
            Self::Boolean(_) => ("a comparison with true or false", vec![FieldType::Boolean]),
            Self::Integer(_) | Self::Float(_) => {
                ("a comparison with a number", vec![FieldType::Integer, FieldType::Float])
            }
            Self::Text(_) => ("a comparison with a text", TEXTS.to_vec()),
            Self::Datetime(_) => ("a comparison with a time", vec![FieldType::Datetime]),
        }
    }
}

impl Range {
    fn check_form(&self) -> Result<(), FilterError> {
        let bounds = [&self.lower, &self.upper];
        if bounds.iter().all(|bound| bound.is_none()) {
            return Err(malformed("a range has at least one bound"));
        }
        for bound in bounds.into_iter().flatten() {
            check_finite(&bound.value)?;
            if matches!(bound.value, Scalar::Boolean(_) | Scalar::Text(_)) {
                return Err(malformed("the bounds of a range are numbers or times"));
            }
        }
        if let (Some(lower), Some(upper)) = (&self.lower, &self.upper)
            && lower.value.compare(&upper.value).is_none()
        {
            return Err(malformed("the bounds of a range are both numbers or both times"));
        }
        Ok(())
    }
}

fn check_types(
    path: &FieldPath,
    condition: &Condition,
    fields: &FieldTypes,
) -> Result<(), FilterError> {
    let (asked, wanted) = condition.asks();
    let Some(held) = fields.get(&path.0) else {
        if fields.has_below(&path.0) {
            if matches!(condition, Condition::Exists | Condition::Null) {
                return Ok(());
            }
            return Err(mismatch(path, &[], asked));
        }
        return Err(FilterError::unknown_field(path, fields));
    };
    if wanted.is_empty() || wanted.iter().any(|wanted| held.contains(wanted)) {
        return Ok(());
    }
    Err(mismatch(path, &held.iter().copied().collect::<Vec<_>>(), asked))
}

fn mismatch(path: &FieldPath, held: &[FieldType], asked: &'static str) -> FilterError {
    FilterError::TypeMismatch { path: path.0.clone(), held: held.to_vec(), asked }
}

/// The known fields, as many as fit in a message.
pub(super) fn known(fields: &FieldTypes) -> String {
    const NAMED_MAX: usize = 32;
    if fields.is_empty() {
        return "none".to_owned();
    }
    let mut names: Vec<&str> = fields.iter().map(|(path, _)| path).take(NAMED_MAX).collect();
    if fields.len() > NAMED_MAX {
        names.push("...");
    }
    names.join(", ")
}

fn check_finite(value: &Scalar) -> Result<(), FilterError> {
    if let Scalar::Float(float) = value
        && !float.is_finite()
    {
        return Err(malformed(format!("{float} is no finite number")));
    }
    Ok(())
}

fn check_count(actual: usize) -> Result<(), FilterError> {
    if actual > FILTER_VALUES_MAX {
        return Err(malformed(format!(
            "a list has at most {FILTER_VALUES_MAX} values, got {actual}"
        )));
    }
    Ok(())
}

pub(super) fn malformed(reason: impl Into<String>) -> FilterError {
    FilterError::Malformed(reason.into())
}
