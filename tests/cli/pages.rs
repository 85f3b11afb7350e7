//! Help, completions, the manual, and answers that nobody reads to the end.

use std::io::Read as _;

use super::program::{Program, end_of};

#[test]
fn every_shell_gets_its_completions() {
    let program = Program::without_models();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = program.run(&["completions", shell]).done().stdout;
        for word in ["ingest", "collection", "offline", "doctor"] {
            assert!(script.contains(word), "{shell} lacks {word}");
        }
    }
    program.write("completions.bash", program.run(&["completions", "bash"]).stdout);
    let source = "source completions.bash && complete -p simile";
    let shell = std::process::Command::new("bash")
        .args(["-c", source])
        .current_dir(program.folder())
        .output()
        .unwrap();
    assert!(shell.status.success(), "{shell:?}");
}

#[test]
fn the_manual_has_a_page_for_every_command() {
    let program = Program::without_models();
    let page = program.run(&["man"]).done().stdout;
    assert!(page.starts_with(".ie") || page.contains(".TH simile"), "{page}");
    for words in ["SYNOPSIS", "Exit codes", "SIMILE_*"] {
        assert!(page.contains(words), "the manual lacks {words}");
    }
    program.run(&["man", "--folder", "pages"]).done();
    for name in ["simile.1", "simile-ingest.1", "simile-collection-create.1", "simile-doctor.1"] {
        let page = fs_err::read_to_string(program.folder().join("pages").join(name)).unwrap();
        assert!(page.contains("OPTIONS"), "{name}");
    }
}

#[test]
fn the_help_teaches_and_a_bare_call_shows_it() {
    let program = Program::without_models();
    let help = program.run(&["--help"]).done().stdout;
    for words in ["Start here:", "simile demo", "Exit codes:", "130", "SIMILE_*"] {
        assert!(help.contains(words), "the help lacks {words}");
    }
    let mut bare = program.command(&[]);
    // Clap counts settings from the environment as arguments.
    for name in ["SIMILE_DATA", "SIMILE_CACHE", "SIMILE_OFFLINE"] {
        bare.env_remove(name);
    }
    let bare = end_of(bare.spawn().unwrap());
    assert_eq!(bare.code, 2);
    assert!(bare.stderr.contains("Start here:"), "{}", bare.stderr);
    let version = program.run(&["--version"]).done().stdout;
    assert_eq!(version, format!("simile {}\n", env!("CARGO_PKG_VERSION")));
    for command in ["ingest", "search", "serve", "embed", "delete", "collection create"] {
        let words: Vec<&str> = command.split(' ').chain(["--help"]).collect();
        let help = program.run(&words).done().stdout;
        assert!(help.contains("Examples:"), "{command} shows no example");
    }
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let program = Program::without_models();
    let mut child = program.command(&["completions", "bash"]).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    // As `head -c 10` does.
    stdout.read_exact(&mut [0; 10]).unwrap();
    drop(stdout);
    let left = end_of(child);
    assert_eq!((left.code, left.stderr.as_str()), (0, ""));
}
