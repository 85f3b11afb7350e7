//! The pages of `simile cluster`, opened in headless Chromium: searched, clicked, and looked at.
//!
//! Needs a Chromium on the path, or where `SIMILE_CHROMIUM` says. What the pages hold is tested without one.

use simile::decode::encode_jpeg;
use simile::picture::Picture;

use super::browser::Browser;
use super::cluster::TEXTS;
use super::program::Program;

const WIDTH: u32 = 1_280;
const HEIGHT: u32 = 860;
/// How many patches a side of one has.
const PATCHES: f64 = 7.0;
/// The side of a made picture.
const SIDE: u32 = 240;

#[test]
fn the_page_of_clusters_can_be_searched_clicked_and_looked_at() {
    let Some(chromium) = Browser::find() else {
        println!("not looked at: there is no Chromium (Debian: chromium-headless-shell)");
        return;
    };
    let program = Program::new();
    for (class, texts) in TEXTS {
        for (number, text) in texts.iter().enumerate() {
            program.write(&format!("texts/{class}/{number}.txt"), text);
        }
    }
    for scene in 0..4 {
        for copy in 0..3 {
            let jpeg = encode_jpeg(&picture(scene, copy), [95, 60, 80][copy as usize]);
            program.write(&format!("photos/scene-{scene}-{copy}.jpg"), jpeg);
        }
    }
    let serving = program.serve(&[]);
    program.run(&["ingest", "texts", "-c", "notes"]).done();
    program.run(&["ingest", "photos", "-c", "photos"]).done();
    let kmeans = ["--method", "kmeans", "--k", "3", "--html", "notes.html", "--quiet"];
    program.run(&[&["cluster", "-c", "notes"], &kmeans[..]].concat()).done();
    let same = ["--method", "duplicates", "--keep", "largest", "--html", "same.html", "--quiet"];
    program.run(&[&["cluster", "-c", "photos"], &same[..]].concat()).done();
    assert_eq!(serving.stop("TERM").0, 0);
    let page = |name: &str| program.folder().join(name);
    texts_are_found_by_words_keys_and_on_the_map(Browser::open(
        &chromium,
        &page("notes.html"),
        WIDTH,
        HEIGHT,
    ));
    copies_stand_side_by_side(Browser::open(&chromium, &page("same.html"), WIDTH, HEIGHT));
    one_column_is_enough(Browser::open(&chromium, &page("notes.html"), 420, HEIGHT));
}

/// A quilt that differs from scene to scene; a copy is mirrored, or smaller.
fn picture(scene: u32, copy: u32) -> Picture {
    let side = if copy == 2 { SIDE / 2 } else { SIDE };
    let sample = |x: u32, y: u32| {
        let (x, y) = (f64::from(x) / f64::from(side), f64::from(y) / f64::from(side));
        let x = if copy == 1 { 1.0 - x } else { x };
        let patch = |part: f64| ((part * PATCHES) as u64).min(PATCHES as u64 - 1);
        let number = (u64::from(scene) * 100 + patch(y)) * 100 + patch(x);
        let level = (number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as u8;
        [level, level / 2 + 30 * scene as u8, 255 - level]
    };
    let pixels = (0..side).flat_map(|y| (0..side).flat_map(move |x| sample(x, y)));
    Picture::new(side, side, pixels.collect()).unwrap()
}

fn texts_are_found_by_words_keys_and_on_the_map(mut page: Browser) {
    let cards = "document.querySelectorAll('.cluster').length";
    let chosen = "document.querySelectorAll('.cluster.chosen').length";
    assert_eq!(page.value(cards), 3);
    assert_eq!(page.value("document.title"), "notes - clusters");
    let figures = page.value("document.getElementById('figures').textContent");
    assert!(
        figures.as_str().unwrap().starts_with("3 clusters · 18 documents · 0 in none · kmeans")
    );
    // The medoid stands first in each.
    let first =
        "[...document.querySelectorAll('.cluster li:first-child .tag')].map((n) => n.textContent)";
    assert_eq!(page.value(first), serde_json::json!(["medoid", "medoid", "medoid"]));
    page.value("document.documentElement.classList.remove('dark'); show(); true");
    let light = page.screenshot("clusters-light");
    assert!(light.brightness() > 200.0, "{}", light.brightness());
    // The map is on the right half, and has points of the three colours.
    let dots = light.coloured(WIDTH / 2, 100, WIDTH / 2, HEIGHT - 120);
    assert!(dots > 0.0001, "{dots}");

    // Typing finds, and Escape shows all again.
    page.press("/");
    assert_eq!(page.value("document.activeElement.id"), "find");
    page.type_text("kitten");
    page.wait("document.querySelectorAll('.cluster').length === 1");
    let found = page.value("[...document.querySelectorAll('li .text')].map((n) => n.textContent)");
    let found = found.as_array().unwrap();
    assert!(found.len() >= 2, "{found:?}");
    page.type_text(" nowhere");
    page.wait("document.querySelector('#list').textContent === 'Nothing matches.'");
    page.press("Escape");
    page.wait("document.querySelectorAll('.cluster').length === 3");

    // Keys go from cluster to cluster, and show more of one.
    page.press("j");
    assert_eq!(page.value("document.querySelector('.cluster.chosen').id"), "cluster-0");
    page.press("ArrowDown");
    assert_eq!(page.value("document.querySelector('.cluster.chosen').id"), "cluster-1");
    page.press("k");
    assert_eq!(page.value("document.querySelector('.cluster.chosen').id"), "cluster-0");
    let rows = "document.querySelectorAll('#cluster-0 li').length";
    assert_eq!(page.value(rows), 4);
    page.press("Enter");
    assert_eq!(page.value(rows), 6);
    page.press("Escape");
    assert_eq!(page.value(chosen), 0);
    page.click("#cluster-2 button.more");
    assert_eq!(page.value("document.querySelectorAll('#cluster-2 li').length"), 6);
    page.click("#cluster-2 h2");
    assert_eq!(page.value("document.querySelector('.cluster.chosen').id"), "cluster-2");

    // Hovering over a point says what it is, and clicking it chooses its cluster.
    let place = page.value(
        "(() => { const box = canvas.getBoundingClientRect(), item = groups[1].items[0]; \
         return [box.x + frame.x(item), box.y + frame.y(item)]; })()",
    );
    let (x, y) = (place[0].as_f64().unwrap(), place[1].as_f64().unwrap());
    page.move_to(x, y);
    page.wait("!document.getElementById('tip').hidden");
    let tip = page.value("document.getElementById('tip').textContent");
    assert!(tip.as_str().unwrap().starts_with("texts/"), "{tip}");
    page.click_at(x, y);
    assert_eq!(page.value("document.querySelector('.cluster.chosen').id"), "cluster-1");

    // Light becomes dark, by a key and by the button.
    page.press("d");
    assert_eq!(page.value("document.documentElement.classList.contains('dark')"), true);
    let dark = page.screenshot("clusters-dark");
    assert!(dark.brightness() < 90.0, "{}", dark.brightness());
    page.click("#shade");
    assert_eq!(page.value("document.documentElement.classList.contains('dark')"), false);
    assert_eq!(page.complaints, Vec::<String>::new());
}

fn copies_stand_side_by_side(mut page: Browser) {
    page.value("document.documentElement.classList.remove('dark'); show(); true");
    let groups = page.value(
        "[...document.querySelectorAll('.cluster')].filter((n) => n.textContent.includes('one picture')).length",
    );
    assert_eq!(groups, 4);
    // The three of a group are on one line, the one to keep first, and their pictures are shown.
    let tops = page.value(
        "[...document.querySelectorAll('#cluster-0 li')].map((n) => Math.round(n.getBoundingClientRect().top))",
    );
    let tops = tops.as_array().unwrap();
    assert!(tops.len() == 3 && tops.iter().all(|top| *top == tops[0]), "{tops:?}");
    assert_eq!(page.value("document.querySelector('#cluster-0 li').className"), "kept");
    page.wait("[...document.querySelectorAll('#cluster-0 img')].every((n) => n.naturalWidth > 0)");
    let seen = page.screenshot("duplicates");
    assert!(seen.coloured(0, 100, WIDTH / 2, HEIGHT - 120) > 0.05);
    assert_eq!(page.complaints, Vec::<String>::new());
}

fn one_column_is_enough(mut page: Browser) {
    let wide = "document.documentElement.scrollWidth <= window.innerWidth";
    assert_eq!(page.value(wide), true, "nothing is cut off on a narrow screen");
    page.screenshot("narrow");
    assert_eq!(page.complaints, Vec::<String>::new());
}
