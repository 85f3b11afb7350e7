//! What follows the transformer in a folder of the model hub's layout? Modules as sentence-transformers
//! names them, and those of its kin for sparse vectors and for late interaction.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use super::import::{WEIGHTS, file_name, refused, settings};
use super::{
    AddOptions, Bend, ColbertSettings, DenseSettings, EmbedError, Joined, Pooling, Saturation,
    SpladeSettings, onnx,
};

/// The file of what is said of a model as a whole.
const SENTENCE_TRANSFORMERS: &str = "config_sentence_transformers.json";
/// What looks questions up in a table of weights, and where that is if it is not in a file of weights.
pub(super) const QUESTION_TABLE: &str = "SparseStaticEmbedding";
pub(super) const TOKEN_WEIGHTS: &str = "idf.json";
/// Markers of questions and passages, of the first implementation of late interaction.
const STANFORD_MARKERS: [&str; 2] = ["[unused0]", "[unused1]"];

#[derive(Deserialize)]
struct Module {
    path: String,
    #[serde(rename = "type")]
    kind: String,
}

/// What the modules behind the transformer do.
#[derive(Debug)]
pub(super) struct Modules {
    pub(super) transformer: PathBuf,
    pub(super) pooling: Pooling,
    pub(super) dense: Vec<DenseModule>,
    pub(super) normalizes: bool,
    pub(super) head: Head,
    pub(super) questions: Option<QuestionFiles>,
}

/// Where the table is that questions are looked up in, and their tokenizer.
#[derive(Debug, Clone)]
pub(super) struct QuestionFiles {
    pub(super) weights: PathBuf,
    pub(super) tokenizer: PathBuf,
}

/// The file of what reads questions and what reads passages, where they are read apart.
const ROUTER: &str = "router_config.json";

/// What that file says: the kind of each module by its folder, and which make up each route.
#[derive(Deserialize)]
struct RouterFile {
    types: BTreeMap<String, String>,
    structure: BTreeMap<String, Vec<String>>,
}

/// What comes out at the end.
#[derive(Debug)]
pub(super) enum Head {
    /// A vector of the text.
    Text,
    /// Weights of words.
    Words(SpladeSettings),
    /// A vector of each token.
    Tokens(ColbertFile),
}

/// A layer that a vector goes through, and where its weights are.
#[derive(Debug)]
pub(super) struct DenseModule {
    pub(super) settings: DenseSettings,
    pub(super) weights: PathBuf,
}

/// What a layer's `config.json` says.
#[derive(Deserialize)]
struct DenseFile {
    #[serde(default)]
    activation_function: Option<String>,
    #[serde(default)]
    use_residual: bool,
}

#[derive(Deserialize)]
struct SpladeFile {
    pooling_strategy: Option<String>,
    activation_function: Option<String>,
}

/// What is said of questions and passages, in the names of those who save it.
#[derive(Debug, Deserialize)]
pub(super) struct ColbertFile {
    #[serde(default = "ColbertFile::query_prefix")]
    query_prefix: String,
    #[serde(default = "ColbertFile::document_prefix")]
    document_prefix: String,
    #[serde(default = "ColbertFile::query_length")]
    query_length: usize,
    #[serde(default = "ColbertFile::document_length")]
    pub(super) document_length: usize,
    #[serde(default = "yes")]
    do_query_expansion: bool,
    #[serde(default)]
    attend_to_expansion_tokens: bool,
    /// None: ASCII punctuation.
    skiplist_words: Option<Vec<String>>,
}

/// The same in the names of the first implementation.
#[derive(Deserialize, Default)]
struct StanfordFile {
    query_token_id: Option<String>,
    doc_token_id: Option<String>,
    query_maxlen: Option<usize>,
    doc_maxlen: Option<usize>,
    mask_punctuation: Option<bool>,
    #[serde(default)]
    attend_to_mask_tokens: bool,
}

#[derive(Deserialize, Default)]
struct SpecialTokens {
    mask_token: Option<SpecialToken>,
}

/// A token as the settings of tokenizers name it.
#[derive(Deserialize)]
#[serde(untagged)]
enum SpecialToken {
    Name(String),
    Described { content: String },
}

/// How vectors are compared, and what texts are prefixed with.
#[derive(Debug, Deserialize, Default)]
pub(super) struct Similarity {
    #[serde(default)]
    prompts: BTreeMap<String, String>,
    #[serde(default)]
    default_prompt_name: Option<String>,
    #[serde(default)]
    pub(super) similarity_fn_name: Option<String>,
}

impl Similarity {
    pub(super) fn read(folder: &Path) -> Result<Self, EmbedError> {
        Ok(settings(&folder.join(SENTENCE_TRANSFORMERS))?.unwrap_or_default())
    }

    /// Returns the prompt of the first of these names, else the usual one.
    pub(super) fn prompt(&self, names: &[&str]) -> Option<String> {
        let named = names.iter().find_map(|name| self.prompts.get(*name));
        let usual = self.default_prompt_name.as_ref();
        named.or_else(|| usual.and_then(|name| self.prompts.get(name))).cloned()
    }
}

impl Modules {
    /// Reads what follows the transformer; without `modules.json` the mean is taken.
    pub(super) fn read(folder: &Path) -> Result<Self, EmbedError> {
        let file = folder.join("modules.json");
        let mut modules = module_paths(folder)?;
        let questions = question_path(&mut modules);
        let mut found = Self {
            transformer: folder.to_owned(),
            pooling: Pooling::Mean,
            dense: Vec::new(),
            normalizes: modules.is_empty(),
            head: Head::Text,
            questions: None,
        };
        let mut is_pooled = modules.is_empty();
        for (kind, path) in modules {
            match kind.as_str() {
                "Transformer" | "MLMTransformer" => found.transformer = folder.join(path),
                "Pooling" => {
                    found.pooling = pooling(&folder.join(path).join("config.json"))?;
                    is_pooled = true;
                }
                "SpladePooling" => {
                    found.head = Head::Words(splade(&folder.join(path).join("config.json"))?);
                    is_pooled = true;
                }
                "Dense" if found.normalizes => {
                    let reason = "a Dense follows Normalize, expected it before that";
                    return Err(refused(&file, reason.into()));
                }
                "Dense" => found.dense.push(DenseModule::read(&folder.join(path))?),
                "Normalize" => found.normalizes = true,
                // It is there for training.
                "Dropout" => {}
                other => {
                    let reason = format!(
                        "module `{other}` is not built here, expected Transformer, Pooling, \
                         Dense, Normalize, SpladePooling or, for questions, SparseStaticEmbedding"
                    );
                    return Err(refused(&file, reason));
                }
            }
        }
        // Nothing joins the tokens, so that each keeps its vector.
        if !is_pooled && !found.dense.is_empty() {
            let file = folder.join(SENTENCE_TRANSFORMERS);
            let colbert = settings::<ColbertFile>(&file)?;
            found.head = Head::Tokens(colbert.unwrap_or_default());
        }
        if let Some(path) = questions {
            if !matches!(found.head, Head::Words(_)) {
                let reason =
                    "questions are looked up in a table, and passages give no weights of words";
                return Err(refused(&file, reason.into()));
            }
            let inside = folder.join(&path);
            let places =
                [inside.join(WEIGHTS), inside.join(TOKEN_WEIGHTS), folder.join(TOKEN_WEIGHTS)];
            let weights = places.into_iter().find(|place| place.is_file());
            let weights = weights.ok_or_else(|| {
                let reason = format!("there is neither {WEIGHTS} nor {TOKEN_WEIGHTS}");
                refused(&inside, reason)
            })?;
            let tokenizers =
                [inside, found.transformer.clone()].map(|it| it.join("tokenizer.json"));
            let tokenizer = tokenizers.into_iter().find(|file| file.is_file()).unwrap_or_default();
            found.questions = Some(QuestionFiles { weights, tokenizer });
        }
        Ok(found)
    }
}

impl DenseModule {
    fn read(folder: &Path) -> Result<Self, EmbedError> {
        let file = folder.join("config.json");
        let Some(config) = settings::<DenseFile>(&file)? else {
            return Err(refused(&file, "there is no such file".into()));
        };
        let weights = folder.join(WEIGHTS);
        if !weights.is_file() {
            return Err(refused(&weights, "there is no such file".into()));
        }
        // Without a name it is the usual one of the package.
        let function = config.activation_function.as_deref().unwrap_or("torch.nn.Tanh");
        let Some(bend) = Bend::of_torch(function) else {
            let reason = format!(
                "activation `{function}` is not built here, expected Identity, Tanh, ReLU or Sigmoid"
            );
            return Err(refused(&file, reason));
        };
        let name = format!("{}.safetensors", file_name(folder));
        let settings = DenseSettings { file: name, bend, residual: config.use_residual };
        Ok(Self { settings, weights })
    }

    /// The layer whose weights are among those of the transformer.
    pub(super) fn inside(weights: PathBuf) -> Self {
        let file = WEIGHTS.to_owned();
        Self { settings: DenseSettings { file, bend: Bend::None, residual: false }, weights }
    }

    /// Returns how wide what comes out is, and what goes in.
    pub(super) fn widths(&self) -> Result<[usize; 2], EmbedError> {
        let bytes = fs_err::read(&self.weights)?;
        onnx::widths(&bytes).map_err(|error| refused(&self.weights, error.to_string()))
    }
}

impl Default for ColbertFile {
    fn default() -> Self {
        Self {
            query_prefix: Self::query_prefix(),
            document_prefix: Self::document_prefix(),
            query_length: Self::query_length(),
            document_length: Self::document_length(),
            do_query_expansion: true,
            attend_to_expansion_tokens: false,
            skiplist_words: None,
        }
    }
}

fn yes() -> bool {
    true
}

impl ColbertFile {
    fn query_prefix() -> String {
        "[Q] ".to_owned()
    }

    fn document_prefix() -> String {
        "[D] ".to_owned()
    }

    fn query_length() -> usize {
        32
    }

    fn document_length() -> usize {
        180
    }

    /// Reads what the first implementation says of its model.
    pub(super) fn stanford(folder: &Path, options: &AddOptions) -> Result<Self, EmbedError> {
        let file: StanfordFile = settings(&folder.join("artifact.metadata"))?.unwrap_or_default();
        let [query, document] = STANFORD_MARKERS.map(str::to_owned);
        let usual = Self::default();
        Ok(Self {
            query_prefix: file.query_token_id.unwrap_or(query),
            document_prefix: file.doc_token_id.unwrap_or(document),
            query_length: file.query_maxlen.unwrap_or(usual.query_length),
            document_length: options
                .tokens_max
                .or(file.doc_maxlen)
                .unwrap_or(usual.document_length),
            attend_to_expansion_tokens: file.attend_to_mask_tokens,
            skiplist_words: (file.mask_punctuation == Some(false)).then(Vec::new),
            ..usual
        })
    }

    /// Returns how questions and passages are told apart; `tokens_max` is how many tokens there are places
    /// for.
    pub(super) fn settings(
        &self,
        folder: &Path,
        tokens_max: usize,
    ) -> Result<ColbertSettings, EmbedError> {
        let file = folder.join("tokenizer_config.json");
        let special: SpecialTokens = settings(&file)?.unwrap_or_default();
        let mask = special.mask_token.map(|token| match token {
            SpecialToken::Name(name) | SpecialToken::Described { content: name } => name,
        });
        let filler = self.do_query_expansion.then_some(mask).flatten();
        if self.do_query_expansion && filler.is_none() {
            let reason = "it names no mask_token, which questions are filled up with";
            return Err(refused(&file, reason.into()));
        }
        let punctuation = || (33..127_u8).map(char::from).filter(char::is_ascii_punctuation);
        let skipped = self
            .skiplist_words
            .clone()
            .unwrap_or_else(|| punctuation().map(|sign| sign.to_string()).collect());
        Ok(ColbertSettings {
            query_tokens_max: self.query_length.min(tokens_max),
            query_marker: self.query_prefix.clone(),
            passage_marker: self.document_prefix.clone(),
            attends_to_filler: self.attend_to_expansion_tokens && filler.is_some(),
            filler,
            skipped,
        })
    }
}

/// Returns the modules that `modules.json` names, if it is there: kind and folder. A router's are those of
/// its passages, and what reads its questions.
pub(super) fn module_paths(folder: &Path) -> Result<Vec<(String, String)>, EmbedError> {
    let file = folder.join("modules.json");
    let mut paths = Vec::new();
    for module in settings::<Vec<Module>>(&file)?.unwrap_or_default() {
        check_inside(&file, &module.path)?;
        if is_router(&module.kind) {
            paths.extend(routes(folder, &module.path)?);
        } else {
            paths.push((last_part(&module.kind).to_owned(), module.path));
        }
    }
    Ok(paths)
}

/// Returns the file in which a router says what reads questions and what reads passages, if
/// `modules.json` names one.
pub(super) fn router(folder: &Path) -> Result<Option<String>, EmbedError> {
    let file = folder.join("modules.json");
    let modules = settings::<Vec<Module>>(&file)?.unwrap_or_default();
    let Some(module) = modules.iter().find(|module| is_router(&module.kind)) else {
        return Ok(None);
    };
    check_inside(&file, &module.path)?;
    Ok(Some(Path::new(&module.path).join(ROUTER).to_string_lossy().into_owned()))
}

fn is_router(kind: &str) -> bool {
    ["Router", "Asym"].contains(&last_part(kind))
}

/// Returns the modules of a router.
fn routes(folder: &Path, path: &str) -> Result<Vec<(String, String)>, EmbedError> {
    let file = folder.join(path).join(ROUTER);
    let Some(router) = settings::<RouterFile>(&file)? else { return Ok(Vec::new()) };
    let route = |name: &str| -> Result<Vec<(String, String)>, EmbedError> {
        let ids = router.structure.get(name).ok_or_else(|| {
            let known: Vec<&str> = router.structure.keys().map(String::as_str).collect();
            let known = known.join(", ");
            refused(
                &file,
                format!("it has no route `{name}`, expected query and document: {known}"),
            )
        })?;
        let module = |id: &String| {
            check_inside(&file, id)?;
            let kind = router.types.get(id).map(|kind| last_part(kind).to_owned());
            let kind =
                kind.ok_or_else(|| refused(&file, format!("it does not say what `{id}` is")))?;
            let inside = Path::new(path).join(id).to_string_lossy().into_owned();
            Ok((kind, inside.trim_end_matches('/').to_owned()))
        };
        ids.iter().map(module).collect()
    };
    let questions = route("query")?;
    match &questions[..] {
        [(kind, _)] if kind == QUESTION_TABLE => {}
        others => {
            let kinds: Vec<&str> = others.iter().map(|(kind, _)| kind.as_str()).collect();
            let kinds = kinds.join(", ");
            let reason = format!(
                "questions are read by {kinds}, expected {QUESTION_TABLE}: a table of weights"
            );
            return Err(refused(&file, reason));
        }
    }
    let mut modules = route("document")?;
    modules.extend(questions);
    Ok(modules)
}

/// Takes what reads questions out of the modules, and returns its folder.
fn question_path(modules: &mut Vec<(String, String)>) -> Option<String> {
    let at = modules.iter().position(|(kind, _)| kind == QUESTION_TABLE)?;
    Some(modules.remove(at).1)
}

fn check_inside(file: &Path, path: &str) -> Result<(), EmbedError> {
    if Path::new(path).components().all(|part| matches!(part, Component::Normal(_))) {
        return Ok(());
    }
    Err(refused(file, format!("`{path}` leads out of the folder")))
}

fn last_part(kind: &str) -> &str {
    kind.rsplit('.').next().unwrap_or_default()
}

fn splade(file: &Path) -> Result<SpladeSettings, EmbedError> {
    let Some(settings) = settings::<SpladeFile>(file)? else {
        return Err(refused(file, "there is no such file".into()));
    };
    let joined = match settings.pooling_strategy.as_deref() {
        None | Some("max") => Joined::Max,
        Some("sum") => Joined::Sum,
        Some(other) => {
            return Err(refused(
                file,
                format!("pooling_strategy is `{other}`, expected max or sum"),
            ));
        }
    };
    let saturation = match settings.activation_function.as_deref() {
        None | Some("relu") => Saturation::Log,
        Some("log1p_relu") => Saturation::LogLog,
        Some(other) => {
            let reason = format!("activation_function is `{other}`, expected relu or log1p_relu");
            return Err(refused(file, reason));
        }
    };
    Ok(SpladeSettings { joined, saturation })
}

/// The settings of pooling; releases differ in how they write them down.
#[derive(Deserialize, Default)]
#[serde(default)]
struct PoolingSettings {
    pooling_mode: Option<String>,
    pooling_mode_cls_token: bool,
    pooling_mode_mean_tokens: bool,
    pooling_mode_max_tokens: bool,
    pooling_mode_mean_sqrt_len_tokens: bool,
    pooling_mode_weightedmean_tokens: bool,
    pooling_mode_lasttoken: bool,
    include_prompt: Option<bool>,
}

fn pooling(file: &Path) -> Result<Pooling, EmbedError> {
    let Some(settings) = settings::<PoolingSettings>(file)? else {
        return Err(refused(file, "there is no such file".into()));
    };
    if settings.include_prompt == Some(false) {
        return Err(refused(
            file,
            "prompts are left out of the pooling, which is not built".into(),
        ));
    }
    let by_name = settings.pooling_mode.as_deref().map(|name| match name {
        "cls" => Ok(Pooling::Cls),
        "mean" => Ok(Pooling::Mean),
        "max" => Ok(Pooling::Max),
        "mean_sqrt_len_tokens" => Ok(Pooling::MeanSqrt),
        "weightedmean" => Ok(Pooling::WeightedMean),
        "lasttoken" => Ok(Pooling::Last),
        other => Err(format!("pooling `{other}` is not known")),
    });
    if let Some(pooling) = by_name {
        return pooling.map_err(|reason| refused(file, reason));
    }
    let modes = [
        (settings.pooling_mode_cls_token, Pooling::Cls),
        (settings.pooling_mode_mean_tokens, Pooling::Mean),
        (settings.pooling_mode_max_tokens, Pooling::Max),
        (settings.pooling_mode_mean_sqrt_len_tokens, Pooling::MeanSqrt),
        (settings.pooling_mode_weightedmean_tokens, Pooling::WeightedMean),
        (settings.pooling_mode_lasttoken, Pooling::Last),
    ];
    let chosen: Vec<Pooling> =
        modes.into_iter().filter_map(|(is_on, pooling)| is_on.then_some(pooling)).collect();
    match chosen[..] {
        [pooling] => Ok(pooling),
        _ => Err(refused(file, format!("{} poolings are joined, expected one", chosen.len()))),
    }
}
