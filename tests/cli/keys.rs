//! `simile key`, and a server that is safe to leave running.

use super::program::Program;

#[test]
fn from_the_first_key_on_the_server_answers_nobody_without_one() {
    let program = Program::without_models();
    let serving = program.serve(&[]);
    program.run(&["collection", "create", "notes", "--vector", "v=2"]).done();
    let made = program.run(&["key", "create", "reader", "--only", "notes", "--json"]).done().json();
    let (key, id) = (made["key"].as_str().unwrap(), made["id"].as_str().unwrap());
    assert_eq!((made["scope"].as_str(), key.len()), (Some("read"), "simile_".len() + 64));
    // The server that runs sees it at once.
    let refused = program.run(&["collection", "info", "notes"]);
    assert_eq!(refused.code, 5, "{}", refused.stderr);
    assert!(refused.stderr.contains("a key is needed"), "{}", refused.stderr);
    let url = format!("http://{}", serving.address);
    let with = |key: &str, arguments: &[&str]| {
        let mut command = program.command(arguments);
        let child = command.env("SIMILE_KEY", key).args(["--server", &url]).spawn().unwrap();
        super::program::end_of(child)
    };
    with(key, &["collection", "info", "notes"]).done();
    let refused = with(key, &["collection", "delete", "notes", "--yes"]);
    assert_eq!(refused.code, 5, "{}", refused.stderr);
    assert!(refused.stderr.contains("has scope read"), "{}", refused.stderr);
    let refused = with(key, &["collection", "info", "other"]);
    assert!(refused.stderr.contains("is not for collection `other`"), "{}", refused.stderr);
    let list = program.run(&["key", "list"]).done().stdout;
    assert!(list.contains(id) && list.contains("reader: read, notes, never expires"), "{list}");
    assert!(!list.contains(key), "{list}");
    let slow =
        ["key", "create", "slow", "--requests-per-second", "5", "--bytes-per-second", "4MiB"];
    assert!(program.run(&slow).done().stdout.starts_with("simile_"));
    let list = program.run(&["key", "list"]).done().stdout;
    assert!(list.contains("never expires, 5 requests a second, 4.00 MiB a second"), "{list}");
    program.run(&["key", "revoke", id]).done();
    let refused = with(key, &["collection", "info", "notes"]);
    assert!(refused.stderr.contains("the key is not valid"), "{}", refused.stderr);
    let (code, log) = serving.stop("TERM");
    assert_eq!(code, 0, "{log}");
    assert!(!log.contains(key), "{log}");
    // What changes something is written down with the key's id; before the first key there is none.
    assert!(log.contains("\"target\":\"audit\""), "{log}");
    assert!(log.contains("simile.v1.Collections/Create"), "{log}");
    // A command that runs its own server needs no key: whoever may read the folder may do all.
    program.run(&["collection", "info", "notes"]).done();
}

#[test]
fn other_machines_are_let_in_by_certificate_and_key_only() {
    let program = Program::without_models();
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    program.write("cert.pem", made.cert.pem());
    program.write("key.pem", made.signing_key.serialize_pem());
    let tls = ["--tls-cert", "cert.pem", "--tls-key", "key.pem"];
    let all = [&["serve", "--listen", "0.0.0.0:0"], tls.as_slice()].concat();
    let refused = program.run(&all);
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(refused.stderr.contains("there is no key"), "{}", refused.stderr);
    let made =
        program.run(&["key", "create", "operator", "--scope", "admin", "--json"]).done().json();
    let key = made["key"].as_str().unwrap();
    let serving = program.serve(&tls);
    let ask = |url: &str, ca: &str| {
        let mut command = program.command(&["collection", "list", "--server", url]);
        let child = command.env("SIMILE_KEY", key).env("SIMILE_CA", ca).spawn().unwrap();
        super::program::end_of(child)
    };
    ask(&format!("https://{}", serving.address), "cert.pem").done();
    let plain = ask(&format!("http://{}", serving.address), "cert.pem");
    assert_ne!(plain.code, 0, "{}", plain.stdout);
    let other = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    program.write("other.pem", other.cert.pem());
    let stranger = ask(&format!("https://{}", serving.address), "other.pem");
    assert_eq!(stranger.code, 5, "{}", stranger.stderr);
    let (code, log) = serving.stop("TERM");
    assert_eq!(code, 0, "{log}");
}

#[test]
fn a_certificate_is_replaced_by_its_files_while_the_server_runs() {
    let program = Program::without_models();
    let make = |name: &str| {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        program.write(&format!("{name}.pem"), made.cert.pem());
        made.signing_key.serialize_pem()
    };
    let shown = |name: &str| {
        let shown = fs_err::read(program.folder().join(format!("{name}.pem"))).unwrap();
        program.write("cert.pem", shown);
    };
    let keys = ["first", "second", "third"].map(make);
    shown("first");
    program.write("key.pem", &keys[0]);
    let serving = program.serve(&["--tls-cert", "cert.pem", "--tls-key", "key.pem"]);
    let url = format!("https://{}", serving.address);
    let is_shown = |name: &str| {
        let ca = format!("{name}.pem");
        program.run(&["collection", "list", "--server", &url, "--ca", &ca]).code == 0
    };
    let comes = |name: &str, seconds: u64| {
        let begin = std::time::Instant::now();
        while !is_shown(name) {
            assert!(begin.elapsed().as_secs() < seconds, "{name} was not shown");
        }
    };
    assert!(is_shown("first") && !is_shown("second"));
    // By itself it looks every ten seconds.
    shown("second");
    program.write("key.pem", &keys[1]);
    comes("second", 30);
    // A certificate without its key: what was shown goes on, and the next word mends it.
    shown("third");
    serving.signal("HUP");
    assert!(is_shown("second"));
    program.write("key.pem", &keys[2]);
    serving.signal("HUP");
    comes("third", 30);
    assert!(!is_shown("second"));
    let (code, log) = serving.stop("TERM");
    assert_eq!(code, 0, "{log}");
    assert!(log.contains("do not go together"), "{log}");
}

#[test]
fn clients_show_a_certificate_where_the_server_asks_for_one() {
    let program = Program::without_models();
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    program.write("cert.pem", made.cert.pem());
    program.write("key.pem", made.signing_key.serialize_pem());
    let serving = program.serve(&[
        "--tls-cert",
        "cert.pem",
        "--tls-key",
        "key.pem",
        "--tls-client-ca",
        "cert.pem",
    ]);
    let url = format!("https://{}", serving.address);
    let ask = ["collection", "list", "--server", &url, "--ca", "cert.pem", "--timeout", "5"];
    let refused = program.run(&ask);
    assert_ne!(refused.code, 0, "a client without a certificate was answered");
    let (code, log) = serving.stop("TERM");
    assert_eq!(code, 0, "{log}");
}
