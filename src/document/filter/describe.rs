use std::fmt::{self, Display, Formatter};

use super::{Bound, Condition, Filter, Range, Scalar};

/// How many values of a list are shown.
const SHOWN_MAX: usize = 5;

/// In words, for a person; long lists are cut.
impl Display for Filter {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::All(filters) => list(formatter, filters, " and "),
            Self::Any(filters) => list(formatter, filters, " or "),
            Self::AtLeast(least, filters) => {
                write!(formatter, "at least {least} of ")?;
                list(formatter, filters, ", ")
            }
            Self::Not(filter) => write!(formatter, "not {filter}"),
            Self::Nested { path, filter } => write!(formatter, "one of {} has {filter}", path.0),
            Self::Ids(ids) => {
                formatter.write_str("id is ")?;
                values(formatter, ids)
            }
            Self::Field { path, condition } => {
                write!(formatter, "{} ", path.0)?;
                condition.fmt(formatter)
            }
        }
    }
}

impl Display for Condition {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Equals(value) => write!(formatter, "= {value}"),
            Self::In(wanted) => {
                formatter.write_str("is ")?;
                values(formatter, wanted)
            }
            Self::Except(unwanted) => {
                formatter.write_str("is not ")?;
                values(formatter, unwanted)
            }
            Self::Range(range) => range.fmt(formatter),
            Self::Null => formatter.write_str("is null"),
            Self::Length(range) => write!(formatter, "has a number of elements {range}"),
            Self::GeoBox(area) => write!(
                formatter,
                "lies between latitudes {} and {} and longitudes {} and {}",
                area.south, area.north, area.west, area.east
            ),
            Self::GeoRadius(circle) => write!(
                formatter,
                "lies within {} m of latitude {} and longitude {}",
                circle.meters, circle.center.latitude, circle.center.longitude
            ),
            Self::Exists => formatter.write_str("has a value"),
            Self::Text(text) => write!(formatter, "has the words \"{text}\""),
            Self::Phrase(text) => write!(formatter, "has the phrase \"{text}\""),
            Self::Prefix(text) => write!(formatter, "starts with \"{text}\""),
        }
    }
}

impl Display for Range {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let bound = |bound: &Bound, open: &str| {
            let equal = if bound.is_inclusive { "=" } else { "" };
            format!("{open}{equal} {}", bound.value)
        };
        let lower = self.lower.as_ref().map(|lower| bound(lower, ">"));
        let upper = self.upper.as_ref().map(|upper| bound(upper, "<"));
        let bounds: Vec<String> = lower.into_iter().chain(upper).collect();
        formatter.write_str(&bounds.join(" and "))
    }
}

impl Display for Scalar {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(value) => value.fmt(formatter),
            Self::Integer(value) => value.fmt(formatter),
            Self::Float(value) => value.fmt(formatter),
            Self::Text(text) => write!(formatter, "\"{text}\""),
            Self::Datetime(nanoseconds) => {
                match jiff::Timestamp::from_nanosecond(i128::from(*nanoseconds)) {
                    Ok(time) => time.fmt(formatter),
                    Err(_) => nanoseconds.fmt(formatter),
                }
            }
        }
    }
}

fn list(formatter: &mut Formatter<'_>, filters: &[Filter], between: &str) -> fmt::Result {
    formatter.write_str("(")?;
    for (number, filter) in filters.iter().enumerate() {
        if number > 0 {
            formatter.write_str(between)?;
        }
        filter.fmt(formatter)?;
    }
    formatter.write_str(")")
}

fn values(formatter: &mut Formatter<'_>, values: &[impl Display]) -> fmt::Result {
    let shown: Vec<String> = values.iter().take(SHOWN_MAX).map(ToString::to_string).collect();
    let rest = values.len().saturating_sub(SHOWN_MAX);
    let more = if rest > 0 { format!(" or one of {rest} more") } else { String::new() };
    write!(formatter, "{}{more}", shown.join(" or "))
}
