//! `simile search` and `simile embed`.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::path::Path;

use serde_json::{Value as Json, json};
use simile_proto::v1::fusion::Kind;
use simile_proto::v1::search_batch_result::Outcome as BatchOutcome;
use simile_proto::v1::{self as wire};

use super::arguments::{EmbedArguments, Fusion, Mode, SearchArguments, Syntax};
use super::connection::{Session, with_session};
use super::documents::{place, span_to_json};
use super::exit::{CliError, Outcome};
use super::near::{by_video, search_near};
use super::output::{BAD, FAINT, MATCH, Output, STRONG, TITLE, styled};
use super::pictures::{Terminal, Thumbnails};
use super::serve::Setting;
use super::{filter, pictures, value};
use crate::error::ErrorKind;
use crate::query::BATCH_MAX;

/// How many characters of a passage are shown where no words matched.
const PASSAGE_SHOWN: usize = 240;
/// How many columns of the table of similarities fit a screen.
const TEXTS_COMPARED: usize = 12;

pub(super) fn search(
    setting: &Setting,
    arguments: &SearchArguments,
    output: &Output,
) -> Result<Outcome, CliError> {
    let request = request(arguments)?;
    if let Some(id) = &arguments.shape.explain {
        return explain(setting, arguments, request, id, output);
    }
    if let Some(file) = &arguments.batch {
        return batch(setting, arguments, request, file, output);
    }
    with_session(setting, &arguments.connection, async |session| {
        if let Some(near) = &arguments.near {
            return search_near(session, request, near, arguments.within, output).await;
        }
        let request = session.request(request);
        let answer = session.search().search(request).await?.into_inner();
        if let Some(file) = &arguments.pictures.html {
            let groups = answer.groups.iter().flat_map(|group| &group.hits);
            let shown = answer.hits.iter().chain(groups).map(|hit| (hit.id.clone(), hit.part));
            let collection = &arguments.target.collection;
            let thumbnails = pictures::thumbnails(session, collection, shown).await?;
            let (question, images) = (arguments.query.as_deref(), &arguments.pictures.image);
            let page = pictures::contact_sheet(question, images, &answer, &thumbnails);
            fs_err::write(file, page)?;
            output.note(&format!("wrote {}", file.display()));
        }
        let shown = if arguments.pictures.inline && !output.is_json() {
            inline(session, &arguments.target.collection, &answer, output).await?
        } else {
            Thumbnails::new()
        };
        let render_answer = || match arguments.pictures.clip {
            Some(_) if !arguments.pictures.inline => by_video(&answer),
            _ => render(&answer, arguments.full, &shown),
        };
        output.answer(|| to_json(&answer), render_answer)?;
        Ok(Outcome::Done)
    })
}

/// Asks each line of a file; one that fails does not fail the others.
fn batch(
    setting: &Setting,
    arguments: &SearchArguments,
    search: wire::SearchRequest,
    file: &Path,
    output: &Output,
) -> Result<Outcome, CliError> {
    let text = fs_err::read_to_string(file)
        .map_err(|error| CliError::local(ErrorKind::NotFound, error.to_string()))?;
    let questions: Vec<&str> =
        text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if questions.is_empty() {
        return Err(CliError::usage(format!("{} has no questions", file.display())));
    }
    with_session(setting, &arguments.connection, async |session| {
        let mut outcome = Outcome::Done;
        let (mut answers, mut shown) = (Vec::new(), String::new());
        for questions in questions.chunks(BATCH_MAX) {
            let ask = |question: &&str| {
                let text = Some((*question).to_owned());
                wire::SearchRequest { text, ..search.clone() }
            };
            let request = wire::SearchBatchRequest {
                collection: search.collection.clone(),
                searches: questions.iter().map(ask).collect(),
            };
            let answered = session.search().search_batch(session.request(request)).await?;
            for (question, result) in questions.iter().zip(answered.into_inner().results) {
                drop(writeln!(shown, "{FAINT}?{FAINT:#} {question}"));
                match result.outcome {
                    Some(BatchOutcome::Answer(answer)) => {
                        answers.push(json!({ "query": question, "answer": to_json(&answer) }));
                        shown.push_str(&render(&answer, arguments.full, &Thumbnails::new()));
                    }
                    failed => {
                        let message = match failed {
                            Some(BatchOutcome::Error(error)) => error.message,
                            _ => "the server sent no answer".to_owned(),
                        };
                        answers.push(json!({ "query": question, "error": message }));
                        drop(writeln!(shown, "{BAD}failed:{BAD:#} {message}"));
                        outcome = Outcome::SomeFailed;
                    }
                }
            }
        }
        output.answer(|| json!({ "answers": answers }), || shown.clone())?;
        Ok(outcome)
    })
}

/// Returns the pictures of the hits as the terminal shows them.
async fn inline(
    session: &Session,
    collection: &str,
    answer: &wire::SearchResponse,
    output: &Output,
) -> Result<Thumbnails, CliError> {
    let terminal = Terminal::of(|name| std::env::var(name).ok());
    let Some(terminal) = terminal.filter(|_| std::io::stdout().is_terminal()) else {
        output.note("this is no terminal that is known to show pictures; --html writes a page");
        return Ok(Thumbnails::new());
    };
    let groups = answer.groups.iter().flat_map(|group| &group.hits);
    let parts = answer.hits.iter().chain(groups).map(|hit| (hit.id.clone(), hit.part));
    pictures::inline_thumbnails(session, collection, parts, terminal).await
}

fn explain(
    setting: &Setting,
    arguments: &SearchArguments,
    search: wire::SearchRequest,
    id: &str,
    output: &Output,
) -> Result<Outcome, CliError> {
    let request = wire::ExplainRequest { search: Some(search), id: id.to_owned() };
    with_session(setting, &arguments.connection, async |session| {
        let told = session.search().explain(session.request(request)).await?.into_inner();
        output.answer(|| explanation_to_json(&told), || render_explanation(&told))?;
        Ok(Outcome::Done)
    })
}

fn explanation_to_json(told: &wire::ExplainResponse) -> Json {
    let legs = told.legs.iter().map(|leg| {
        json!({
            "leg": leg.leg,
            "rank_exact": leg.rank_exact,
            "score": leg.score,
            "rank": leg.rank,
            "contribution": leg.contribution,
        })
    });
    let conditions = told.conditions.iter().map(|truth| json!([truth.condition, truth.holds]));
    let verdict = told.verdict().as_str_name();
    json!({
        "verdict": verdict.strip_prefix("VERDICT_").unwrap_or(verdict).to_lowercase(),
        "sentence": told.sentence,
        "rank": told.rank,
        "score": told.score,
        "legs": legs.collect::<Vec<_>>(),
        "conditions": conditions.collect::<Vec<_>>(),
    })
}

fn render_explanation(told: &wire::ExplainResponse) -> String {
    let mut text = format!("{}\n", told.sentence);
    for leg in &told.legs {
        let found = match (leg.rank_exact, leg.score) {
            (Some(rank), Some(score)) => format!("finds it as number {rank} with {score:.3}"),
            _ => "does not find it".to_owned(),
        };
        drop(writeln!(text, "  {}: {found}, and adds {:.3}", leg.leg, leg.contribution));
    }
    for truth in &told.conditions {
        let holds = if truth.holds { "holds" } else { "does not hold" };
        drop(writeln!(text, "  {}: {holds}", truth.condition));
    }
    text
}

fn request(arguments: &SearchArguments) -> Result<wire::SearchRequest, CliError> {
    let mode = arguments.mode.map_or(wire::Mode::Unspecified, Mode::wire);
    let grouping =
        if arguments.passages { wire::Grouping::Passage } else { wire::Grouping::Document };
    let request = wire::SearchRequest {
        collection: arguments.target.collection.clone(),
        text: arguments.query.clone(),
        mode: mode.into(),
        fusion: fusion(arguments)?,
        filter: filter::parse_all(&arguments.filter)?,
        limit: Some(arguments.limit),
        offset: arguments.offset,
        score_threshold: arguments.threshold,
        exact: arguments.exact,
        ef: arguments.ef,
        target_recall: arguments.target_recall,
        using: arguments.vector.clone(),
        syntax: arguments.syntax.wire().into(),
        grouping: grouping.into(),
        rerank: arguments.rerank.clone().map(|model| wire::Rerank { model, depth: None }),
        ..Default::default()
    };
    let request = arguments.shape.apply(request, arguments.vector.as_deref())?;
    arguments.pictures.apply(request, arguments.vector.as_deref())
}

fn fusion(arguments: &SearchArguments) -> Result<Option<wire::Fusion>, CliError> {
    let weights =
        arguments.weight.iter().map(|text| weight(text)).collect::<Result<HashMap<_, _>, _>>()?;
    Ok(match arguments.fusion {
        None if weights.is_empty() => None,
        chosen => Some(chosen.unwrap_or(Fusion::Calibrated).wire(weights)),
    })
}

impl Mode {
    pub(super) fn wire(self) -> wire::Mode {
        match self {
            Self::Hybrid => wire::Mode::Hybrid,
            Self::Semantic => wire::Mode::Semantic,
            Self::Lexical => wire::Mode::Lexical,
        }
    }
}

impl Syntax {
    pub(super) fn wire(self) -> wire::WordSyntax {
        match self {
            Self::Plain => wire::WordSyntax::Unspecified,
            Self::Query => wire::WordSyntax::Query,
        }
    }
}

impl Fusion {
    pub(super) fn wire(self, weights: HashMap<String, f32>) -> wire::Fusion {
        let kind = match self {
            Self::Calibrated => Kind::CalibratedScore(wire::CalibratedScore { weights }),
            Self::Rank => Kind::ReciprocalRank(wire::ReciprocalRank { k: None, weights }),
            Self::Score => Kind::WeightedScore(wire::WeightedScore { weights }),
        };
        wire::Fusion { kind: Some(kind) }
    }
}

fn weight(text: &str) -> Result<(String, f32), CliError> {
    text.split_once('=')
        .and_then(|(leg, weight)| Some((leg.to_owned(), weight.parse().ok()?)))
        .ok_or_else(|| {
            CliError::usage(format!(
                "weight `{text}`: expected LEG=NUMBER, as lexical=0.5 or dense:text=2"
            ))
        })
}

/// Returns an answer for a script.
pub(super) fn to_json(answer: &wire::SearchResponse) -> Json {
    let timings: serde_json::Map<_, _> = answer
        .timings
        .iter()
        .map(|timing| (timing.stage.clone(), json!(timing.microseconds)))
        .collect();
    json!({
        "hits": answer.hits.iter().map(hit_to_json).collect::<Vec<_>>(),
        "groups": answer.groups.iter().map(group_to_json).collect::<Vec<_>>(),
        "timings_us": timings,
        "warnings": answer.warnings,
    })
}

fn group_to_json(group: &wire::HitGroup) -> Json {
    json!({
        "value": group.value.as_ref().map(value::to_json),
        "hits": group.hits.iter().map(hit_to_json).collect::<Vec<_>>(),
    })
}

fn hit_to_json(hit: &wire::Hit) -> Json {
    json!({
        "id": hit.id,
        "part": hit.part,
        "score": hit.score,
        "span": hit.span.as_ref().map(span_to_json),
        "place": hit.place.as_ref().map(span_to_json),
        "text": hit.text,
        "snippet": hit.snippet.as_ref().map(|snippet| json!({
            "text": snippet.text,
            "highlights": snippet
                .highlights
                .iter()
                .map(|range| [range.start, range.end])
                .collect::<Vec<_>>(),
        })),
        "payload": value::fields_to_json(&hit.payload),
        "legs": hit
            .legs
            .iter()
            .map(|leg| {
                json!({
                    "leg": leg.leg,
                    "rank": leg.rank,
                    "score": leg.score,
                    "contribution": leg.contribution,
                })
            })
            .collect::<Vec<_>>(),
    })
}

/// Returns an answer for a person, with what shows the pictures of hits below them.
pub(super) fn render(answer: &wire::SearchResponse, is_full: bool, shown: &Thumbnails) -> String {
    let mut text = String::new();
    for (number, hit) in (1..).zip(&answer.hits) {
        text.push_str(&render_hit(number, hit, is_full, shown));
    }
    for group in &answer.groups {
        let value = group.value.as_ref().map(value::to_json).unwrap_or_default();
        drop(writeln!(text, "{TITLE}{value}{TITLE:#}"));
        for (number, hit) in (1..).zip(&group.hits) {
            text.push_str(&render_hit(number, hit, is_full, shown));
        }
    }
    if answer.hits.is_empty() && answer.groups.is_empty() {
        text.push_str("nothing found\n");
    }
    for warning in &answer.warnings {
        drop(writeln!(text, "{BAD}warning:{BAD:#} {warning}"));
    }
    drop(writeln!(text, "{FAINT}{}{FAINT:#}", footer(answer)));
    text
}

fn render_hit(number: usize, hit: &wire::Hit, is_full: bool, shown: &Thumbnails) -> String {
    let legs: Vec<String> =
        hit.legs.iter().map(|leg| format!("{} #{} {:.3}", leg.leg, leg.rank, leg.score)).collect();
    let place = hit.place.as_ref().or(hit.span.as_ref()).map(place).unwrap_or_default();
    let mut text = format!(
        "{TITLE}{number:>2}{TITLE:#}  {STRONG}{}{STRONG:#}  {:.4}  {FAINT}{}{FAINT:#}\n",
        hit.id,
        hit.score,
        legs.join("  ")
    );
    let passage = match (&hit.snippet, &hit.text) {
        (Some(snippet), _) if !is_full && !snippet.highlights.is_empty() => highlighted(snippet),
        (_, Some(passage)) if is_full => passage.clone(),
        (_, Some(passage)) => shortened(passage),
        (Some(snippet), None) => highlighted(snippet),
        (None, None) => String::new(),
    };
    for line in passage.lines().filter(|line| !line.trim().is_empty()) {
        drop(writeln!(text, "    {}", line.trim()));
    }
    if !place.is_empty() {
        drop(writeln!(text, "    {FAINT}{place}{FAINT:#}"));
    }
    if let Some(picture) = picture(hit) {
        drop(writeln!(text, "    {FAINT}{picture}{FAINT:#}"));
    }
    if let Some(shown) = shown.get(&(hit.id.clone(), hit.part)) {
        text.push_str(shown);
    }
    text
}

/// Returns what is known of a picture: its format and size, when and by what it was taken.
fn picture(hit: &wire::Hit) -> Option<String> {
    let field = |name: &str| {
        let value = value::to_json(hit.payload.get(name)?);
        Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    };
    let size = format!("{} {} x {}", field("format")?, field("width")?, field("height")?);
    let known = [Some(size), field("taken"), field("camera")];
    Some(known.into_iter().flatten().collect::<Vec<_>>().join(", "))
}

/// Marks the words that matched; ranges that do not fit the text are left out.
fn highlighted(snippet: &wire::Snippet) -> String {
    let mut marked = String::new();
    let mut end = 0;
    for range in &snippet.highlights {
        let (from, to) = (range.start as usize, range.end as usize);
        let parts = (snippet.text.get(end..from), snippet.text.get(from..to));
        if let (Some(before), Some(word)) = parts {
            marked.push_str(before);
            marked.push_str(&styled(MATCH, word));
            end = to;
        }
    }
    marked.push_str(snippet.text.get(end..).unwrap_or_default());
    marked
}

fn shortened(passage: &str) -> String {
    let shown: String = passage.chars().take(PASSAGE_SHOWN).collect();
    if shown.len() < passage.len() { format!("{} ...", shown.trim_end()) } else { shown }
}

fn footer(answer: &wire::SearchResponse) -> String {
    let milliseconds = |microseconds: u64| microseconds as f64 / 1000.0;
    let stages: Vec<String> = answer
        .timings
        .iter()
        .map(|timing| format!("{} {:.1}", timing.stage, milliseconds(timing.microseconds)))
        .collect();
    let hits = if answer.hits.len() == 1 { "hit" } else { "hits" };
    format!("{} {hits}; milliseconds: {}", answer.hits.len(), stages.join(", "))
}

pub(super) fn embed(
    setting: &Setting,
    arguments: &EmbedArguments,
    output: &Output,
) -> Result<Outcome, CliError> {
    let role = if arguments.query { wire::Role::Query } else { wire::Role::Passage };
    let request = wire::EmbedRequest {
        model: arguments.model.clone(),
        texts: arguments.texts.clone(),
        role: role.into(),
        images: arguments
            .image
            .iter()
            .map(|file| pictures::read(file))
            .collect::<Result<_, _>>()?,
    };
    let images = arguments.image.iter().map(|file| file.display().to_string());
    let named: Vec<String> = arguments.texts.iter().cloned().chain(images).collect();
    with_session(setting, &arguments.connection, async |session| {
        let request = session.request(request);
        let answer = session.embedding().embed(request).await?.into_inner();
        output.answer(
            || embeddings_to_json(&named, &answer),
            || render_embeddings(&named, &answer),
        )?;
        Ok(Outcome::Done)
    })
}

fn embeddings_to_json(texts: &[String], answer: &wire::EmbedResponse) -> Json {
    let embeddings: Vec<Json> = texts
        .iter()
        .zip(&answer.embeddings)
        .map(|(text, embedding)| {
            let mut shown = json!({
                "text": text,
                "tokens": embedding.tokens,
                "truncated": embedding.truncated,
            });
            match &embedding.sparse {
                Some(sparse) => {
                    shown["sparse"] = json!({ "indices": sparse.indices, "values": sparse.values });
                }
                None => shown["vector"] = json!(components(embedding)),
            }
            shown
        })
        .collect();
    json!({ "embeddings": embeddings, "fingerprint": answer.fingerprint })
}

fn render_embeddings(texts: &[String], answer: &wire::EmbedResponse) -> String {
    if texts.len() > 1 {
        return similarities(texts, answer);
    }
    answer.embeddings.first().map_or(String::new(), |embedding| {
        if let Some(sparse) = &embedding.sparse {
            return render_sparse(sparse);
        }
        let vector = components(embedding);
        let shown: Vec<String> = vector.iter().take(8).map(|value| format!("{value:.4}")).collect();
        let rest = if vector.len() > 8 { ", ..." } else { "" };
        format!("{} components: {}{rest}", vector.len(), shown.join(", "))
    })
}

fn render_sparse(sparse: &wire::SparseVector) -> String {
    let entries = sparse.indices.iter().zip(&sparse.values);
    let shown: Vec<String> =
        entries.take(8).map(|(index, value)| format!("{index}: {value:.4}")).collect();
    let rest = if sparse.indices.len() > 8 { ", ..." } else { "" };
    format!("{} entries: {}{rest}", sparse.indices.len(), shown.join(", "))
}

/// Returns the table of how similar each text is to each other one, by cosine.
pub(super) fn similarities(texts: &[String], answer: &wire::EmbedResponse) -> String {
    let mut text = String::new();
    let shown = texts.len().min(TEXTS_COMPARED);
    for row in 0..shown {
        let mut line = String::new();
        for column in 0..=row {
            let cosine = similarity(&answer.embeddings[row], &answer.embeddings[column]);
            let style = if row != column && cosine >= 0.5 { MATCH } else { FAINT };
            drop(write!(line, "{}", styled(style, format!("{cosine:>7.3}"))));
        }
        let padding = " ".repeat((shown - row - 1) * 7);
        drop(writeln!(text, "{line}{padding}   {}", texts[row]));
    }
    text
}

fn components(embedding: &wire::TextEmbedding) -> &[f32] {
    embedding.vector.as_ref().map_or(&[], |vector| &vector.components)
}

/// Returns the cosine of two embeddings of one model, dense or sparse; nothing is similar to a text of
/// which the model knows no word.
pub(super) fn similarity(a: &wire::TextEmbedding, b: &wire::TextEmbedding) -> f64 {
    let dot = |a: &wire::TextEmbedding, b: &wire::TextEmbedding| match (&a.sparse, &b.sparse) {
        (Some(a), Some(b)) => sparse_dot(a, b),
        (None | Some(_), _) => components(a)
            .iter()
            .zip(components(b))
            .map(|(a, b)| f64::from(*a) * f64::from(*b))
            .sum(),
    };
    let cosine = dot(a, b) / (dot(a, a) * dot(b, b)).sqrt().max(f64::MIN_POSITIVE);
    // The sum of nothing is minus zero.
    cosine + 0.0
}

fn sparse_dot(a: &wire::SparseVector, b: &wire::SparseVector) -> f64 {
    let values: HashMap<u32, f32> =
        a.indices.iter().copied().zip(a.values.iter().copied()).collect();
    let shared = b.indices.iter().zip(&b.values).filter_map(|(index, value)| {
        values.get(index).map(|other| f64::from(*other) * f64::from(*value))
    });
    shared.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_are_marked_and_ranges_that_do_not_fit_are_left_out() {
        let range = |start, end| wire::ByteRange { start, end };
        let snippet = wire::Snippet {
            text: "猫 cat mouse".to_owned(),
            // The second begins within a character, the last ends after the text.
            highlights: vec![range(4, 7), range(1, 2), range(8, 99)],
        };
        assert_eq!(highlighted(&snippet), format!("猫 {} mouse", styled(MATCH, "cat")));
    }

    #[test]
    fn similarity_does_not_depend_on_length_and_nothing_is_like_nothing() {
        let dense = |components: &[f32]| wire::TextEmbedding {
            vector: Some(wire::DenseVector { components: components.to_vec() }),
            ..Default::default()
        };
        let sparse = |indices: &[u32], values: &[f32]| wire::TextEmbedding {
            sparse: Some(wire::SparseVector { indices: indices.into(), values: values.into() }),
            ..Default::default()
        };
        let half = 0.5f64.sqrt();
        assert!((similarity(&dense(&[3.0, 0.0]), &dense(&[5.0, 5.0])) - half).abs() < 1e-9);
        assert!(similarity(&dense(&[0.0]), &dense(&[1.0])).abs() < 1e-9);
        assert!(
            (similarity(&sparse(&[7], &[3.0]), &sparse(&[9, 7], &[5.0, 5.0])) - half).abs() < 1e-9
        );
        assert!(similarity(&sparse(&[], &[]), &sparse(&[], &[])).abs() < 1e-9);
        assert!(similarity(&wire::TextEmbedding::default(), &dense(&[1.0])).abs() < 1e-9);
    }

    #[test]
    fn a_weight_is_a_leg_and_a_number() {
        assert_eq!(weight("dense:text=2").unwrap(), ("dense:text".to_owned(), 2.0));
        assert!(weight("dense:text").is_err() && weight("lexical=much").is_err());
    }
}
