//! A disk that takes no more: the server says so and goes on running, and what was acknowledged is
//! there after it was started again.
#![cfg(unix)]

use std::process::Command;

use simile_proto::v1 as wire;

use super::plain::scratch;
use super::server::{Server, Versioned, program};

/// No file may become larger: as full as a disk can be made without being one's own.
const FILE_BYTES_MAX: u64 = 12 << 20;

#[test]
fn a_full_disk_ends_writing_and_loses_nothing_that_was_acknowledged() {
    let folder = scratch();
    let data = folder.path().join("data");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut shell = Command::new("sh");
        let blocks = FILE_BYTES_MAX / 512;
        // Without the trap the system ends who writes beyond the limit.
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
        shell.args(["-c", &script, program()]);
        let mut server = Server::start_as(&data, shell);
        let client = server.connect().await;
        client.create("c").await;
        let mut acknowledged = Vec::new();
        let mut refused = None;
        for version in 0..2_000 {
            let documents: Vec<Versioned> =
                (0..64).map(|n| Versioned { id: format!("d{version}-{n}"), version }).collect();
            let (stored, answer) = client.store("c", &documents).await;
            acknowledged.extend(stored);
            if let Err(reason) = answer {
                refused = Some(reason);
                break;
            }
        }
        let reason = refused.expect("the limit was not reached");
        assert!(reason.contains("read-only"), "{reason}");
        assert!(acknowledged.len() > 64, "{}", acknowledged.len());
        assert!(server.is_running());
        // It says so.
        let info = client.info("c").await;
        assert_eq!(info.state(), wire::CollectionState::ReadOnly);
        assert!(!info.state_reason.is_empty());
        let error = client.delete("c", "d0-0").await.unwrap_err();
        assert!(error.contains("read-only"), "{error}");
        // The engine of the tables reads nothing after a failed write; that is told, and nothing else.
        match client.page("c", "").await {
            Ok((page, _)) => assert!(page.iter().all(|(_, version)| version.is_some())),
            Err(error) => assert!(error.contains("a write failed"), "{error}"),
        }
        assert!(server.is_running());
        drop(server);
        let server = Server::start(&data);
        let client = server.connect().await;
        let stored = client.stored("c").await;
        for document in &acknowledged {
            assert_eq!(stored.get(&document.id), Some(&Some(document.version)), "{document:?}");
        }
        client.verify("c", "after the restart").await;
        let more = [Versioned { id: "more".to_owned(), version: 1 }];
        assert_eq!(client.store("c", &more).await.1, Ok(()));
    });
}
