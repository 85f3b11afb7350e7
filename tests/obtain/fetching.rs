//! Fetching from the model hub.

use std::net::TcpListener;
use std::sync::Arc;

use super::hub::{Asked, HubServer, Reply};
use super::{Place, assert_says, names};

/// Starts a server that answers for both files, by `answer`, which is given the file's content.
fn serving(answer: impl Fn(&[u8], &Asked, usize) -> Reply + Send + 'static) -> (HubServer, Place) {
    let place = Place::on_hub("");
    let weights = place.weights.clone();
    let server = HubServer::start(move |asked, number| {
        let content = if asked.path.ends_with("/config.json") { super::CONFIG } else { &weights };
        answer(content, asked, number)
    });
    let place = Place { hub: server.url(), ..place };
    (server, place)
}

/// The ranges in which the weights were asked for.
fn asked_from(server: &HubServer) -> Vec<Option<usize>> {
    let asked = server.asked().into_iter();
    asked.filter(|asked| asked.path.ends_with("/weights.bin")).map(|asked| asked.from).collect()
}

#[test]
fn files_are_fetched_under_their_revision_and_once() {
    let (server, place) = serving(|content, asked, _| Reply::of(content, asked));
    place.pull().unwrap();
    place.assert_complete();
    let base = "/owner/little/resolve/refs%2Fpr%2F1";
    let paths: Vec<String> = server.asked().into_iter().map(|asked| asked.path).collect();
    assert_eq!(paths, [format!("{base}/weights.bin"), format!("{base}/config.json")]);
    place.pull().unwrap();
    assert_eq!(server.asked().len(), 2, "what is here is not fetched again");
    fs_err::write(place.model().join("config.json"), "{}").unwrap();
    place.pull().unwrap();
    place.assert_complete();
    assert_eq!(server.asked().len(), 3, "only the file that is damaged is fetched again");
}

#[test]
fn redirects_to_another_path_and_to_another_host_are_followed() {
    let store = {
        let place = Place::on_hub("");
        HubServer::start(move |asked, _| Reply::of(place.content_of(&asked.path), asked))
    };
    // Another name is another host, though the same machine.
    let elsewhere = store.url().replace("127.0.0.1", "localhost");
    let (server, place) = serving(move |_, asked, _| {
        let name = asked.path.rsplit('/').next().unwrap();
        if asked.path.starts_with("/cdn") {
            Reply::redirect(&format!("{elsewhere}/blobs/{name}"))
        } else {
            Reply::redirect(&format!("/cdn/{name}"))
        }
    });
    place.pull().unwrap();
    place.assert_complete();
    assert_eq!(server.asked().len(), 4);
    assert_eq!(store.asked()[0].path, "/blobs/weights.bin");
}

#[test]
fn redirects_in_a_circle_end() {
    let (server, place) = serving(|_, _, _| Reply::redirect("/again"));
    let error = place.pull().unwrap_err().to_string();
    assert_says(&error, &["weights.bin", "redirect"]);
    assert!(server.asked().len() < 50, "{}", server.asked().len());
}

#[test]
fn a_transfer_that_breaks_off_goes_on_where_it_stopped() {
    let (server, place) = serving(|content, asked, number| match number {
        0 => Reply::of(content, asked).broken_after(70_000),
        1 => Reply::of(content, asked).broken_after(30_000),
        _ => Reply::of(content, asked),
    });
    place.pull().unwrap();
    place.assert_complete();
    assert_eq!(asked_from(&server), [None, Some(70_000), Some(100_000)]);
}

#[test]
fn a_later_run_goes_on_where_an_earlier_one_gave_up() {
    let (server, place) = serving(|content, asked, number| match number {
        0 => Reply::of(content, asked).broken_after(70_000),
        _ => Reply::status(503),
    });
    let error = place.pull().unwrap_err().to_string();
    assert_says(&error, &["weights.bin", "503", "after 4 tries", "goes on from here", "--hub"]);
    drop(server);
    let (server, healthy) = serving(|content, asked, _| Reply::of(content, asked));
    let place = Place { hub: healthy.hub, ..place };
    place.pull().unwrap();
    place.assert_complete();
    assert_eq!(asked_from(&server), [Some(70_000)]);
}

#[test]
fn a_server_that_ignores_or_mistakes_the_range_does_no_harm() {
    let replies: [fn(&[u8]) -> Reply; 3] =
        [Reply::whole, |content| Reply::range(content, 1), |_| Reply::status(416)];
    for (number_of_reply, second) in replies.into_iter().enumerate() {
        let (server, place) = serving(move |content, asked, number| match number {
            0 => Reply::of(content, asked).broken_after(70_000),
            1 => second(content),
            _ => Reply::of(content, asked),
        });
        place.pull().unwrap();
        place.assert_complete();
        let expected = match number_of_reply {
            0 => vec![None, Some(70_000)],
            _ => vec![None, Some(70_000), None],
        };
        assert_eq!(asked_from(&server), expected, "reply {number_of_reply}");
    }
}

#[test]
fn a_part_of_another_revision_is_thrown_away() {
    let (server, place) = serving(|content, asked, _| Reply::of(content, asked));
    let staging = place.model().join(".hub");
    fs_err::create_dir_all(&staging).unwrap();
    let hash = format!("{:x}", <sha2::Sha256 as sha2::Digest>::digest(&place.weights));
    fs_err::write(staging.join(format!("{hash}.part")), vec![7; 1_000]).unwrap();
    place.pull().unwrap();
    place.assert_complete();
    assert_eq!(asked_from(&server), [Some(1_000), None]);
}

#[test]
fn a_file_with_another_hash_is_refused_and_not_kept() {
    let (server, place) = serving(|content, asked, _| {
        let mut content = content.to_vec();
        content[5] ^= 1;
        Reply::of(&content, asked)
    });
    let error = place.pull().unwrap_err().to_string();
    assert_says(&error, &["weights.bin: expected SHA-256 ", ", got ", "it was not kept"]);
    assert_eq!(names(&place.model().join(".hub")), Vec::<String>::new());
    assert!(!place.model().join("weights.bin").exists());
    drop(server);
    let (_server, healthy) = serving(|content, asked, _| Reply::of(content, asked));
    let place = Place { hub: healthy.hub, ..place };
    place.pull().unwrap();
    place.assert_complete();
}

#[test]
fn a_file_of_another_length_is_refused_before_it_fills_the_disk() {
    let (server, place) = serving(|content, _, _| Reply::whole(&[content, b"more"].concat()));
    let error = place.pull().unwrap_err().to_string();
    assert_says(&error, &["expected 200000 bytes, got 200004"]);
    assert_eq!(server.asked().len(), 1, "asking again would bring the same");
    let (_server, place) =
        serving(|content, _, _| Reply::whole(&content.repeat(9)).without_length());
    let error = place.pull().unwrap_err().to_string();
    assert_says(&error, &["expected 200000 bytes, got more"]);
    let parts = fs_err::read_dir(place.model().join(".hub")).unwrap();
    assert!(parts.map(|part| part.unwrap().metadata().unwrap().len()).sum::<u64>() == 0);
}

#[test]
fn an_end_without_a_length_is_noticed() {
    let (server, place) = serving(|content, asked, number| match number {
        0 => Reply::whole(&content[..1_234]).without_length(),
        _ => Reply::of(content, asked),
    });
    place.pull().unwrap();
    place.assert_complete();
    assert_eq!(asked_from(&server), [None, Some(1_234)]);
}

#[test]
fn what_passes_is_tried_again_and_what_lasts_is_not() {
    for status in [500, 502, 503, 429, 408] {
        let (server, place) = serving(move |content, asked, number| match number {
            0 | 1 => Reply::status(status),
            _ => Reply::of(content, asked),
        });
        place.pull().unwrap();
        place.assert_complete();
        assert_eq!(server.asked().len(), 4, "{status}");
    }
    let lasting = [
        (404, &["404", "repository, revision or file", "--hub"][..]),
        (401, &["401", "has to be public"]),
        (403, &["403", "has to be public"]),
        (410, &["410"]),
    ];
    for (status, words) in lasting {
        let (server, place) = serving(move |_, _, _| Reply::status(status));
        let error = place.pull().unwrap_err().to_string();
        assert_says(&error, words);
        assert_says(&error, &["weights.bin", &server.url()]);
        assert_eq!(server.asked().len(), 1, "{status}");
    }
}

#[test]
fn a_hub_that_cannot_be_reached_is_named() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let place = Place::on_hub(&format!("http://{closed}"));
    let error = place.pull().unwrap_err().to_string();
    assert_says(&error, &["model little could not be obtained", &closed.to_string(), "refused"]);
    assert_says(&error, &["--hub (SIMILE_HUB)", "simile model pull"]);
}

#[test]
fn offline_nothing_is_asked() {
    let (server, place) = serving(|content, asked, _| Reply::of(content, asked));
    let place = Place { is_offline: true, ..place };
    let error = place.pull().unwrap_err().to_string();
    assert_says(&error, &["model little is not here", "--offline", "--cache"]);
    assert_eq!(server.asked(), []);
}

#[test]
fn two_that_fetch_at_once_fetch_once() {
    let (server, place) = serving(|content, asked, _| Reply::of(content, asked));
    let place = Arc::new(place);
    let other = Arc::clone(&place);
    let first = std::thread::spawn(move || other.pull().unwrap());
    place.pull().unwrap();
    first.join().unwrap();
    place.assert_complete();
    assert_eq!(server.asked().len(), 2);
}
