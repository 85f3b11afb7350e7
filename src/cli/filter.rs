//! Filters as they are written on a command line: short forms, or JSON.

use serde_json::{Map, Value as Json};
use simile_proto::v1::field_condition::Condition;
use simile_proto::v1::{self as wire, filter::Kind};

use super::exit::CliError;
use super::value;

/// The text that explains filters.
pub(super) const HELP: &str = r#"Examples:
  simile search "how do cats hunt"
  simile search "how do cats hunt" --mode semantic --limit 3
  simile search '"exact phrase" -without' --mode lexical --syntax query
  simile search cats --filter 'year>=2020' --filter 'tags=animals|pets'

Filters, short:
  year=2020   year!=2020   year>2020   year>=2020   year<2020   year<=2020
  tags=animals|pets        one of these
  title~cat mouse          has all of these words
  title~"cat chases"       has these words one after another
  path^=notes/             starts with this
  draft?                   has a value
  !draft?                  has none
Numbers, true and false are meant as such; "3" in quotes is a text. A time is written as
2024-01-31T00:00:00Z.

Filters, as JSON:
  {"field": "year", "gte": 2020, "lt": 2024}
  {"field": "tags", "in": ["animals", "pets"]}
  {"all": [...]}   {"any": [...]}   {"not": {...}}   {"ids": ["a.md", "b.md"]}
  {"at_least": 2, "of": [...]}
  {"nested": "authors", "has": {"all": [{"field": "name", "equals": "Ann"}, ...]}}
                           one element satisfies all of it by itself
  {"field": "place", "geo_radius": {"lat": 48.86, "lon": 2.35, "meters": 5000}}
  {"field": "place", "geo_box": {"south": 48, "west": 2, "north": 49, "east": 3}}
  {"field": "tags", "length": {"gte": 2}}
Conditions: equals, in, except, gt, gte, lt, lte, exists, null, text, phrase, prefix, length,
geo_box, geo_radius."#;

/// Returns the filter that all of these texts have to hold; none of them is no filter.
///
/// # Errors
/// For a text that is neither a short form nor JSON of this shape.
pub(super) fn parse_all(texts: &[String]) -> Result<Option<wire::Filter>, CliError> {
    let mut filters = texts.iter().map(|text| parse(text)).collect::<Result<Vec<_>, _>>()?;
    Ok(match filters.len() {
        0 => None,
        1 => filters.pop(),
        _ => Some(of(Kind::All(wire::FilterList { filters }))),
    })
}

/// Returns the filter that means the documents of every tenant, where a collection has tenants.
pub(super) fn of_all_tenants(collection: &wire::Collection) -> Option<wire::Filter> {
    let path = Some(&collection.tenant).filter(|path| !path.is_empty());
    path.and_then(|path| field(path, Condition::Exists(true)))
}

fn parse(text: &str) -> Result<wire::Filter, CliError> {
    let text = text.trim();
    if text.starts_with('{') {
        let json: Json = serde_json::from_str(text)
            .map_err(|error| CliError::usage(format!("filter {text}: {error}")))?;
        return from_json(&json);
    }
    short(text).ok_or_else(|| {
        CliError::usage(format!(
            "filter `{text}`: expected field=value, !=, >, >=, <, <=, ~, ^=, field?, !field? or JSON"
        ))
    })
}

/// The operators, longest first, so that `>=` is not read as `>`.
const OPERATORS: [&str; 8] = ["!=", ">=", "<=", "^=", "=", ">", "<", "~"];

fn short(text: &str) -> Option<wire::Filter> {
    if let Some(path) = text.strip_suffix('?') {
        return match path.strip_prefix('!') {
            Some(path) => field(path, Condition::Exists(false)),
            None => field(path, Condition::Exists(true)),
        };
    }
    let (at, operator) = OPERATORS
        .iter()
        .filter_map(|operator| text.find(operator).map(|at| (at, *operator)))
        .min_by_key(|(at, operator)| (*at, std::cmp::Reverse(operator.len())))?;
    let (path, word) = (text[..at].trim(), text[at + operator.len()..].trim());
    let bound = || Some(value::from_word(word));
    match operator {
        "=" => field(path, equals(word)),
        "!=" => Some(of(Kind::Not(Box::new(field(path, equals(word))?)))),
        ">" => {
            field(path, Condition::Range(wire::Range { greater: bound(), ..Default::default() }))
        }
        ">=" => field(
            path,
            Condition::Range(wire::Range { greater_or_equal: bound(), ..Default::default() }),
        ),
        "<" => field(path, Condition::Range(wire::Range { less: bound(), ..Default::default() })),
        "<=" => field(
            path,
            Condition::Range(wire::Range { less_or_equal: bound(), ..Default::default() }),
        ),
        "^=" => field(path, Condition::Prefix(word.to_owned())),
        "~" => match serde_json::from_str::<String>(word) {
            Ok(phrase) => field(path, Condition::Phrase(phrase)),
            Err(_) => field(path, Condition::Text(word.to_owned())),
        },
        _ => None,
    }
}

fn equals(word: &str) -> Condition {
    if word.contains('|') && !word.starts_with('"') {
        let values = word.split('|').map(|word| value::from_word(word.trim())).collect();
        Condition::In(wire::Array { values })
    } else {
        Condition::Equals(value::from_word(word))
    }
}

fn from_json(json: &Json) -> Result<wire::Filter, CliError> {
    let wrong = |what: &str| CliError::usage(format!("filter {json}: {what}"));
    let object = json.as_object().ok_or_else(|| wrong("expected an object"))?;
    if object.contains_key("field") {
        return field_from_json(object).map_err(|what| wrong(&what));
    }
    if let (Some(least), Some(of_)) = (object.get("at_least"), object.get("of")) {
        let count = least.as_u64().and_then(|count| u32::try_from(count).ok());
        let count = count.ok_or_else(|| wrong("`at_least` is a number"))?;
        let filters = of_.as_array().ok_or_else(|| wrong("`of` is a list of filters"))?;
        let filters = filters.iter().map(from_json).collect::<Result<_, _>>()?;
        return Ok(of(Kind::AtLeast(wire::AtLeast { count, filters })));
    }
    if let (Some(path), Some(has)) = (object.get("nested"), object.get("has")) {
        let path = path.as_str().ok_or_else(|| wrong("`nested` is the path of objects"))?;
        let filter = Some(Box::new(from_json(has)?));
        return Ok(of(Kind::Nested(Box::new(wire::Nested { path: path.to_owned(), filter }))));
    }
    let mut entries = object.iter();
    let (Some((name, value)), None) = (entries.next(), entries.next()) else {
        return Err(wrong(
            "expected one of all, any, not, ids, at_least with of, nested with has, or field with a condition",
        ));
    };
    let list = || -> Result<wire::FilterList, CliError> {
        let filters = value.as_array().ok_or_else(|| wrong("expected a list of filters"))?;
        Ok(wire::FilterList { filters: filters.iter().map(from_json).collect::<Result<_, _>>()? })
    };
    Ok(of(match name.as_str() {
        "all" => Kind::All(list()?),
        "any" => Kind::Any(list()?),
        "not" => Kind::Not(Box::new(from_json(value)?)),
        "ids" => Kind::Ids(wire::DocumentIds {
            ids: texts(value).ok_or_else(|| wrong("expected a list of ids"))?,
        }),
        _ => return Err(wrong(&format!("`{name}` is none of all, any, not, ids, field"))),
    }))
}

fn field_from_json(object: &Map<String, Json>) -> Result<wire::Filter, String> {
    let path = object.get("field").and_then(Json::as_str).ok_or("`field` is a text")?;
    let mut range = wire::Range::default();
    let mut conditions = Vec::new();
    for (name, json) in object.iter().filter(|(name, _)| *name != "field") {
        let text = || json.as_str().map(str::to_owned).ok_or(format!("`{name}` is a text"));
        let scalar = || value::to_wire(json).map_err(|error| error.to_string());
        match name.as_str() {
            "equals" => conditions.push(Condition::Equals(scalar()?)),
            "in" => {
                let values = json.as_array().ok_or("`in` is a list")?;
                let values = values
                    .iter()
                    .map(|json| value::to_wire(json).map_err(|error| error.to_string()))
                    .collect::<Result<_, _>>()?;
                conditions.push(Condition::In(wire::Array { values }));
            }
            "except" => {
                let values = json.as_array().ok_or("`except` is a list")?;
                let values = values
                    .iter()
                    .map(|json| value::to_wire(json).map_err(|error| error.to_string()))
                    .collect::<Result<_, _>>()?;
                conditions.push(Condition::Except(wire::Array { values }));
            }
            "null" => {
                let null = json.as_bool().ok_or("`null` is true or false")?;
                conditions.push(Condition::Null(null));
            }
            "length" => conditions.push(Condition::Length(length(json)?)),
            "geo_box" => {
                let [south, west, north, east] =
                    numbers(name, json, ["south", "west", "north", "east"])?;
                conditions.push(Condition::GeoBox(wire::GeoBox { south, west, north, east }));
            }
            "geo_radius" => {
                let [lat, lon, meters] = numbers(name, json, ["lat", "lon", "meters"])?;
                conditions.push(Condition::GeoRadius(wire::GeoRadius { lat, lon, meters }));
            }
            "gt" => range.greater = Some(scalar()?),
            "gte" => range.greater_or_equal = Some(scalar()?),
            "lt" => range.less = Some(scalar()?),
            "lte" => range.less_or_equal = Some(scalar()?),
            "exists" => {
                let exists = json.as_bool().ok_or("`exists` is true or false")?;
                conditions.push(Condition::Exists(exists));
            }
            "text" => conditions.push(Condition::Text(text()?)),
            "phrase" => conditions.push(Condition::Phrase(text()?)),
            "prefix" => conditions.push(Condition::Prefix(text()?)),
            _ => return Err(format!("no condition is called `{name}`")),
        }
    }
    if range != wire::Range::default() {
        conditions.push(Condition::Range(range));
    }
    let mut conditions = conditions.into_iter();
    match (conditions.next(), conditions.next()) {
        (Some(condition), None) => field(path, condition).ok_or("`field` is empty".to_owned()),
        (Some(_), Some(_)) => Err("one condition for a field; join several with `all`".to_owned()),
        (None, _) => Err("a field needs a condition, as `equals`".to_owned()),
    }
}

/// Reads an object with exactly these numbers.
fn numbers<const N: usize>(
    condition: &str,
    json: &Json,
    names: [&str; N],
) -> Result<[f64; N], String> {
    let expected = || format!("`{condition}` is an object with the numbers {}", names.join(", "));
    let object = json.as_object().filter(|object| object.len() == N).ok_or_else(expected)?;
    let mut numbers = [0.0; N];
    for (number, name) in numbers.iter_mut().zip(names) {
        *number = object.get(name).and_then(Json::as_f64).ok_or_else(expected)?;
    }
    Ok(numbers)
}

fn length(json: &Json) -> Result<wire::Range, String> {
    let object = json.as_object().ok_or("`length` is an object, as {\"gte\": 2}")?;
    let mut range = wire::Range::default();
    for (name, bound) in object {
        let bound = Some(value::to_wire(bound).map_err(|error| error.to_string())?);
        match name.as_str() {
            "gt" => range.greater = bound,
            "gte" => range.greater_or_equal = bound,
            "lt" => range.less = bound,
            "lte" => range.less_or_equal = bound,
            _ => return Err(format!("`length` has gt, gte, lt and lte, got `{name}`")),
        }
    }
    Ok(range)
}

fn texts(json: &Json) -> Option<Vec<String>> {
    json.as_array()?.iter().map(|text| text.as_str().map(str::to_owned)).collect()
}

fn field(path: &str, condition: Condition) -> Option<wire::Filter> {
    let path = path.trim();
    if path.is_empty() {
        return None;
    }
    let condition = wire::FieldCondition { path: path.to_owned(), condition: Some(condition) };
    Some(of(Kind::Field(condition)))
}

fn of(kind: Kind) -> wire::Filter {
    wire::Filter { kind: Some(kind) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(text: &str) -> (String, Condition) {
        match parse(text).unwrap().kind.unwrap() {
            Kind::Field(field) => (field.path, field.condition.unwrap()),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn short_forms_mean_what_their_json_means() {
        let pairs = [
            ("year=2020", r#"{"field": "year", "equals": 2020}"#),
            ("year!=2020", r#"{"not": {"field": "year", "equals": 2020}}"#),
            ("year>=2020", r#"{"field": "year", "gte": 2020}"#),
            ("year > 2020", r#"{"field": "year", "gt": 2020}"#),
            ("score<0.5", r#"{"field": "score", "lt": 0.5}"#),
            ("when<=2024-01-31T00:00:00Z", r#"{"field": "when", "lte": "2024-01-31T00:00:00Z"}"#),
            ("tags=a|b|3", r#"{"field": "tags", "in": ["a", "b", 3]}"#),
            ("note=\"3\"", r#"{"field": "note", "equals": "3"}"#),
            ("title~cat mouse", r#"{"field": "title", "text": "cat mouse"}"#),
            ("title~\"cat chases\"", r#"{"field": "title", "phrase": "cat chases"}"#),
            ("path^=notes/a=b", r#"{"field": "path", "prefix": "notes/a=b"}"#),
            ("draft?", r#"{"field": "draft", "exists": true}"#),
            ("!draft?", r#"{"field": "draft", "exists": false}"#),
            ("a.b=true", r#"{"field": "a.b", "equals": true}"#),
        ];
        for (short, json) in pairs {
            assert_eq!(parse(short).unwrap(), parse(json).unwrap(), "{short}");
        }
    }

    #[test]
    fn the_first_operator_splits_field_from_value() {
        assert_eq!(condition("url=http://x/?a>=1").0, "url");
        assert_eq!(condition("a<=b=c").0, "a");
    }

    #[test]
    fn a_range_in_json_has_both_bounds() {
        let (path, condition) = condition(r#"{"field": "year", "gte": 2000, "lt": 2010}"#);
        assert_eq!(path, "year");
        let Condition::Range(range) = condition else { panic!("{condition:?}") };
        assert!(range.greater_or_equal.is_some() && range.less.is_some());
        assert!(range.greater.is_none() && range.less_or_equal.is_none());
    }

    #[test]
    fn several_filters_have_to_hold_together() {
        let texts = ["a=1".to_owned(), "{\"any\": [{\"ids\": [\"x\"]}]}".to_owned()];
        let Some(Kind::All(list)) = parse_all(&texts).unwrap().unwrap().kind else { panic!() };
        assert_eq!(list.filters.len(), 2);
        assert_eq!(parse_all(&[]).unwrap(), None);
    }

    #[test]
    fn places_lengths_and_elements_are_asked_for_in_json() {
        let kind = |text: &str| parse(text).unwrap().kind.unwrap();
        let (_, circle) =
            condition(r#"{"field": "p", "geo_radius": {"lat": 48.5, "lon": 2, "meters": 100}}"#);
        let expected = wire::GeoRadius { lat: 48.5, lon: 2.0, meters: 100.0 };
        assert_eq!(circle, Condition::GeoRadius(expected));
        let (_, length) = condition(r#"{"field": "tags", "length": {"gte": 2}}"#);
        assert!(matches!(length, Condition::Length(range) if range.greater_or_equal.is_some()));
        let (_, except) = condition(r#"{"field": "tags", "except": ["a"]}"#);
        assert!(matches!(except, Condition::Except(array) if array.values.len() == 1));
        let nested = r#"{"nested": "people", "has": {"field": "age", "gt": 3}}"#;
        assert!(matches!(kind(nested), Kind::Nested(inner) if inner.path == "people"));
        let least = r#"{"at_least": 2, "of": [{"ids": ["a"]}, {"ids": ["b"]}]}"#;
        assert!(matches!(kind(least), Kind::AtLeast(of) if of.count == 2 && of.filters.len() == 2));
        for (text, hint) in [
            (r#"{"field": "p", "geo_radius": {"lat": 1}}"#, "the numbers lat, lon, meters"),
            (r#"{"field": "p", "length": {"min": 1}}"#, "got `min`"),
            (r#"{"at_least": -1, "of": []}"#, "`at_least` is a number"),
        ] {
            let message = parse(text).unwrap_err().to_string();
            assert!(message.contains(hint), "{text}: {message}");
        }
    }

    #[test]
    fn what_is_no_filter_is_refused_with_a_hint() {
        let wrong = [
            ("", "expected field=value"),
            ("year", "expected field=value"),
            ("=3", "expected field=value"),
            ("?", "expected field=value"),
            ("{", "EOF"),
            ("{}", "expected one of all"),
            (r#"{"all": 3}"#, "list of filters"),
            (r#"{"some": []}"#, "`some` is none of"),
            (r#"{"field": "a"}"#, "needs a condition"),
            (r#"{"field": 3, "equals": 1}"#, "`field` is a text"),
            (r#"{"field": "a", "equals": 1, "text": "b"}"#, "one condition"),
            (r#"{"field": "a", "like": 1}"#, "no condition is called `like`"),
            (r#"{"ids": [3]}"#, "list of ids"),
        ];
        for (text, hint) in wrong {
            let message = parse(text).unwrap_err().to_string();
            assert!(message.contains(hint), "{text}: {message}");
        }
    }
}
