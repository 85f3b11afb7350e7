//! Does the contract say what each of its parts means, and does it keep what was released?

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails that way")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use prost::Message;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::source_code_info::Location;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto,
    FileDescriptorSet, MethodDescriptorProto,
};

/// Where fields of the descriptors stand, as the locations of comments name them.
const MESSAGE: i32 = 4;
const ENUM: i32 = 5;
const SERVICE: i32 = 6;
const NESTED: i32 = 3;
const MEMBER: i32 = 2;

fn files() -> Vec<FileDescriptorProto> {
    FileDescriptorSet::decode(simile_proto::v1::DESCRIPTORS).unwrap().file
}

/// What is released: one line for each field, value and method of both packages.
fn record() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("released.txt")
}

#[test]
fn every_service_method_message_field_and_value_has_a_comment() {
    let mut silent = Vec::new();
    let mut seen = 0;
    for file in files().iter().filter(|file| file.package() == "simile.v1") {
        let comments = Comments::of(file);
        let mut look = |path: &[i32], name: &str| {
            seen += 1;
            if !comments.has(path) {
                silent.push(format!("{}: {name}", file.name()));
            }
        };
        for (number, message) in (0..).zip(&file.message_type) {
            look_at_message(&comments, message, &[MESSAGE, number], &mut look);
        }
        for (number, one) in (0..).zip(&file.enum_type) {
            look_at_enum(one, &[ENUM, number], &mut look);
        }
        for (number, service) in (0..).zip(&file.service) {
            look(&[SERVICE, number], service.name());
            for (place, method) in (0..).zip(&service.method) {
                let name = format!("{}/{}", service.name(), method.name());
                look(&[SERVICE, number, MEMBER, place], &name);
            }
        }
    }
    assert!(seen > 500, "only {seen} parts of the contract were looked at");
    assert!(silent.is_empty(), "say what these mean:\n{}", silent.join("\n"));
}

#[test]
fn nothing_that_was_released_is_taken_away_renumbered_or_changed() {
    let ours = |file: &FileDescriptorProto| ["simile.v1", "qdrant"].contains(&file.package());
    let files = files().into_iter().filter(ours);
    let now: BTreeSet<String> = files.flat_map(|file| lines(&file)).collect();
    if std::env::var_os("SIMILE_RELEASE_CONTRACT").is_some() {
        let text = now.iter().fold(String::new(), |text, line| text + line + "\n");
        fs_err::write(record(), text).unwrap();
    }
    let released = fs_err::read_to_string(record()).unwrap();
    let broken = broken(released.lines(), &now);
    assert!(
        broken.is_empty(),
        "a client that was built before breaks; what was released stays as it is, and what is new \
         gets a number of its own:\n{}",
        broken.join("\n")
    );
}

#[test]
fn a_field_that_is_gone_has_another_number_or_type_is_told() {
    let released = ["M.a 1 string", "M.b 2 uint32", "M.c 3 repeated string", "M.d 4 bool"];
    let now = ["M.a 1 string", "M.b 5 uint32", "M.c 3 string", "M.new 9 bool"];
    let now = now.map(str::to_owned).into();
    assert_eq!(
        broken(released, &now),
        [
            "released `M.b 2 uint32`, now `M.b 5 uint32`",
            "released `M.c 3 repeated string`, now `M.c 3 string`",
            "released `M.d 4 bool`, now nothing of that name",
        ]
    );
}

/// Returns, in words, which released lines do not hold any more.
fn broken<'a>(released: impl IntoIterator<Item = &'a str>, now: &BTreeSet<String>) -> Vec<String> {
    let name = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
    let by_name: BTreeMap<String, &String> = now.iter().map(|line| (name(line), line)).collect();
    let lost = released.into_iter().filter(|line| !now.contains(*line));
    lost.map(|line| match by_name.get(&name(line)) {
        Some(other) => format!("released `{line}`, now `{other}`"),
        None => format!("released `{line}`, now nothing of that name"),
    })
    .collect()
}

/// Returns the lines of a file's messages, enums and services.
fn lines(file: &FileDescriptorProto) -> Vec<String> {
    let (package, mut all) = (file.package(), Vec::new());
    for message in &file.message_type {
        message_lines(message, package, &mut all);
    }
    for one in &file.enum_type {
        enum_lines(one, package, &mut all);
    }
    for service in &file.service {
        let line = |method: &MethodDescriptorProto| {
            let side =
                |is_stream, of: &str| format!("{}{of}", if is_stream { "stream " } else { "" });
            format!(
                "{package}.{}/{} ({}) returns ({})",
                service.name(),
                method.name(),
                side(method.client_streaming(), method.input_type()),
                side(method.server_streaming(), method.output_type()),
            )
        };
        all.extend(service.method.iter().map(line));
    }
    all
}

fn message_lines(message: &DescriptorProto, within: &str, all: &mut Vec<String>) {
    let path = format!("{within}.{}", message.name());
    for field in &message.field {
        let sort = match (field.label(), field.proto3_optional()) {
            (Label::Repeated, _) => "repeated ".to_owned(),
            (_, true) => "optional ".to_owned(),
            (Label::Optional | Label::Required, false) => choice(message, field),
        };
        let line = format!("{path}.{} {} {sort}{}", field.name(), field.number(), type_name(field));
        all.push(line);
    }
    for nested in &message.nested_type {
        message_lines(nested, &path, all);
    }
    for one in &message.enum_type {
        enum_lines(one, &path, all);
    }
}

/// Returns the choice that a field is one of, if it is.
fn choice(message: &DescriptorProto, field: &FieldDescriptorProto) -> String {
    let number = field.oneof_index.and_then(|index| usize::try_from(index).ok());
    let choice = number.and_then(|number| message.oneof_decl.get(number));
    choice.map(|choice| format!("of {} ", choice.name())).unwrap_or_default()
}

fn type_name(field: &FieldDescriptorProto) -> String {
    match field.r#type() {
        Type::Message | Type::Enum | Type::Group => field.type_name().to_owned(),
        simple @ (Type::Double
        | Type::Float
        | Type::Int64
        | Type::Uint64
        | Type::Int32
        | Type::Fixed64
        | Type::Fixed32
        | Type::Bool
        | Type::String
        | Type::Bytes
        | Type::Uint32
        | Type::Sfixed32
        | Type::Sfixed64
        | Type::Sint32
        | Type::Sint64) => format!("{simple:?}").to_lowercase(),
    }
}

fn enum_lines(one: &EnumDescriptorProto, within: &str, all: &mut Vec<String>) {
    let line = |name: &str, number: i32| format!("{within}.{}.{name} {number}", one.name());
    all.extend(one.value.iter().map(|value| line(value.name(), value.number())));
}

fn look_at_message(
    comments: &Comments<'_>,
    message: &DescriptorProto,
    path: &[i32],
    look: &mut impl FnMut(&[i32], &str),
) {
    if message.options.as_ref().is_some_and(|options| options.map_entry()) {
        return;
    }
    look(path, message.name());
    for (number, field) in (0..).zip(&message.field) {
        // The comment of a message that stands on one line is that of its field.
        if !comments.is_one_line(path) {
            let name = format!("{}.{}", message.name(), field.name());
            look(&[path, &[MEMBER, number]].concat(), &name);
        }
    }
    for (number, nested) in (0..).zip(&message.nested_type) {
        look_at_message(comments, nested, &[path, &[NESTED, number]].concat(), look);
    }
    for (number, one) in (0..).zip(&message.enum_type) {
        // Enums within a message are its fourth member, as messages are of a file.
        look_at_enum(one, &[path, &[MESSAGE, number]].concat(), look);
    }
}

fn look_at_enum(one: &EnumDescriptorProto, path: &[i32], look: &mut impl FnMut(&[i32], &str)) {
    look(path, one.name());
    for (number, value) in (0..).zip(&one.value) {
        look(&[path, &[MEMBER, number]].concat(), value.name());
    }
}

/// The comments of a file.
struct Comments<'a>(BTreeMap<&'a [i32], &'a Location>);

impl<'a> Comments<'a> {
    fn of(file: &'a FileDescriptorProto) -> Self {
        let locations = file.source_code_info.iter().flat_map(|info| &info.location);
        Self(locations.map(|location| (location.path.as_slice(), location)).collect())
    }

    fn has(&self, path: &[i32]) -> bool {
        self.0.get(path).is_some_and(|location| {
            let said = |comment: &str| !comment.trim().is_empty();
            said(location.leading_comments()) || said(location.trailing_comments())
        })
    }

    /// A place of three numbers begins and ends on one line.
    fn is_one_line(&self, path: &[i32]) -> bool {
        self.0.get(path).is_some_and(|location| location.span.len() == 3)
    }
}
