//! The server is killed under eight writers, again and again: what it had acknowledged is there, and
//! nothing is half there.
//!
//! `SIMILE_KILL_CYCLES=200 cargo test --test behaviour killed -- --nocapture` does it more often. It
//! does not show durability, since the kernel keeps what a killed process wrote:
//! `benches/power_cut.py` does.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::plain::{Random, scratch};
use super::server::{Client, Server, Versioned};

const CYCLES: u64 = 6;
const WRITERS: u64 = 8;
/// Few, so that documents are replaced.
const IDS: u64 = 25;

/// What a writer knows: for each id the version that was acknowledged (none: that it is deleted), and
/// what it had sent without an answer when the server was gone.
#[derive(Debug, Default)]
struct Known {
    acknowledged: HashMap<String, Option<i64>>,
    unanswered: HashMap<String, Option<i64>>,
    operations: u64,
}

#[test]
fn what_was_acknowledged_before_the_server_was_killed_is_there() {
    let cycles = std::env::var("SIMILE_KILL_CYCLES").map_or(CYCLES, |text| text.parse().unwrap());
    let folder = scratch();
    let data = folder.path().join("data");
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let mut random = Random(3);
        let mut known = HashMap::new();
        let (mut operations, mut unanswered) = (0, 0);
        for cycle in 0..=cycles {
            let story = format!("cycle {cycle}");
            let server = Server::start(&data);
            let client = server.connect().await;
            if cycle == 0 {
                client.create("c").await;
            } else {
                known = settle(&client.stored("c").await, known, &story);
                client.verify("c", &story).await;
            }
            if cycle == cycles {
                break;
            }
            let writers = kill_under_writers(server, client, cycle, 30 + random.below(200)).await;
            for writer in writers {
                operations += writer.operations;
                unanswered += writer.unanswered.len() as u64;
                for (id, version) in writer.acknowledged {
                    known.insert(id, vec![version]);
                }
                for (id, version) in writer.unanswered {
                    known.entry(id).or_insert_with(|| vec![None]).push(version);
                }
            }
        }
        println!(
            "{cycles} kills, {operations} operations acknowledged, {unanswered} unanswered, 0 lost"
        );
        assert!(unanswered > 0, "no kill hit a write");
    });
}

/// Kills the server when its writers have been answered so many times; returns what they know.
async fn kill_under_writers(
    server: Server,
    client: Client,
    cycle: u64,
    operations: u64,
) -> Vec<Known> {
    let done = Arc::new(AtomicU64::new(0));
    let enough = Arc::new(tokio::sync::Notify::new());
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (client, done, enough) = (client.clone(), Arc::clone(&done), Arc::clone(&enough));
            tokio::spawn(async move {
                let mut known = Known::default();
                let mut random = Random(cycle * 1_000 + writer);
                for count in 0.. {
                    let version = i64::try_from(cycle * 1_000_000 + count).unwrap();
                    if write(&client, &mut known, &mut random, writer, version).await.is_err() {
                        return known;
                    }
                    known.operations += 1;
                    if done.fetch_add(1, Ordering::SeqCst) + 1 >= operations {
                        enough.notify_one();
                    }
                }
                known
            })
        })
        .collect();
    enough.notified().await;
    let status = tokio::task::spawn_blocking(move || server.kill()).await.unwrap();
    #[cfg(unix)]
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
    assert!(!status.success());
    let mut known = Vec::new();
    for writer in writers {
        known.push(writer.await.unwrap());
    }
    known
}

/// Does one operation, and notes whether it was answered.
async fn write(
    client: &Client,
    known: &mut Known,
    random: &mut Random,
    writer: u64,
    version: i64,
) -> Result<(), String> {
    let mut ids: Vec<String> =
        (0..=random.below(4)).map(|_| format!("w{writer}-{}", random.below(IDS))).collect();
    ids.sort();
    ids.dedup();
    if random.below(6) == 0 {
        let answer = client.delete("c", &ids[0]).await;
        let noted = if answer.is_ok() { &mut known.acknowledged } else { &mut known.unanswered };
        noted.insert(ids[0].clone(), None);
        return answer;
    }
    let documents: Vec<Versioned> = ids.into_iter().map(|id| Versioned { id, version }).collect();
    let (stored, answer) = client.store("c", &documents).await;
    for document in &documents {
        let is_stored = stored.contains(document);
        let noted = if is_stored { &mut known.acknowledged } else { &mut known.unanswered };
        noted.insert(document.id.clone(), Some(document.version));
    }
    answer
}

/// Expects that each document is as it may be; returns what is now known of it.
fn settle(
    stored: &HashMap<String, Option<i64>>,
    known: HashMap<String, Vec<Option<i64>>>,
    story: &str,
) -> HashMap<String, Vec<Option<i64>>> {
    for (id, version) in stored {
        assert!(version.is_some(), "{story}: document {id} is torn");
        assert!(known.contains_key(id), "{story}: nobody stored {id}");
    }
    let settle = |(id, may_be): (String, Vec<Option<i64>>)| {
        let actual = stored.get(&id).copied().flatten();
        assert!(may_be.contains(&actual), "{story}: document {id} is {actual:?}, not {may_be:?}");
        (id, vec![actual])
    };
    known.into_iter().map(settle).collect()
}
