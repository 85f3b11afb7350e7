//! Learned sparse vectors and vectors of tokens, from texts that are stored to texts that are found, over
//! gRPC: the order is that of the reference's vectors.

use std::collections::BTreeMap;

use simile::embed::AddOptions;
use simile_proto::v1::{self as wire};

use super::messages::{ask, hit_ids, text_document};
use super::server::TestServer;
use crate::support;
use crate::tokens::{Expected, fixture};

/// The ids of the texts, best first.
fn order(scores: &[f32]) -> Vec<String> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    order.into_iter().map(|place| format!("t{place}")).collect()
}

fn dot(a: &[(u32, f32)], b: &[(u32, f32)]) -> f32 {
    let b: BTreeMap<u32, f32> = b.iter().copied().collect();
    a.iter().map(|(word, weight)| weight * b.get(word).copied().unwrap_or(0.0)).sum()
}

fn max_sim(question: &[Vec<f32>], passage: &[Vec<f32>]) -> f32 {
    let product = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    let best =
        |row: &Vec<f32>| passage.iter().map(|other| product(row, other)).fold(-1.0, f32::max);
    question.iter().map(best).sum()
}

#[test]
fn texts_are_found_by_weights_of_words_and_by_their_tokens() {
    let folder = tempfile::tempdir().unwrap();
    let own = support::catalogue_with(folder.path());
    for name in ["splade-bert", "colbert-bert"] {
        own.add(name, &fixture(name), &AddOptions::default(), &|_, _, _| {}).unwrap();
    }
    let options = simile::embed::CatalogueOptions {
        own: Some(folder.path().join("own")),
        ..support::catalogue_options()
    };
    let server = TestServer::start(options, |_| {});
    let vector = |model: &str| wire::VectorConfig {
        source: Some(wire::vector_config::Source::Embedder(model.to_owned())),
        ..Default::default()
    };
    server.create(wire::CreateCollectionRequest {
        name: "c".to_owned(),
        vectors: [
            ("words".to_owned(), vector("splade-bert")),
            ("late".to_owned(), vector("colbert-bert")),
        ]
        .into(),
        // Longer texts would become several passages.
        ..Default::default()
    });
    let Expected { texts, sparse, multi, .. } = Expected::read();
    let short: Vec<usize> = (0..8).collect();
    let documents = short.iter().map(|&place| text_document(&format!("t{place}"), &texts[place]));
    server.store("c", documents.collect());
    for &place in &short {
        for using in ["words", "late"] {
            let request = wire::SearchRequest {
                using: Some(using.to_owned()),
                mode: wire::Mode::Semantic.into(),
                ..ask("c", &texts[place])
            };
            let answer = server.ask(server.searches().search(request)).unwrap();
            let scores: Vec<f32> = short
                .iter()
                .map(|&other| match using {
                    "words" => dot(&sparse["splade-bert"][place], &sparse["splade-bert"][other]),
                    _ => {
                        let theirs = &multi["colbert-bert"];
                        max_sim(&theirs.queries[place], &theirs.passages[other])
                    }
                })
                .collect();
            assert_eq!(hit_ids(&answer), order(&scores), "{using} of {:?}", texts[place]);
        }
    }
}
