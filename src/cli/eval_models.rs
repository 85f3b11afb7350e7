//! `simile eval models`: all models beside each other, as the tables that the documentation shows.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use serde_json::{Value as Json, json};
use simile_proto::v1::{self as wire};

use super::arguments::Connection;
use super::connection::Session;
use super::eval::{correlations, embed, in_passing, ndcg};
use super::exit::{CliError, Outcome};
use super::model::catalogue;
use super::output::{Output, Unit};
use super::sentences::{Compared, default_groups, group_table, models};
use super::serve::Setting;
use crate::embed::{Catalogue, EmbedError, Note};
use crate::evaluate::{Pair, RetrievalSet, read_pairs};

/// What the figure is called that says how many texts are embedded in a second.
const SPEED: &str = "texts/s";
/// Between these lines of a file the tables stand.
const BEGIN: &str = "<!-- simile eval models: begin -->";
const END: &str = "<!-- simile eval models: end -->";

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    simile eval models --sts stsb-en-dev.tsv --retrieval cranfield\n  \
    simile eval models --sts stsb-en-dev.tsv --model small-static --model small-lstm\n  \
    simile eval models --sts stsb-en-dev.tsv --into README.md\n\n\
    Prints two tables in Markdown: what each model makes of three sentences in two languages, and what \
    was\nmeasured. Spearman's correlation of similarities with people's on each --sts file (as `simile \
    eval sts`);\nnDCG@10 by meaning alone, compared with every vector, on each --retrieval folder (as \
    `simile eval\nretrieval`); texts a second of the first --sts file, over gRPC. --into writes them \
    into a file,\nbetween a line `<!-- simile eval models: begin -->` and a line `<!-- simile eval \
    models: end -->`;\n--keep writes the figures into the manifests of your own models.")]
pub(super) struct ModelsArguments {
    /// A file with judged pairs of sentences (may be repeated)
    #[arg(long, value_name = "FILE")]
    sts: Vec<PathBuf>,
    /// A folder with corpus, questions and judgements (may be repeated)
    #[arg(long, value_name = "FOLDER")]
    retrieval: Vec<PathBuf>,
    /// A model to measure (may be repeated) [default: every model that is here]
    #[arg(long, value_name = "MODEL", visible_alias = "embedder")]
    model: Vec<String>,
    /// Write the tables into this file
    #[arg(long, value_name = "FILE")]
    into: Option<PathBuf>,
    /// Keep the figures with each model that was added or fitted here, for `simile model list`
    #[arg(long)]
    keep: bool,
    #[command(flatten)]
    connection: Connection,
}

/// What models are measured on.
struct Sets {
    pairs: Vec<(String, Vec<Pair>)>,
    retrieval: Vec<(String, RetrievalSet)>,
}

/// What was measured of a model.
struct Measured {
    model: wire::Model,
    spearman: Vec<Option<f64>>,
    ndcg: Vec<f64>,
    texts_per_second: Option<f64>,
}

pub(super) fn eval_models(
    setting: &Setting,
    arguments: &ModelsArguments,
    output: &Output,
) -> Result<Outcome, CliError> {
    let sets = Sets::open(arguments)?;
    if let Some(file) = &arguments.into {
        // Measuring takes long; whether the tables can be written is known before.
        replaced(file, &fs_err::read_to_string(file)?, "")?;
    }
    if arguments.keep && arguments.connection.server.is_some() {
        let reason = "--keep writes into the models of this machine, expected no --server";
        return Err(CliError::usage(reason));
    }
    in_passing(setting, &arguments.connection, async |session| {
        let (mut rows, mut compared) = (Vec::new(), Vec::new());
        let groups = default_groups();
        for model in models(session, &arguments.model).await? {
            output.note(&format!("measuring {}", model.name));
            compared.push(Compared::load(session, &model, &groups).await?);
            rows.push(measure(session, model, &sets, output).await?);
        }
        let tables = || {
            let sentences = group_table(&groups, &compared);
            format!("{sentences}\n\n{}", table(&sets, &rows))
        };
        if let Some(file) = &arguments.into {
            let text = fs_err::read_to_string(file)?;
            fs_err::write(file, replaced(file, &text, &tables())?)?;
        }
        if arguments.keep {
            let catalogue = catalogue(setting)?;
            for row in &rows {
                keep(&catalogue, &sets, row, output)?;
            }
        }
        output.answer(
            || json!({ "models": rows.iter().map(|row| to_json(&sets, row)).collect::<Vec<_>>() }),
            tables,
        )?;
        Ok(Outcome::Done)
    })
}

impl Sets {
    fn open(arguments: &ModelsArguments) -> Result<Self, CliError> {
        let mut sets = Self { pairs: Vec::new(), retrieval: Vec::new() };
        for file in &arguments.sts {
            let pairs = read_pairs(file).map_err(|error| CliError::of(&error))?;
            sets.pairs.push((stem(file), pairs));
        }
        for folder in &arguments.retrieval {
            let set = RetrievalSet::open(folder).map_err(|error| CliError::of(&error))?;
            sets.retrieval.push((stem(folder), set));
        }
        Ok(sets)
    }
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

async fn measure(
    session: &Session,
    model: wire::Model,
    sets: &Sets,
    output: &Output,
) -> Result<Measured, CliError> {
    let (mut spearman, mut ndcgs, mut texts_per_second) = (Vec::new(), Vec::new(), None);
    for (_, pairs) in &sets.pairs {
        let began = Instant::now();
        let vectors = embed(session, pairs, &model.name, output).await?;
        let seconds = began.elapsed().as_secs_f64();
        texts_per_second.get_or_insert(vectors.len() as f64 / seconds.max(f64::MIN_POSITIVE));
        spearman.push(correlations(pairs, &vectors).map(|(rank, _)| rank));
    }
    let total = Some(sets.retrieval.len() as u64);
    let mut progress = output.progress(&format!("asking {}", model.name), Unit::Items, total);
    for (done, (_, set)) in (1..).zip(&sets.retrieval) {
        ndcgs.push(ndcg(session, set, &model.name, output).await?);
        progress.set(done, "");
    }
    progress.finish();
    Ok(Measured { model, spearman, ndcg: ndcgs, texts_per_second })
}

/// Keeps what was measured with the model, if it is one of the user's own.
fn keep(
    catalogue: &Catalogue,
    sets: &Sets,
    row: &Measured,
    output: &Output,
) -> Result<(), CliError> {
    let note = Note { measured: figures(sets, row), ..Note::default() };
    match catalogue.note(&row.model.name, &note) {
        Ok(_) => Ok(()),
        // Of those that come with the program it is written there.
        Err(EmbedError::Manifest(reason)) => {
            output.note(&format!("not kept: {reason}"));
            Ok(())
        }
        Err(error) => Err(CliError::of(&error)),
    }
}

/// Returns what was measured by the names that the columns of the table have.
fn figures(sets: &Sets, row: &Measured) -> BTreeMap<String, f64> {
    let spearman = sets.pairs.iter().zip(&row.spearman);
    let spearman = spearman.filter_map(|((name, _), value)| Some((spearman_name(name), (*value)?)));
    let ndcg = sets.retrieval.iter().zip(&row.ndcg).map(|((name, _), v)| (ndcg_name(name), *v));
    let speed = row.texts_per_second.map(|speed| (SPEED.to_owned(), speed));
    spearman.chain(ndcg).chain(speed).collect()
}

fn spearman_name(set: &str) -> String {
    format!("{set}, Spearman")
}

fn ndcg_name(set: &str) -> String {
    format!("{set}, nDCG@10")
}

fn to_json(sets: &Sets, row: &Measured) -> Json {
    let named = |names: Vec<&String>, values: Vec<Json>| -> HashMap<String, Json> {
        names.into_iter().cloned().zip(values).collect()
    };
    let files = sets.pairs.iter().map(|(name, _)| name).collect();
    let folders = sets.retrieval.iter().map(|(name, _)| name).collect();
    json!({
        "model": row.model.name,
        "kind": row.model.kind,
        "dimension": row.model.dimension,
        "bytes": row.model.bytes,
        "spearman": named(files, row.spearman.iter().map(|value| json!(value)).collect()),
        "ndcg@10": named(folders, row.ndcg.iter().map(|value| json!(value)).collect()),
        "texts_per_second": row.texts_per_second,
    })
}

fn table(sets: &Sets, rows: &[Measured]) -> String {
    let mut text = String::from("| model | kind | components | MiB |");
    let mut line = String::from("|---|---|--:|--:|");
    let files = sets.pairs.iter().map(|(name, _)| spearman_name(name));
    let folders = sets.retrieval.iter().map(|(name, _)| ndcg_name(name));
    let speed = (!sets.pairs.is_empty()).then(|| SPEED.to_owned());
    for column in files.chain(folders).chain(speed) {
        // Writing to a String does not fail.
        _ = write!(text, " {column} |");
        line.push_str("--:|");
    }
    _ = write!(text, "\n{line}");
    for row in rows {
        let Measured { model, spearman, ndcg, texts_per_second } = row;
        let mebibytes = model.bytes as f64 / f64::from(1 << 20);
        let (name, kind, dimension) = (&model.name, &model.kind, model.dimension);
        _ = write!(text, "\n| {name} | {kind} | {dimension} | {mebibytes:.1} |");
        for value in spearman {
            _ = match value {
                Some(value) => write!(text, " {value:.3} |"),
                None => write!(text, " none |"),
            };
        }
        for value in ndcg {
            _ = write!(text, " {value:.3} |");
        }
        if let Some(value) = texts_per_second {
            _ = write!(text, " {value:.0} |");
        }
    }
    text
}

/// Returns the text of a file with other tables between its two lines.
fn replaced(file: &Path, text: &str, tables: &str) -> Result<String, CliError> {
    let parts = text.split_once(BEGIN).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(END)?;
        Some((before, after))
    });
    let Some((before, after)) = parts else {
        let file = file.display();
        return Err(CliError::usage(format!("{file} has no line `{BEGIN}` before one `{END}`")));
    };
    Ok(format!("{before}{BEGIN}\n\n{tables}\n\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_take_the_place_of_those_before_them() {
        let file = Path::new("README.md");
        let before = format!("# Title\n\n{BEGIN}\nold\n{END}\nafter\n");
        let after = replaced(file, &before, "new").unwrap();
        assert_eq!(after, format!("# Title\n\n{BEGIN}\n\nnew\n\n{END}\nafter\n"));
        assert_eq!(replaced(file, &after, "new").unwrap(), after, "twice is once");
        let swapped = format!("{END}\n{BEGIN}\n");
        let error = replaced(file, &swapped, "new").unwrap_err().to_string();
        assert!(error.contains("README.md has no line"), "{error}");
    }

    #[test]
    fn the_table_has_a_column_for_each_set() {
        let pair = Pair { score: 1.0, first: "a".into(), second: "b".into() };
        let sets = Sets { pairs: vec![("sts".into(), vec![pair])], retrieval: Vec::new() };
        let model = wire::Model {
            name: "m".into(),
            kind: "k".into(),
            dimension: 3,
            bytes: 3 << 19,
            ..Default::default()
        };
        let row = |spearman| Measured {
            model: model.clone(),
            spearman: vec![spearman],
            ndcg: Vec::new(),
            texts_per_second: Some(1234.5),
        };
        let text = table(&sets, &[row(Some(0.5)), row(None)]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "| model | kind | components | MiB | sts, Spearman | texts/s |");
        assert_eq!(lines[1], "|---|---|--:|--:|--:|--:|");
        assert_eq!(lines[2], "| m | k | 3 | 1.5 | 0.500 | 1234 |");
        assert_eq!(lines[3], "| m | k | 3 | 1.5 | none | 1234 |");
        assert_eq!(to_json(&sets, &row(Some(0.5)))["spearman"]["sts"], 0.5);
        let kept = figures(&sets, &row(Some(0.5)));
        let kept: Vec<(&str, f64)> = kept.iter().map(|(name, value)| (&name[..], *value)).collect();
        assert_eq!(kept, [("sts, Spearman", 0.5), ("texts/s", 1234.5)]);
        assert_eq!(figures(&sets, &row(None)).len(), 1);
    }
}
