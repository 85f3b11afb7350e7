//! Who is let in: every method of every service is asked with every credential.

use std::collections::BTreeSet;
use std::sync::Arc;

use prost::Message as _;
use simile::access::{KeyStore, NewKey, Rates, Scope};
use simile::server::{Access, METHODS, Need, Place};
use tonic::{Code, Status};

use super::exchange::methods;
use super::messages::collection;
use super::server::TestServer;

/// The time of the server, in milliseconds since 1970.
const NOW: u64 = 1_700_000_000_000;

/// A server with keys, and the keys by what they are.
struct Guarded {
    server: TestServer,
    keys: Vec<(&'static str, String)>,
    _folder: tempfile::TempDir,
}

impl Guarded {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = KeyStore::open(folder.path()).unwrap();
        let mut seed = 0;
        let mut make = |label: &'static str, scope, only: &[&str], expires_unix_ms| {
            seed += 1;
            let only: BTreeSet<String> = only.iter().map(|name| (*name).to_owned()).collect();
            let collections = (!only.is_empty()).then_some(only);
            let (name, rates) = (label.to_owned(), Rates::default());
            let new = NewKey { name, scope, collections, expires_unix_ms, rates };
            let made = store.create(new, &[[seed; 32], [seed + 100; 32]], NOW - 10);
            (label, made.unwrap().1)
        };
        let mut keys = vec![
            make("read", Scope::Read, &[], None),
            make("write", Scope::Write, &[], None),
            make("admin", Scope::Admin, &[], None),
            make("admin of own", Scope::Admin, &["own"], None),
            make("admin of others", Scope::Admin, &["other", "third"], None),
            make("expired", Scope::Admin, &[], Some(NOW)),
            make("revoked", Scope::Admin, &[], None),
        ];
        let revoked = store.list().unwrap().last().unwrap().id.clone();
        store.revoke(&revoked).unwrap();
        keys.push(("none", String::new()));
        keys.push(("wrong", format!("simile_{}", "0".repeat(64))));
        let access = Access::Keys(Arc::new(store));
        let server = TestServer::without_model(|options| options.access = access);
        Self { server, keys, _folder: folder }
    }

    fn key(&self, name: &str) -> &str {
        &self.keys.iter().find(|(known, _)| *known == name).unwrap().1
    }

    fn ask(&self, method: &str, key: &str, message: Vec<u8>) -> Result<Vec<Vec<u8>>, Status> {
        let header = (!key.is_empty()).then(|| ("authorization", format!("Bearer {key}")));
        self.server.exchange_as(method, vec![message], header)
    }
}

/// A message that names the collection `own` in the place that the table says, and is no more.
fn naming(place: Place) -> Vec<u8> {
    let mut message = b"own".to_vec();
    if let Place::Field(numbers) = place {
        for &number in numbers.iter().rev() {
            let key = u8::try_from(number << 3 | 2).unwrap();
            message = [&[key, u8::try_from(message.len()).unwrap()], message.as_slice()].concat();
        }
        return message;
    }
    Vec::new()
}

/// Whether a credential is to be let in by a method.
fn is_let_in(credential: &str, need: Need) -> bool {
    let Need::Key(scope, place) = need else { return true };
    match credential {
        "admin" => true,
        "write" => scope <= Scope::Write,
        "read" => scope == Scope::Read,
        "admin of own" => place != Place::All,
        "admin of others" => place == Place::None,
        _ => false,
    }
}

#[test]
fn every_method_of_every_service_has_a_row_in_the_table() {
    let table: BTreeSet<String> = METHODS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let health = simile_proto::v1::DESCRIPTORS;
    assert!(!health.is_empty());
    let missing: Vec<String> = methods().difference(&table).cloned().collect();
    assert!(missing.is_empty(), "no row says who may call {missing:?}");
}

#[test]
fn every_method_lets_in_those_credentials_that_it_is_for_and_no_others() {
    let guarded = Guarded::start();
    let mut wrong = Vec::new();
    for (method, need) in METHODS {
        // These wait for an end that a message of bytes does not bring, and need no key or a plain one.
        if method.ends_with("Health/Watch") {
            continue;
        }
        let message = match need {
            Need::Open => Vec::new(),
            Need::Key(_, place) => naming(place),
        };
        for (credential, key) in &guarded.keys {
            let answer = guarded.ask(method, key, message.clone());
            let code = answer.as_ref().err().map(Status::code);
            let refused = [Some(Code::Unauthenticated), Some(Code::PermissionDenied)];
            let is_in = !refused.contains(&code);
            let is_stranger = matches!(*credential, "none" | "wrong" | "expired" | "revoked");
            let expected = is_let_in(credential, need);
            // A stranger learns only that a key is needed.
            let is_right = is_in == expected
                && (is_in || is_stranger == (code == Some(Code::Unauthenticated)));
            if !is_right {
                wrong.push(format!("{method} with key {credential}: {code:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} cells:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_method_that_does_not_stand_in_the_table_is_not_served() {
    let guarded = Guarded::start();
    for method in ["qdrant.Points/Recommend", "simile.v1.Search/Other", "other.Service/Method"] {
        let code = |key| guarded.ask(method, key, Vec::new()).unwrap_err().code();
        assert_eq!(code(guarded.key("admin")), Code::Unimplemented, "{method}");
        assert_eq!(code(""), Code::Unauthenticated, "{method}");
    }
}

#[test]
fn a_key_makes_so_many_requests_a_second_and_is_told_when_to_come_back() {
    let server = TestServer::without_model(|options| options.requests_per_second_max = Some(3));
    let ask = || server.exchange("simile.v1.Admin/Info", vec![Vec::new()]);
    // In one second or two: more than these are never let in.
    let answers: Vec<_> = (0..50).map(|_| ask()).collect();
    let refused: Vec<&Status> = answers.iter().filter_map(|answer| answer.as_ref().err()).collect();
    assert!(answers[0].is_ok() && !refused.is_empty());
    assert_eq!(refused[0].code(), Code::ResourceExhausted);
    assert!(refused[0].message().contains("its 3 requests of this second"), "{}", refused[0]);
    assert!(refused[0].metadata().contains_key("retry-after"));
}

#[test]
fn a_key_with_bounds_of_its_own_asks_as_fast_as_they_say_whatever_others_may() {
    let folder = tempfile::tempdir().unwrap();
    let store = KeyStore::open(folder.path()).unwrap();
    let make = |name: &str, seed: u8, rates| {
        let (name, scope) = (name.to_owned(), Scope::Read);
        let new = NewKey { name, scope, collections: None, expires_unix_ms: None, rates };
        store.create(new, &[[seed; 32], [seed + 100; 32]], NOW - 10).unwrap()
    };
    let few = Rates { requests_per_second_max: Some(2), ..Rates::default() };
    let many = Rates { requests_per_second_max: Some(1_000_000), ..Rates::default() };
    let small = Rates { requests_per_second_max: Some(1_000), bytes_per_second_max: Some(10) };
    let keys = [("few", few), ("many", many), ("small", small), ("usual", Rates::default())];
    let keys: Vec<_> =
        (1..).zip(keys).map(|(seed, (name, rates))| make(name, seed, rates)).collect();
    let server = TestServer::without_model(|options| {
        options.access = Access::Keys(Arc::new(store));
        options.requests_per_second_max = Some(3);
    });
    let ask = |place: usize, message: &[u8]| {
        let header = Some(("authorization", format!("Bearer {}", keys[place].1)));
        server.exchange_as("simile.v1.Admin/Info", vec![message.to_vec()], header)
    };
    let refused = |place: usize| {
        let answers = (0..50).map(|_| ask(place, b""));
        answers
            .filter_map(Result::err)
            .map(|status| status.message().to_owned())
            .collect::<Vec<_>>()
    };
    let id = |place: usize| &keys[place].0.id;
    let said = refused(0);
    assert!(said[0].contains(&format!("key {} has made its 2 requests", id(0))), "{said:?}");
    assert_eq!(refused(1), [""; 0], "the bound of the server is for keys without one");
    let said = refused(3);
    assert!(said[0].contains("has made its 3 requests"), "{said:?}");
    // A field that nobody knows, of so many bytes.
    let message = [b"\xfa\x07\x28".as_slice(), &[b'x'; 40]].concat();
    ask(2, &message).unwrap();
    let status = ask(2, &message).unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    assert!(status.message().contains("has sent its 10 bytes of this second"), "{status}");
    assert!(status.metadata().contains_key("retry-after"));
}

#[test]
fn a_key_of_some_collections_reaches_these_only() {
    let guarded = Guarded::start();
    let own = guarded.key("admin of own");
    let create = |name: &str| collection(name, 2).encode_to_vec();
    guarded.ask("simile.v1.Collections/Create", own, create("own")).unwrap();
    let status = guarded.ask("simile.v1.Collections/Create", own, create("other")).unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    assert!(status.message().contains("is not for collection `other`"), "{status}");
    // Two names in one message: readers differ in which of them they take.
    let mut both = collection("own", 2).encode_to_vec();
    both.extend(b"\x0a\x05other");
    let status = guarded.ask("simile.v1.Collections/Delete", own, both).unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    // As clients of Qdrant send it.
    let header = Some(("api-key", own.to_owned()));
    let message = b"\x0a\x03own".to_vec();
    guarded.server.exchange_as("qdrant.Points/Count", vec![message], header).unwrap();
}
