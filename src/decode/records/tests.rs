use std::io::{BufReader, Cursor, Read};

use super::*;
use crate::cancel::Cancellation;
use crate::decode::{Content, decode};
use crate::document::Value;

fn read(name: &str, bytes: &[u8], fields: FieldNames<'_>) -> Vec<Result<Record, RecordError>> {
    let hint = Hint { file_name: Some(name), fields, ..Hint::default() };
    match decode(bytes, &hint, &Limits::default(), &Cancellation::new()).unwrap() {
        Content::Records(records) => records.collect(),
        Content::Text(_) | Content::Picture(_) | Content::Video(_) | Content::Sound(_) => {
            panic!("expected records")
        }
    }
}

fn texts(records: &[Result<Record, RecordError>]) -> Vec<&str> {
    records
        .iter()
        .map(|record| record.as_ref().map_or("-", |record| record.text.as_str()))
        .collect()
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

#[test]
fn a_record_is_text_and_title_and_id_and_the_rest_is_payload() {
    let line =
        r#"{"_id": 7, "title": " The cat ", "text": "It sleeps.", "year": 1984, "score": 0.5,
        "tags": ["a", null], "dc.source": {"page": 3}, "seen": true}"#
            .replace('\n', " ");
    let records = read("a.jsonl", line.as_bytes(), FieldNames::default());
    let record = records[0].as_ref().unwrap();
    assert_eq!(record.id.as_deref(), Some("7"));
    assert_eq!(record.title.as_deref(), Some("The cat"));
    assert_eq!(record.text, "The cat\nIt sleeps.");
    assert_eq!(record.line, 1);
    assert_eq!(record.payload["year"], Value::Integer(1984));
    assert_eq!(record.payload["score"], Value::Float(0.5));
    assert_eq!(record.payload["seen"], Value::Boolean(true));
    assert_eq!(record.payload["tags"], Value::Array(vec![text("a"), Value::Null]));
    assert_eq!(
        record.payload["dc_source"],
        Value::Object([("page".to_owned(), Value::Integer(3))].into())
    );
    assert!(!record.payload.contains_key("text") && !record.payload.contains_key("_id"));
}

#[test]
fn a_bad_line_is_reported_with_its_number_and_the_rest_goes_on() {
    let source = "\u{FEFF}{\"text\": \"one\"}\n\n{\"text\": \n[1]\n{\"name\": 1}\n{\"text\": 5}\n\
                  {\"text\": \" \", \"title\": null}\n{\"body\": [\"two\", \"three\"]}\n\
                  {\"text\": \"n\", \"n\": 18446744073709551615}";
    let records = read("a.ndjson", source.as_bytes(), FieldNames::default());
    let errors: Vec<String> = records
        .iter()
        .filter_map(|record| record.as_ref().err().map(ToString::to_string))
        .collect();
    assert_eq!(
        errors,
        [
            "line 3: not JSON: EOF while parsing a value at line 1 column 8",
            "line 4: expected a JSON object a line",
            "line 5: no field holds the text: looked for `text`, `body`, `content`, `abstract`, found \
             `name`",
            "line 6: field `text` holds a number, expected text or a list of texts",
            "line 7: the text is empty",
            "line 9: field `n` holds 18446744073709551615, expected a 64-bit integer or a finite float",
        ]
    );
    assert_eq!(texts(&records), ["one", "-", "-", "-", "-", "-", "two\nthree", "-"]);
}

#[test]
fn named_fields_are_taken_instead_of_the_usual_ones() {
    let fields = FieldNames { text: Some("question"), title: Some("topic"), id: Some("key") };
    let line = r#"{"question": "Why?", "topic": "Cats", "key": "k1", "text": "other", "id": 5}"#;
    let records = read("a.jsonl", line.as_bytes(), fields);
    let record = records[0].as_ref().unwrap();
    assert_eq!((record.text.as_str(), record.id.as_deref()), ("Cats\nWhy?", Some("k1")));
    assert_eq!(record.payload["text"], text("other"));
    assert_eq!(record.payload["id"], Value::Integer(5));
}

#[test]
fn the_columns_of_a_table_have_types() {
    let source = "id,Title,Text,year,price,open,zip,note\n\
                  1,1984,\"He said \"\"no\"\", and\nleft.\",1949,2.5,true,02139,\n\
                  2,,Short,-3,7,FALSE,10001,x,extra\n\
                  3,,Ragged,n/a\n";
    let records = read("a.csv", source.as_bytes(), FieldNames::default());
    let [first, second, third] = &records[..] else { panic!("{records:?}") };
    let (first, second) = (first.as_ref().unwrap(), second.as_ref().unwrap());
    assert_eq!(first.text, "1984\nHe said \"no\", and\nleft.");
    assert_eq!(first.id.as_deref(), Some("1"));
    assert_eq!(first.payload["price"], Value::Float(2.5));
    assert_eq!(second.payload["price"], Value::Float(7.0));
    assert_eq!((&first.payload["zip"], &second.payload["zip"]), (&text("02139"), &text("10001")));
    assert_eq!(second.payload["open"], Value::Boolean(false));
    assert_eq!(
        first.payload["year"],
        text("1949"),
        "a column with one text in it is a column of texts"
    );
    assert!(!first.payload.contains_key("note") && second.payload.contains_key("note"));
    assert_eq!((first.line, second.line), (2, 4));
    assert_eq!(third.as_ref().unwrap().text, "Ragged");
}

#[test]
fn tables_come_with_other_delimiters_and_encodings() {
    let records = read("a.csv", b"id;text\n1;\xB0\xA1,b\n", FieldNames::default());
    assert_eq!(records.len(), 1);
    let chinese = "编号\ttext\n1\t小猫在院子里追逐老鼠，老鼠躲进了墙角的洞里。\n";
    let (bytes, _, _) = encoding_rs::GB18030.encode(chinese);
    let records = read("a.tsv", &bytes, FieldNames::default());
    assert_eq!(texts(&records), ["小猫在院子里追逐老鼠，老鼠躲进了墙角的洞里。"]);
    let wide: Vec<u8> = "\u{FEFF}text\n猫\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(texts(&read("a.csv", &wide, FieldNames::default())), ["猫"]);
}

#[test]
fn a_table_without_a_text_column_is_refused_with_the_names_it_has() {
    let hint = Hint { file_name: Some("a.csv"), ..Hint::default() };
    let error = decode(b"a,b\n1,2\n", &hint, &Limits::default(), &Cancellation::new()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "no field holds the text: looked for `text`, `body`, `content`, `abstract`, found `a`, `b`"
    );
}

#[test]
fn records_are_bounded_in_size_and_number() {
    let limits = Limits { record_bytes_max: 64, records_max: 3, ..Limits::default() };
    let hint = Hint::default();
    let long = format!("{{\"text\": \"{}\"}}\n{{\"text\": \"short\"}}\n", "x".repeat(100));
    let records: Vec<_> =
        Records::read(long.as_bytes(), Format::JsonLines, &hint, &limits).unwrap().collect();
    assert_eq!(texts(&records), ["-", "short"]);
    let many = "{\"text\": \"a\"}\n".repeat(5);
    let records: Vec<_> =
        Records::read(many.as_bytes(), Format::JsonLines, &hint, &limits).unwrap().collect();
    assert_eq!(records.len(), 4);
    assert_eq!(
        records[3].as_ref().unwrap_err().to_string(),
        "line 4: a file has at most 3 records, this one has more"
    );
}

#[test]
fn a_quote_that_is_not_closed_does_not_bring_the_file_into_memory() {
    let limits = Limits { record_bytes_max: 1_024, ..Limits::default() };
    // A source without end: reading it whole would never return.
    let endless = Cursor::new(b"text\nfine\n\"open").chain(std::io::repeat(b'x'));
    let source = BufReader::new(endless);
    let records: Vec<_> =
        Records::read(source, Format::Csv, &Hint::default(), &limits).unwrap().collect();
    assert_eq!(records.len(), 2);
    assert!(matches!(
        records[1],
        Err(RecordError { line: 3, problem: RecordProblem::Endless { limit: 1_024 } })
    ));
}
