//! Filters are the same message in four methods, so each wrong one is sent to all of them.

use simile_proto::v1::delete_documents_request::Selection;
use simile_proto::v1::field_condition::Condition;
use simile_proto::v1::filter::Kind;
use simile_proto::v1::{self as wire};
use tonic::Code;

use super::super::messages::{
    array, ask_vector, equals, field, filter, float, ids, integer, not, text,
};
use super::{Row, row};

pub(super) fn rows() -> Vec<Row> {
    wrong().into_iter().flat_map(|(filter, says)| everywhere(&filter, says)).collect()
}

fn everywhere(filter: &wire::Filter, says: &str) -> [Row; 4] {
    let (collection, code) = ("c".to_owned(), Code::InvalidArgument);
    let given = Some(filter.clone());
    let count = wire::CountRequest { collection: collection.clone(), filter: given.clone() };
    let scroll = wire::ScrollRequest {
        collection: collection.clone(),
        filter: given.clone(),
        ..wire::ScrollRequest::default()
    };
    let search = wire::SearchRequest { filter: given, ..ask_vector("c", &[1.0, 0.0, 0.0, 0.0]) };
    let selection = Some(Selection::Filter(filter.clone()));
    let delete = wire::DeleteDocumentsRequest { collection, selection, ..Default::default() };
    [
        row("Documents/Count", &count, code, says),
        row("Documents/Scroll", &scroll, code, says),
        row("Search/Search", &search, code, says),
        row("Documents/Delete", &delete, code, says),
    ]
}

fn wrong() -> Vec<(wire::Filter, &'static str)> {
    let no_condition = wire::FieldCondition { path: "year".to_owned(), condition: None };
    let range = |range| field("year", Condition::Range(range));
    let usual = wire::Range::default();
    let deep = (0..16).fold(equals("year", integer(1)), |inner, _| not(inner));
    let many = vec![equals("year", integer(1)); 1_025];
    let many = filter(Kind::All(wire::FilterList { filters: many }));
    let long_list = wire::Array { values: vec![integer(1); 16_385] };
    let object = wire::Value { kind: None };
    vec![
        (
            filter(Kind::Any(wire::FilterList { filters: vec![wire::Filter { kind: None }] })),
            "one of all, any, not, field, ids, at_least and nested is missing",
        ),
        (filter(Kind::Field(no_condition)), "field `year` has no condition"),
        (equals("month", integer(1)), "no document has a field `month`; known fields: name, year"),
        (
            equals("year", text("x")),
            "field `year` holds [Integer] .. a comparison with a text does not apply",
        ),
        (equals("name", integer(1)), "field `name` holds [Keyword] .. a comparison with a number"),
        (equals("year", object), "field `year` is compared with a boolean, a number or a text"),
        (equals("year", array([integer(1)])), "compared with a boolean, a number or a text"),
        (equals("year", float(f64::NAN)), "NaN is no finite number"),
        (field("year", Condition::In(long_list)), "at most 16384 values, got 16385"),
        (range(usual.clone()), "a range has at least one bound"),
        (
            range(wire::Range { less: Some(text("soon")), ..usual.clone() }),
            "range of field `year` .. got `soon`",
        ),
        (
            range(wire::Range {
                less: Some(integer(1)),
                less_or_equal: Some(integer(2)),
                ..usual.clone()
            }),
            "field `year` has two bounds on one side",
        ),
        (
            range(wire::Range {
                less: Some(integer(1)),
                greater: Some(text("2024-01-01")),
                ..usual.clone()
            }),
            "both numbers or both times",
        ),
        (
            range(wire::Range { less: Some(text("2024-01-01")), ..usual }),
            "field `year` holds [Integer], and a range of time does not apply to it",
        ),
        (field("name", Condition::Text("...".to_owned())), "there is no word in `...`"),
        (
            field("year", Condition::Phrase("cat".to_owned())),
            "a search for a phrase does not apply",
        ),
        (field("name", Condition::Prefix(String::new())), "a prefix has 1 to 256 bytes, got 0"),
        (field("name", Condition::Prefix("x".repeat(257))), "a prefix has 1 to 256 bytes, got 257"),
        (filter(Kind::Ids(ids(["a", ""]))), "a document id must not be empty"),
        (deep, "nested at most 16 deep"),
        (many, "at most 1024 conditions, got 1025"),
    ]
}
