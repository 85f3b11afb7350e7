use std::cmp::Ordering;

use super::*;
use crate::document::payload_from_json;
use crate::document::{Payload, parse_datetime};
use serde_json::json;

fn field(path: &str, condition: Condition) -> Filter {
    Filter::Field { path: FieldPath(path.to_owned()), condition }
}

fn text(text: &str) -> Scalar {
    Scalar::Text(text.to_owned())
}

fn from(value: Scalar) -> Condition {
    Condition::Range(Range { lower: Some(Bound { value, is_inclusive: true }), upper: None })
}

fn example() -> (Payload, DocumentId) {
    let json = json!({
        "title": "The cat chases the mouse", "year": 2020, "price": 3.0, "sold": true,
        "at": "2020-05-01T10:00:00+02:00", "tags": ["red", "blue"], "empty": [], "none": null,
        "people": [{"name": "Ann", "age": 30}, {"name": "Bo"}], "zh": "一只猫追逐老鼠"
    });
    (payload_from_json(json).unwrap(), DocumentId::new("d1").unwrap())
}

#[test]
fn conditions_hold_for_what_a_user_would_expect() {
    let (payload, id) = example();
    let time = parse_datetime("2020-05-01T08:00:00Z").unwrap();
    let holding = [
        field("year", Condition::Equals(Scalar::Integer(2020))),
        field("year", Condition::Equals(Scalar::Float(2020.0))),
        field("price", Condition::Equals(Scalar::Integer(3))),
        field("price", from(Scalar::Integer(3))),
        field("year", from(Scalar::Float(2019.5))),
        field("sold", Condition::Equals(Scalar::Boolean(true))),
        field("at", Condition::Equals(Scalar::Datetime(time))),
        field("at", from(Scalar::Datetime(time))),
        field("at", Condition::Prefix("2020-05".to_owned())),
        field("tags", Condition::Equals(text("blue"))),
        field("tags", Condition::In(vec![text("green"), text("red")])),
        field("people.name", Condition::Equals(text("Bo"))),
        field("people.age", from(Scalar::Integer(30))),
        field("people", Condition::Exists),
        field("title", Condition::Text("MOUSE cat".to_owned())),
        field("title", Condition::Phrase("chases the mouse".to_owned())),
        field("zh", Condition::Text("老鼠 猫".to_owned())),
        Filter::Ids(vec![DocumentId::new("d1").unwrap()]),
        Filter::All(vec![]),
    ];
    for filter in holding {
        assert!(filter.matches(&payload, &id), "{filter:?}");
        assert!(!Filter::Not(Box::new(filter)).matches(&payload, &id));
    }
    let failing = [
        field("tags", Condition::Equals(text("Blue"))),
        field("year", Condition::Equals(text("2020"))),
        field("empty", Condition::Exists),
        field("none", Condition::Exists),
        field("other", Condition::Exists),
        field("title", Condition::Text("cat dog".to_owned())),
        field("title", Condition::Phrase("cat mouse".to_owned())),
        field("tags", Condition::Text("red blue".to_owned())),
        field("zh", Condition::Text("鼠老".to_owned())),
        Filter::Any(vec![]),
    ];
    for filter in failing {
        assert!(!filter.matches(&payload, &id), "{filter:?}");
    }
}

#[test]
fn integers_and_floats_compare_without_rounding() {
    let large = 9_007_199_254_740_993i64;
    let compare = |a: Scalar, b: Scalar| a.compare(&b);
    assert_eq!(
        compare(Scalar::Integer(large), Scalar::Float(large as f64)),
        Some(Ordering::Greater)
    );
    assert_eq!(
        compare(Scalar::Float(f64::MAX), Scalar::Integer(i64::MAX)),
        Some(Ordering::Greater)
    );
    assert_eq!(compare(Scalar::Integer(-3), Scalar::Float(-3.5)), Some(Ordering::Greater));
    assert_eq!(compare(Scalar::Float(-3.0), Scalar::Integer(-3)), Some(Ordering::Equal));
    assert_eq!(compare(Scalar::Integer(3), text("3")), None);
}

#[test]
fn a_filter_that_does_not_fit_the_fields_says_why() {
    let fields = FieldTypes::infer(&example().0);
    let refused = |filter: Filter| filter.check(&fields).unwrap_err().to_string();
    assert_eq!(
        refused(field("titel", Condition::Exists)),
        "no document has a field `titel`; known fields: at, empty, none, people, \
         people.age, people.name, price, sold, tags, title, year, zh"
    );
    assert_eq!(
        refused(field("year", Condition::Text("x".to_owned()))),
        "field `year` holds [Integer], and a search for words does not apply to it"
    );
    assert_eq!(
        refused(field("title", from(Scalar::Integer(3)))),
        "field `title` holds [Keyword], and a range of numbers does not apply to it"
    );
    assert_eq!(
        refused(field("people", Condition::Equals(text("Bo")))),
        "field `people` holds [List], and a comparison with a text does not apply to it"
    );
    let empty = Range { lower: None, upper: None };
    assert_eq!(
        refused(field("year", Condition::Range(empty))),
        "filter: a range has at least one bound"
    );
    assert_eq!(
        refused(field("year", Condition::Equals(Scalar::Float(f64::NAN)))),
        "filter: NaN is no finite number"
    );
    assert_eq!(
        refused(field("title", Condition::Phrase("...".to_owned()))),
        "filter: there is no word in `...`"
    );
    assert!(field("people", Condition::Exists).check(&fields).is_ok());
    assert!(field("at", from(Scalar::Datetime(0))).check(&fields).is_ok());
}

#[test]
fn endless_filters_are_refused() {
    let fields = FieldTypes::infer(&example().0);
    let deep =
        (0..FILTER_DEPTH_MAX).fold(Filter::All(vec![]), |filter, _| Filter::Not(Box::new(filter)));
    assert_eq!(deep.check(&fields), Err(FilterError::TooDeep { limit: FILTER_DEPTH_MAX }));
    let many = vec![field("year", Condition::Exists); FILTER_CONDITIONS_MAX + 1];
    let (limit, actual) = (FILTER_CONDITIONS_MAX, FILTER_CONDITIONS_MAX + 1);
    assert_eq!(Filter::Any(many).check(&fields), Err(FilterError::TooMany { limit, actual }));
    let values = vec![text("x"); FILTER_VALUES_MAX + 1];
    assert!(field("title", Condition::In(values)).check(&fields).is_err());
    let prefix = "x".repeat(FILTER_PREFIX_BYTES_MAX + 1);
    assert!(field("title", Condition::Prefix(prefix)).check(&fields).is_err());
}

#[test]
fn a_lenient_filter_fits_the_fields_and_never_means_more() {
    let (payload, id) = example();
    let fields = FieldTypes::infer(&payload);
    let unknown = || field("colour", Condition::Equals(text("red")));
    let wrong = || field("year", Condition::Text("cat".to_owned()));
    let nested = |name: &str| Filter::Nested {
        path: FieldPath("people".to_owned()),
        filter: Box::new(field(name, Condition::Equals(text("Ann")))),
    };
    let known = || field("year", Condition::Equals(Scalar::Integer(2020)));
    let cases = [
        (unknown(), false),
        (wrong(), false),
        (nested("name"), true),
        (nested("nick"), false),
        (Filter::Not(Box::new(unknown())), true),
        (Filter::Any(vec![unknown(), known()]), true),
        (Filter::AtLeast(2, vec![unknown(), wrong(), known()]), false),
        (Filter::All(vec![known(), wrong()]), false),
    ];
    for (filter, holds) in cases {
        let lenient = filter.lenient(&fields);
        lenient.check(&fields).unwrap();
        assert_eq!(lenient.matches(&payload, &id), holds, "{filter:?}");
    }
    assert_eq!(known().lenient(&fields), known());
}
