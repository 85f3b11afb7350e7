//! The arguments of `simile collection`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use simile_proto::v1::{self as wire};

use crate::cli::arguments::{Connection, ListArguments, NameArguments};

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum CollectionCommand {
    /// Create a collection
    Create(CreateArguments),
    /// List the collections
    List(ListArguments),
    /// Show one collection
    Info(NameArguments),
    /// Delete a collection with everything in it
    Delete(DeleteCollectionArguments),
    /// Add a vector to a collection in use; one with a model is made of the texts that are stored
    AddVector(AddVectorArguments),
    /// Drop a vector from every passage
    DropVector(DropVectorArguments),
    /// Go over to another model: make its vectors beside the old ones, compare, and switch at one moment
    Reembed(ReembedArguments),
    /// Measure what share of the best passages a graph search finds
    Recall(RecallArguments),
    /// Set what a collection in use is like: graphs, passages, description
    #[command(alias = "change")]
    Set(SetArguments),
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    simile collection create notes                            texts, with the default embedder\n  \
    simile collection create photos --vector image=512        vectors that you bring\n  \
    simile collection create terms --vector words=sparse      sparse vectors that you bring\n  \
    simile collection create late --vector tokens=multi:128   several vectors a passage, by MaxSim\n  \
    simile collection create notes --words-only               found by words, without a model\n  \
    simile collection create shop --tenant customer           each document belongs to one of many\n  \
    simile collection create both --vector text=all-minilm-l6-v2 --vector given=128:euclidean")]
pub(in crate::cli) struct CreateArguments {
    /// The name: letters, digits, _ and -, at most 64
    pub(in crate::cli) name: String,
    /// A named vector: the model that embeds it, or its dimension and metric (cosine, dot,
    /// euclidean), or `sparse`, or `multi:` and a dimension for several to a passage, if you bring the
    /// vectors (may be repeated) [default: text=the default embedder]
    #[arg(long, value_name = "NAME=MODEL|DIMENSION[:METRIC]|sparse|multi:DIMENSION[:METRIC]")]
    pub(in crate::cli) vector: Vec<String>,
    /// No vectors at all: texts are found by their words
    #[arg(long, conflicts_with_all = ["vector", "no_lexical"])]
    pub(in crate::cli) words_only: bool,
    /// Do not index words
    #[arg(long)]
    pub(in crate::cli) no_lexical: bool,
    /// The field whose text says whose a document is: documents without one are refused, and so are
    /// questions that do not say whose documents they are about
    #[arg(long, value_name = "FIELD")]
    pub(in crate::cli) tenant: Option<String>,
    /// What the collection is for
    #[arg(long, value_name = "TEXT")]
    pub(in crate::cli) description: Option<String>,
    /// What else is to be known of it (may be repeated)
    #[arg(long, value_name = "NAME=TEXT")]
    pub(in crate::cli) metadata: Vec<String>,
    #[command(flatten)]
    pub(in crate::cli) chunk: ChunkArguments,
    #[command(flatten)]
    pub(in crate::cli) connection: Connection,
}

/// What a graph is searched on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum QuantisationName {
    /// The vectors themselves
    None,
    /// One byte a component
    Int8,
    /// One bit a component
    Binary,
}

/// How texts are cut.
#[derive(Debug, Clone, Copy, Args)]
pub(in crate::cli) struct ChunkArguments {
    /// The longest passage, in tokens of the embedder [default: what it reads]
    #[arg(long, value_name = "N")]
    pub(in crate::cli) tokens_max: Option<u32>,
    /// What neighbouring passages share, in tokens [default: an eighth of the longest]
    #[arg(long, value_name = "N")]
    pub(in crate::cli) tokens_overlap: Option<u32>,
}

impl From<ChunkArguments> for wire::ChunkConfig {
    fn from(ChunkArguments { tokens_max, tokens_overlap }: ChunkArguments) -> Self {
        Self { tokens_max, tokens_overlap }
    }
}

#[derive(Debug, Args)]
pub(in crate::cli) struct DeleteCollectionArguments {
    /// The name of the collection
    pub(in crate::cli) name: String,
    /// Do not ask
    #[arg(long, short)]
    pub(in crate::cli) yes: bool,
    #[command(flatten)]
    pub(in crate::cli) connection: Connection,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    simile collection add-vector notes terms=hashed-words\n  \
    simile collection add-vector notes image=512:dot\n\n\
    If it ends early, the same command goes on where it stopped.")]
pub(in crate::cli) struct AddVectorArguments {
    /// The name of the collection
    pub(in crate::cli) collection: String,
    /// The vector, as in `simile collection create --vector`
    #[arg(value_name = "NAME=MODEL|DIMENSION[:METRIC]|sparse|multi:DIMENSION[:METRIC]")]
    pub(in crate::cli) vector: String,
    #[command(flatten)]
    pub(in crate::cli) connection: Connection,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct DropVectorArguments {
    /// The name of the collection
    pub(in crate::cli) collection: String,
    /// The name of the vector
    pub(in crate::cli) vector: String,
    /// Do not ask
    #[arg(long, short)]
    pub(in crate::cli) yes: bool,
    #[command(flatten)]
    pub(in crate::cli) connection: Connection,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    simile collection set notes --ef 256                        searches that say no breadth\n  \
    simile collection set notes --quantisation int8 && simile optimize notes\n  \
    simile collection set notes --tokens-max 128                texts that are stored from now on\n  \
    simile collection set notes --description 'What I wrote' --metadata owner=ann\n\n\
    Nothing is interrupted. Graphs that are there stay as they are until they are merged; `simile \
    optimize`\ndoes it now.")]
pub(in crate::cli) struct SetArguments {
    /// The name of the collection
    pub(in crate::cli) name: String,
    /// The vector whose graph is meant [default: the only one]
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) vector: Option<String>,
    /// Links of a node of graphs that are built from now on, 2 to 128
    #[arg(long, value_name = "N")]
    pub(in crate::cli) hnsw_m: Option<u32>,
    /// Breadth of the search while they are built, 8 to 4096
    #[arg(long, value_name = "N")]
    pub(in crate::cli) ef_construction: Option<u32>,
    /// What they are searched on
    #[arg(long, value_name = "KIND")]
    pub(in crate::cli) quantisation: Option<QuantisationName>,
    /// Breadth of searches that say none, up to 4096; 0: the usual one
    #[arg(long, value_name = "N")]
    pub(in crate::cli) ef: Option<u32>,
    /// What the collection is for
    #[arg(long, value_name = "TEXT")]
    pub(in crate::cli) description: Option<String>,
    /// What else is to be known of it; an empty text takes the entry away (may be repeated)
    #[arg(long, value_name = "NAME=TEXT")]
    pub(in crate::cli) metadata: Vec<String>,
    #[command(flatten)]
    pub(in crate::cli) chunk: ChunkArguments,
    #[command(flatten)]
    pub(in crate::cli) connection: Connection,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    simile collection recall notes                       as searches are that do not say\n  \
    simile collection recall notes --target-recall 0.99  as `simile search --target-recall 0.99`")]
pub(in crate::cli) struct RecallArguments {
    /// The name of the collection
    pub(in crate::cli) name: String,
    /// The dense vector [default: the only one]
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) vector: Option<String>,
    /// Of how many best passages
    #[arg(long, short = 'n', value_name = "N", default_value_t = 10,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(in crate::cli) limit: u32,
    /// With how many questions
    #[arg(long, value_name = "N", default_value_t = 200,
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(in crate::cli) questions: u32,
    /// Breadth of the graph search
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(in crate::cli) ef: Option<u32>,
    /// As a search that asks for this recall
    #[arg(long, value_name = "SHARE", conflicts_with = "ef")]
    pub(in crate::cli) target_recall: Option<f32>,
    #[command(flatten)]
    pub(in crate::cli) connection: Connection,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    simile collection reembed notes --model bge-small                 asks before it switches\n  \
    simile collection reembed notes --model bge-small --compare-only  leaves both vectors there\n  \
    simile collection reembed notes --model bge-small --judged scifact --yes\n\n\
    The new vectors stand beside the old ones, under the vector's name with `-next`, while the\n\
    collection is in use. If it ends early, the same command goes on where it stopped; until it\n\
    switches, `simile collection drop-vector` takes all of it back.")]
pub(in crate::cli) struct ReembedArguments {
    /// The name of the collection
    pub(in crate::cli) collection: String,
    /// The model to go over to
    #[arg(long, value_name = "MODEL", visible_alias = "embedder")]
    pub(in crate::cli) model: String,
    /// The vector [default: the only one that a model makes]
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) vector: Option<String>,
    /// Questions to compare by, one a line [default: beginnings of stored passages, drawn at random]
    #[arg(long, value_name = "FILE", conflicts_with = "judged")]
    pub(in crate::cli) questions: Option<PathBuf>,
    /// A folder with judged questions in the layout of BEIR: nDCG@10 of both models too
    #[arg(long, value_name = "FOLDER")]
    pub(in crate::cli) judged: Option<PathBuf>,
    /// How many questions are drawn
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(in crate::cli) sample: u32,
    /// Make and compare, and leave both vectors there
    #[arg(long, conflicts_with = "yes")]
    pub(in crate::cli) compare_only: bool,
    /// Do not ask before the switch
    #[arg(long, short)]
    pub(in crate::cli) yes: bool,
    #[command(flatten)]
    pub(in crate::cli) connection: Connection,
}
