//! The definitions of all commands: parsing, help, completions and the manual come from here.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::add::AddArguments;
use super::alias::AliasCommand;
use super::change::{ListArguments as DocumentListArguments, UpdateArguments};
use super::cluster::ClusterArguments;
use super::collection::CollectionCommand;
use super::eval::EvalCommand;
use super::exchange::{ExportArguments, ImportArguments};
use super::exit;
use super::key::KeyCommand;
use super::locate::LocateArguments;
use super::long::{DocumentArguments, LateArguments};
use super::network::LayersArguments;
use super::note::NoteArguments;
use super::pictures::PictureArguments;
use super::remote::RemoteArguments;
use super::shape::ShapeArguments;
use super::snapshot::SnapshotCommand;
use super::top::TopArguments;
use super::train::TrainCommand;
use crate::config::{PlaceSettings, ServerSettings};

/// A vector database with built-in embedders
#[derive(Debug, Parser)]
#[command(
    name = "simile",
    version,
    about,
    long_about = "A vector database with built-in embedders, in one binary.\n\n\
        Point it at a folder of documents, and ask. Questions are answered by meaning (vectors), \
        by words (BM25), or by both.\n\n\
        Commands talk to the server that runs over the data directory (or at --server). If there \
        is none they start one in their own process and stop it when they are done, so that \
        nothing has to be set up first.",
    after_help = "Start here:\n  \
        simile demo                                a tour over a small collection\n  \
        simile ingest ~/notes --collection notes   read a folder\n  \
        simile search \"where did I write about cats\" --collection notes",
    after_long_help = const_format(),
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_subcommand = true
)]
pub struct Cli {
    #[command(flatten)]
    pub(super) common: Common,
    #[command(flatten)]
    pub(super) places: PlaceSettings,
    #[command(subcommand)]
    pub(super) command: Command,
}

fn const_format() -> String {
    format!(
        "Start here:\n  \
         simile demo                                a tour over a small collection\n  \
         simile ingest ~/notes --collection notes   read a folder\n  \
         simile search \"where did I write about cats\" --collection notes\n\n\
         Settings come from flags, then from the environment (SIMILE_*), then from the file named \
         by --config.\n`simile serve --print-config` shows what holds.\n\n{}",
        exit::HELP
    )
}

#[derive(Debug, Args)]
pub(super) struct Common {
    /// Print JSON for scripts instead of text for people
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Print no progress
    #[arg(long, short, global = true)]
    pub(super) quiet: bool,
    /// A TOML file with settings
    #[arg(long, value_name = "FILE", env = "SIMILE_CONFIG", global = true)]
    pub(super) config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the server until it is stopped
    Serve(ServeArguments),
    /// Read files, folders or standard input into a collection
    Ingest(IngestArguments),
    /// Ask a collection a question
    Search(Box<SearchArguments>),
    /// Find where in the videos or sounds of a collection an excerpt is taken from
    Locate(LocateArguments),
    /// Print documents by id
    Get(GetArguments),
    /// List documents: by id, in the order of a field, or at random
    List(DocumentListArguments),
    /// Change the fields of documents, or when they expire
    Update(UpdateArguments),
    /// Delete documents by id or by filter
    Delete(DeleteArguments),
    /// Count documents
    Count(CountArguments),
    /// Turn texts and pictures into vectors
    Embed(EmbedArguments),
    /// Create, list, show and delete collections
    #[command(subcommand, visible_alias = "collections")]
    Collection(CollectionCommand),
    /// Let other names stand for collections
    #[command(subcommand, visible_alias = "aliases")]
    Alias(AliasCommand),
    /// Write a collection as lines of JSON, with its vectors
    Export(ExportArguments),
    /// Read documents with their vectors from lines of JSON
    Import(ImportArguments),
    /// Keep collections as single files, and restore them
    #[command(subcommand, visible_alias = "snapshots")]
    Snapshot(SnapshotCommand),
    /// List, show and obtain models
    #[command(subcommand, visible_alias = "models")]
    Model(ModelCommand),
    /// Make, list and revoke the keys that open the server
    #[command(subcommand, visible_alias = "keys")]
    Key(KeyCommand),
    /// List and cancel long work on a server
    #[command(subcommand, visible_alias = "jobs")]
    Job(JobCommand),
    /// Watch what the server is doing
    Top(TopArguments),
    /// Compare a collection's tables and indexes, item by item
    Verify(MaintainArguments),
    /// Rebuild whatever does not agree with the tables
    Repair(MaintainArguments),
    /// Seal and merge the index of a collection now
    Optimize(MaintainArguments),
    /// Find what belongs together in a collection
    Cluster(ClusterArguments),
    /// Measure the quality of answers on judged questions
    #[command(subcommand)]
    Eval(EvalCommand),
    /// Show what simile does, on a small collection that comes with it
    Demo(DemoArguments),
    /// Say what was found on this machine and whether it is healthy
    Doctor(DoctorArguments),
    /// Print a completion script for a shell
    #[command(after_help = "Examples:\n  \
        simile completions bash > ~/.local/share/bash-completion/completions/simile\n  \
        simile completions zsh > \"${fpath[1]}/_simile\"\n  \
        simile completions fish > ~/.config/fish/completions/simile.fish")]
    Completions(CompletionsArguments),
    /// Print the manual page, or write one for each command into a folder
    Man(ManArguments),
    /// Read files for a server that started this process
    #[command(name = READ_FILES, hide = true)]
    ReadFiles(ReadFilesArguments),
}

#[derive(Debug, Args)]
pub(super) struct Connection {
    /// The server to talk to, as `http://127.0.0.1:7465` [default: the one over the data directory]
    #[arg(long, value_name = "URL", env = "SIMILE_SERVER")]
    pub(super) server: Option<String>,
    /// Give up after this many seconds
    #[arg(long, value_name = "SECONDS", env = "SIMILE_TIMEOUT", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(super) timeout: Option<u64>,
    /// The key that opens the server, if it needs one; better given in the environment
    #[arg(long, value_name = "KEY", env = "SIMILE_KEY", hide_env_values = true)]
    pub(super) key: Option<String>,
    /// A PEM file with the certificate that the server of an https address is to show, or that of who
    /// signed it [default: those that the system trusts]
    #[arg(long, value_name = "FILE", env = "SIMILE_CA")]
    pub(super) ca: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct Target {
    /// The collection
    #[arg(long, short, value_name = "NAME", env = "SIMILE_COLLECTION", default_value = "default")]
    pub(super) collection: String,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    simile serve                                    on 127.0.0.1:7465, over ./simile-data\n  \
    simile serve --data /var/lib/simile --listen 127.0.0.1:0\n  \
    simile serve --config simile.toml --print-config\n  \
    simile serve --http 127.0.0.1:7466              probes, metrics and embeddings over HTTP, too\n\n\
    The server stops on Ctrl-C or SIGTERM: it takes no more requests, lets the running ones end, \
    writes what is pending and closes. A second Ctrl-C ends it at once; nothing that was \
    acknowledged is lost either way.")]
pub(super) struct ServeArguments {
    #[command(flatten)]
    pub(super) settings: ServerSettings,
    /// Print the settings that hold, with their origin, and end
    #[arg(long)]
    pub(super) print_config: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    simile ingest ~/notes --collection notes        a folder, with everything in it\n  \
    simile ingest 'docs/**/*.md' report.pdf         a pattern and a file\n  \
    simile ingest ~/Pictures --collection photos    pictures, seen by the model for them\n  \
    simile ingest ~/Recordings --collection sounds  sounds, heard by the model for them\n  \
    simile ingest records.jsonl                     one document for each line\n  \
    pdftotext paper.pdf - | simile ingest - --stdin-name paper.txt\n  \
    simile ingest --there reports                   files that the server has, if it is to read them\n\n\
    Reads plain text, Markdown, HTML, PDF, DOCX, JSONL, CSV and TSV, pictures (JPEG, PNG, WebP,\nGIF, BMP and TIFF), videos, and sounds (WAV, AIFF, FLAC, MP3, Ogg Vorbis, AAC and M4A). A document's id is its path as \
    given.\nFiles whose content is stored already are skipped, so after Ctrl-C the same command goes \
    on where it stopped.\nA file that fails is named with the reason at the end; the rest goes on, \
    and the exit code is 8.")]
pub(super) struct IngestArguments {
    /// Files, folders, patterns (quoted), or - for standard input; with --there paths and addresses
    #[arg(required = true, value_name = "PATH")]
    pub(super) paths: Vec<String>,
    #[command(flatten)]
    pub(super) target: Target,
    /// Take only files whose path matches this pattern (may be repeated)
    #[arg(long, value_name = "GLOB")]
    pub(super) include: Vec<String>,
    /// Leave out files whose path matches this pattern (may be repeated)
    #[arg(long, value_name = "GLOB")]
    pub(super) exclude: Vec<String>,
    /// Take hidden files and folders too
    #[arg(long)]
    pub(super) hidden: bool,
    /// Give every document this field (may be repeated)
    #[arg(long, value_name = "FIELD=VALUE")]
    pub(super) set: Vec<String>,
    /// Ids are paths below each PATH, instead of paths as given
    #[arg(long)]
    pub(super) relative: bool,
    /// The name that standard input is read under; its ending tells the format
    #[arg(long, value_name = "NAME", default_value = "stdin.txt")]
    pub(super) stdin_name: String,
    /// Send files even if their content is stored already
    #[arg(long)]
    pub(super) all: bool,
    /// Have the server read: paths beneath its ingest_root, and addresses if its ingest_urls is on
    #[arg(long, conflicts_with_all = ["include", "exclude", "relative", "stdin_name"])]
    pub(super) there: bool,
    #[command(flatten)]
    pub(super) connection: Connection,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    simile search \"how do cats hunt\"\n  \
    simile search \"how do cats hunt\" --mode semantic --limit 3\n  \
    simile search '\"exact phrase\" -without' --mode lexical --syntax query\n  \
    simile search cats --filter 'year>=2020' --filter 'tags=animals|pets'\n  \
    simile search --image beach.jpg -c photos --html hits.html\n  \
    simile search --image desk.jpg --crop 310,120,80,60 -c clips   where is this thing?\n  \
    simile search --clip excerpt.mp4 -c clips\n  \
    simile search --clip excerpt.wav -c sounds\n  \
    simile search \"a red car\" --image car.jpg --without \"at night\" -c photos\n  \
    simile search cats --filter '{\"any\": [{\"field\": \"lang\", \"equals\": \"en\"}, {\"not\": {\"field\": \"draft\", \"exists\": true}}]}'")]
#[command(after_long_help = super::filter::HELP)]
pub(super) struct SearchArguments {
    /// The question
    #[arg(value_name = "QUERY", required_unless_present_any = ["like", "sparse", "image", "clip", "batch", "prefetch"])]
    pub(super) query: Option<String>,
    #[command(flatten)]
    pub(super) target: Target,
    /// By meaning, by words, or by both [default: both where possible]
    #[arg(long, short, value_enum)]
    pub(super) mode: Option<Mode>,
    /// Only documents of which this holds (may be repeated; all have to hold)
    #[arg(long, short, value_name = "FILTER")]
    pub(super) filter: Vec<String>,
    /// How many hits
    #[arg(long, short = 'n', value_name = "N", default_value_t = 10,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(super) limit: u32,
    /// How many of the best hits to leave out
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(super) offset: u32,
    /// Leave out hits with a lower score
    #[arg(long, value_name = "SCORE", allow_negative_numbers = true)]
    pub(super) threshold: Option<f32>,
    /// How QUERY is read for its words: plain, or with "phrases", +must, -not, AND, OR, fuzzy~
    #[arg(long, value_enum, default_value_t = Syntax::Plain)]
    pub(super) syntax: Syntax,
    /// How the answers by meaning and by words are joined [default: calibrated]
    #[arg(long, value_enum)]
    pub(super) fusion: Option<Fusion>,
    /// The weight of a leg in the joined score, as lexical=0.5 or dense:text=2 (may be repeated)
    #[arg(long, value_name = "LEG=WEIGHT")]
    pub(super) weight: Vec<String>,
    /// The named vector to ask, if the collection has several that embed text
    #[arg(long, value_name = "NAME")]
    pub(super) vector: Option<String>,
    /// Compare with every vector instead of walking the graph
    #[arg(long)]
    pub(super) exact: bool,
    /// Breadth of the graph search: more finds more and takes longer
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(super) ef: Option<u32>,
    /// So broad a graph search as finds this share of the best passages, as 0.99
    #[arg(long, value_name = "SHARE", conflicts_with_all = ["ef", "exact"])]
    pub(super) target_recall: Option<f32>,
    /// Have the best 50 hits read again by this cross-encoder, question and passage together
    #[arg(long, value_name = "MODEL", requires = "query")]
    pub(super) rerank: Option<String>,
    /// Every passage that matches, instead of the best one of each document
    #[arg(long)]
    pub(super) passages: bool,
    /// Print the whole passage instead of the place that matches
    #[arg(long)]
    pub(super) full: bool,
    /// Ask each line of this file, all on the same terms
    #[arg(long, value_name = "FILE",
          conflicts_with_all = ["query", "near", "explain", "rerank", "html"])]
    pub(super) batch: Option<PathBuf>,
    /// Only moments of videos or sounds at which this is seen or heard of, too
    #[arg(long, value_name = "QUERY", requires = "query", conflicts_with = "explain")]
    pub(super) near: Option<String>,
    /// How many seconds the two moments are apart at most
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0, requires = "near",
          value_parser = seconds)]
    pub(super) within: f64,
    #[command(flatten)]
    pub(super) shape: ShapeArguments,
    #[command(flatten)]
    pub(super) pictures: PictureArguments,
    #[command(flatten)]
    pub(super) connection: Connection,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Mode {
    /// By meaning and by words
    Hybrid,
    /// By meaning only
    Semantic,
    /// By words only
    Lexical,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Syntax {
    /// Any word may match; more is better
    Plain,
    /// "phrases", +must, -not, AND, OR, (groups), fuzzy~
    Query,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Fusion {
    /// By the scores, counted from what chance gives
    Calibrated,
    /// By the ranks in each leg (reciprocal rank fusion)
    Rank,
    /// By the scores in each leg, scaled to 0..1
    Score,
}

#[derive(Debug, Args)]
pub(super) struct GetArguments {
    /// The ids of documents
    #[arg(required = true, value_name = "ID")]
    pub(super) ids: Vec<String>,
    #[command(flatten)]
    pub(super) target: Target,
    /// Print the vectors too
    #[arg(long)]
    pub(super) vectors: bool,
    #[command(flatten)]
    pub(super) connection: Connection,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    simile delete notes/old.md --collection notes\n  \
    simile delete --filter 'modified<2020-01-01T00:00:00Z' --yes")]
pub(super) struct DeleteArguments {
    /// The ids of documents
    #[arg(value_name = "ID", required_unless_present = "filter", conflicts_with = "filter")]
    pub(super) ids: Vec<String>,
    /// Every document of which this holds (may be repeated; all have to hold)
    #[arg(long, short, value_name = "FILTER")]
    pub(super) filter: Vec<String>,
    /// Do not ask before deleting by filter
    #[arg(long, short)]
    pub(super) yes: bool,
    #[command(flatten)]
    pub(super) target: Target,
    #[command(flatten)]
    pub(super) connection: Connection,
}

#[derive(Debug, Args)]
pub(super) struct CountArguments {
    #[command(flatten)]
    pub(super) target: Target,
    /// Only documents of which this holds (may be repeated; all have to hold)
    #[arg(long, short, value_name = "FILTER")]
    pub(super) filter: Vec<String>,
    /// Count for each value of this field, the most frequent first
    #[arg(long, value_name = "FIELD")]
    pub(super) by: Option<String>,
    /// How many values
    #[arg(long, value_name = "N", requires = "by", default_value_t = 10,
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(super) top: u32,
    #[command(flatten)]
    pub(super) connection: Connection,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    simile embed \"The cat chases the mouse\" \"The kitten hunts rodents\"   how similar they are\n  \
    simile embed \"The cat chases the mouse\" --json                       the vector")]
pub(super) struct EmbedArguments {
    /// The texts
    #[arg(required_unless_present = "image", value_name = "TEXT")]
    pub(super) texts: Vec<String>,
    /// A picture, for a model that reads pictures (may be repeated)
    #[arg(long, value_name = "FILE")]
    pub(super) image: Vec<PathBuf>,
    /// The model [default: the server's default embedder]
    #[arg(long, value_name = "MODEL", default_value = "")]
    pub(super) model: String,
    /// Embed as questions, for models that tell questions from passages
    #[arg(long)]
    pub(super) query: bool,
    #[command(flatten)]
    pub(super) connection: Connection,
}

#[derive(Debug, Args)]
pub(super) struct ListArguments {
    #[command(flatten)]
    pub(super) connection: Connection,
}

#[derive(Debug, Args)]
pub(super) struct NameArguments {
    /// The name of the collection
    pub(super) name: String,
    #[command(flatten)]
    pub(super) connection: Connection,
}

#[derive(Debug, Subcommand)]
pub(super) enum ModelCommand {
    /// List the models of the catalogue
    #[command(
        after_help = "Models are those that come with simile, and those of your own: a folder \
        with a manifest.toml\nbelow `models` in the cache directory (--cache). `simile model show` \
        prints one to start from."
    )]
    List,
    /// Show one model
    #[command(
        after_help = "Says whether the files are here and are those that the manifest names \
        (exit code 7 if not),\nwhere they are kept, and where they come from."
    )]
    Show {
        /// The name of the model
        name: String,
    },
    /// Obtain a model's files and the runtime, and check them
    #[command(after_help = "Examples:\n  \
        simile model pull                                    the default embedder\n  \
        simile model pull --hub https://mirror.example       from a mirror of the model hub\n  \
        simile model pull --python .venv/bin/python          with the pip of that Python\n\n\
        Files are compared with the hashes in the manifest, and the model with vectors that are \
        known.\nWhat is here and right is not fetched again; a transfer that broke off goes on. On a \
        machine\nwithout network, copy the cache directory of another one and name it with --cache.")]
    Pull {
        /// The name of the model
        #[arg(default_value = crate::embed::DEFAULT_TEXT_MODEL)]
        name: String,
    },
    /// List the layers of an image network, with shapes and cost
    Layers(LayersArguments),
    /// Add a text transformer or an image network: a folder of the model hub's layout, or a graph
    Add(AddArguments),
    /// Add a model that another server runs (OpenAI's embeddings protocol)
    Remote(RemoteArguments),
    /// Add a model of long texts, by one that reads their pieces
    Document(DocumentArguments),
    /// Add a model that reads passages with what stands around them (late chunking)
    Late(LateArguments),
    /// Say which languages a model of your own reads, and its licence
    Note(NoteArguments),
    /// Fit a model on your own texts
    #[command(subcommand)]
    Train(TrainCommand),
}

#[derive(Debug, Subcommand)]
pub(super) enum JobCommand {
    /// List what runs, and what ended in the last hour
    List(ListArguments),
    /// Follow a job until it ends
    Watch(JobArguments),
    /// Cancel a job
    Cancel(JobArguments),
}

#[derive(Debug, Args)]
pub(super) struct JobArguments {
    /// The id of the job
    pub(super) id: String,
    #[command(flatten)]
    pub(super) connection: Connection,
}

#[derive(Debug, Args)]
pub(super) struct MaintainArguments {
    /// The name of the collection
    #[arg(default_value = "default")]
    pub(super) name: String,
    #[command(flatten)]
    pub(super) connection: Connection,
}

#[derive(Debug, Args)]
#[command(
    after_help = "The demo starts its own server on loopback, reads a few dozen short texts \
    that come with simile, and asks them questions over gRPC. Everything printed is what the server \
    answered. The first run obtains ONNX Runtime and the model all-minilm-l6-v2 (about 110 MB)."
)]
pub(super) struct DemoArguments {
    /// Keep the demo's collection in this folder [default: a temporary one]
    #[arg(long, value_name = "DIR")]
    pub(super) keep: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Looks at ONNX Runtime, the processor, Python with pip, every model, the data \
    directory and the\ncollections in it. Obtains nothing and mends nothing.\n\n\
    Exit codes: 0 nothing is wrong, 5 something is missing, 7 something is damaged. With --json, \
    `healthy`\nand `problems` say the same."
)]
pub(super) struct DoctorArguments {
    #[command(flatten)]
    pub(super) connection: Connection,
}

#[derive(Debug, Args)]
pub(super) struct CompletionsArguments {
    /// The shell
    pub(super) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub(super) struct ManArguments {
    /// Write a page for every command into this folder
    #[arg(long, value_name = "DIR")]
    pub(super) folder: Option<PathBuf>,
}

/// The command of the processes that read files.
pub(super) const READ_FILES: &str = "read-files";

#[derive(Debug, Args)]
pub(super) struct ReadFilesArguments {
    /// The most memory, in bytes
    pub(super) memory_bytes_max: u64,
    /// The longest that a file may take, in seconds
    pub(super) seconds_max: u64,
}

/// Reads a number of seconds, at most a day.
fn seconds(text: &str) -> Result<f64, String> {
    let expected = || format!("expected seconds from 0 to 86400, got `{text}`");
    let seconds: f64 = text.parse().map_err(|_| expected())?;
    if (0.0..=86_400.0).contains(&seconds) { Ok(seconds) } else { Err(expected()) }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definitions_agree_with_themselves() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_and_argument_says_what_it_is() {
        fn check(command: &clap::Command) {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            for argument in command.get_arguments() {
                assert!(argument.get_help().is_some(), "{} {}", command.get_name(), argument);
            }
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }
}
