use std::collections::BTreeMap;

use simile_proto::qdrant::query::Variant;
use simile_proto::qdrant::vector_input;
use simile_proto::qdrant::{self as wire};
use tonic::Status;

use super::super::translate::WireError;
use super::ask::Asked;
use super::filter::optional_filter;
use super::value::{document_id, field_path, unsupported};
use super::vector::{
    Embeddings, Input, Unembedded, catalogue_name, dense_input, document, image, multi_input,
    object, sparse_input, stored_name,
};
use crate::document::Filter;
use crate::embed::Role;
use crate::query::{
    Direction, Diversity, Example, Fusion, GroupBy, LIMIT_DEFAULT, Mode, OrderBy,
    PREFETCH_DEPTH_MAX, PlanError, Recommend, SearchRequest, Strategy, Weighted,
};
use crate::vector::{Metric, Vector};

/// The constant of reciprocal rank fusion where a request does not say. Ranks begin at 0 there.
const RRF_K: u32 = 2;

/// What is asked, in the one form that several messages have.
#[derive(Debug, Clone, Default)]
pub(super) struct Query {
    pub(super) prefetch: Vec<wire::PrefetchQuery>,
    pub(super) query: Option<wire::Query>,
    pub(super) using: Option<String>,
    pub(super) filter: Option<wire::Filter>,
    pub(super) params: Option<wire::SearchParams>,
    pub(super) score_threshold: Option<f32>,
    pub(super) limit: Option<u64>,
    pub(super) offset: Option<u64>,
    pub(super) lookup_from: Option<wire::LookupLocation>,
}

/// What a query comes to.
#[derive(Debug)]
pub(super) enum Step {
    Search(Box<Search>),
    /// Documents by id, of an order, or drawn at random.
    List(List),
}

/// A search.
#[derive(Debug)]
pub(super) struct Search {
    pub(super) request: SearchRequest,
    /// Whether the protocol tells the score as a distance, which is less where this is more.
    pub(super) is_distance: bool,
    embeddings: Embeddings,
}

/// Documents that are not ranked.
#[derive(Debug)]
pub(super) struct List {
    pub(super) kind: ListKind,
    pub(super) filter: Option<Filter>,
    pub(super) limit: usize,
    pub(super) offset: usize,
}

/// Which documents of a list come first.
#[derive(Debug)]
pub(super) enum ListKind {
    ById,
    Ordered(OrderBy),
    Drawn,
}

/// How the groups of an answer are made.
#[derive(Debug, Clone)]
pub(super) struct Grouped {
    pub(super) path: String,
    pub(super) size: usize,
}

impl Search {
    /// Returns a score as the protocol tells it.
    pub(super) fn told(&self, score: f32) -> f32 {
        // Not -0, which some clients print.
        if self.is_distance { 0.0 - score } else { score }
    }

    /// Returns what was read to embed the question, as it travels.
    pub(super) fn usage(self) -> Option<wire::Usage> {
        self.embeddings.usage()
    }
}

/// Returns what a query comes to, with its texts embedded.
pub(super) fn step(asked: &Asked<'_>, query: Query) -> Result<Step, Status> {
    let kind = match (&query.query, query.prefetch.is_empty()) {
        (Some(wire::Query { variant: Some(Variant::OrderBy(order)) }), true) => {
            Some(ListKind::Ordered(order_by(order.clone())?))
        }
        (Some(wire::Query { variant: Some(Variant::Sample(kind)) }), true) => {
            let unknown = |_| WireError::UnknownChoice { what: "sample", actual: *kind };
            wire::Sample::try_from(*kind).map_err(unknown)?;
            Some(ListKind::Drawn)
        }
        (None, true) => Some(ListKind::ById),
        _ => None,
    };
    let Some(kind) = kind else { return Ok(Step::Search(Box::new(search(asked, query)?))) };
    unsupported(query.lookup_from.is_some(), "`lookup_from`")?;
    unsupported(query.score_threshold.is_some(), "`score_threshold` without a ranking")?;
    Ok(Step::List(List {
        kind,
        filter: asked.fitted(optional_filter(query.filter)?),
        limit: size(query.limit, LIMIT_DEFAULT),
        offset: size(query.offset, 0),
    }))
}

/// Returns the search that a query asks for, with its texts and pictures embedded.
pub(super) fn search(asked: &Asked<'_>, query: Query) -> Result<Search, Status> {
    let mut reader = Reader { asked, unembedded: Unembedded::default(), is_distance: false };
    let draft = reader.draft(query, 1)?;
    let is_distance = reader.is_distance;
    let embeddings = reader.unembedded.embed(asked.shared, Role::Query, asked.cancel)?;
    let request = draft.finish(&embeddings)?;
    Ok(Search { request, is_distance, embeddings })
}

/// Returns the order that is asked for.
pub(super) fn order_by(given: wire::OrderBy) -> Result<OrderBy, WireError> {
    unsupported(given.start_from.is_some(), "`start_from` of an order")?;
    let direction = match given.direction() {
        wire::Direction::Asc => Direction::Ascending,
        wire::Direction::Desc => Direction::Descending,
    };
    Ok(OrderBy { path: field_path(&given.key)?, direction })
}

/// Returns a number as a size; what is too large stays too large.
pub(super) fn size(given: Option<u64>, usual: usize) -> usize {
    given.map_or(usual, |given| usize::try_from(given).unwrap_or(usize::MAX))
}

/// Returns the question with a grouping.
pub(super) fn grouped(request: SearchRequest, by: Grouped) -> Result<SearchRequest, WireError> {
    let group_by = Some(GroupBy { path: field_path(&by.path)?, size: by.size });
    Ok(SearchRequest { group_by, ..request })
}

/// A search whose texts are not embedded yet.
struct Draft {
    request: SearchRequest,
    /// A vector that is asked for, or the examples of a recommendation, positive ones first.
    nearest: Option<(String, Input)>,
    examples: [Vec<Given>; 2],
    prefetch: Vec<Draft>,
}

enum Given {
    Document(crate::document::DocumentId),
    Input(Input),
}

struct Reader<'a> {
    asked: &'a Asked<'a>,
    unembedded: Unembedded,
    /// Of the outermost search.
    is_distance: bool,
}

impl Reader<'_> {
    /// The recursion is bounded here, since the plan bounds only what it is given.
    fn draft(&mut self, query: Query, depth: usize) -> Result<Draft, Status> {
        if depth > PREFETCH_DEPTH_MAX {
            return Err(WireError::from(PlanError::TooDeep).into());
        }
        unsupported(query.lookup_from.is_some(), "`lookup_from`")?;
        let name = stored_name(query.using.as_deref().unwrap_or_default()).to_owned();
        let mut request = SearchRequest {
            mode: Mode::Semantic,
            filter: self.asked.fitted(optional_filter(query.filter)?),
            limit: size(query.limit, LIMIT_DEFAULT),
            offset: size(query.offset, 0),
            with_payload: false,
            with_text: false,
            ..SearchRequest::default()
        };
        apply(&mut request, query.params)?;
        let mut draft = Draft {
            request,
            nearest: None,
            examples: [Vec::new(), Vec::new()],
            prefetch: Vec::new(),
        };
        let variant = query.query.and_then(|query| query.variant);
        let variant = variant.ok_or(WireError::Missing("the query of a search"))?;
        let metric = self.asked.collection.settings().vectors.get(&name).map(|dense| dense.metric);
        let mut is_distance = metric == Some(Metric::Euclidean);
        let has_prefetch = !query.prefetch.is_empty();
        match variant {
            Variant::Nearest(given) => self.nearest(&mut draft, name, given)?,
            Variant::NearestWithMmr(given) => {
                let nearest = given.nearest.ok_or(WireError::Missing("what is nearest"))?;
                draft.request.diversity = Some(diversity(given.mmr.unwrap_or_default(), &name));
                self.nearest(&mut draft, name, nearest)?;
            }
            Variant::Recommend(given) => {
                is_distance &= given.strategy() == wire::RecommendStrategy::AverageVector;
                self.recommend(&mut draft, name, given)?;
            }
            Variant::Fusion(kind) if has_prefetch => {
                draft.request.fusion = fusion(kind)?;
                is_distance = false;
            }
            Variant::Rrf(given) if has_prefetch => {
                draft.request.fusion = rrf(&given)?;
                is_distance = false;
            }
            Variant::Fusion(_) | Variant::Rrf(_) => {
                return Err(WireError::Missing("the prefetch that a fusion joins").into());
            }
            refused => return Err(WireError::Unsupported(variant_name(&refused).to_owned()).into()),
        }
        // A distance is at most so much, where a score is at least so much.
        let threshold = query.score_threshold;
        draft.request.score_threshold =
            threshold.map(|least| if is_distance { 0.0 - least } else { least });
        if depth == 1 {
            self.is_distance = is_distance;
        }
        for inner in query.prefetch {
            draft.prefetch.push(self.draft(prefetch(inner), depth + 1)?);
        }
        Ok(draft)
    }

    fn nearest(
        &mut self,
        draft: &mut Draft,
        name: String,
        given: wire::VectorInput,
    ) -> Result<(), Status> {
        match self.given(&name, given)? {
            Given::Document(id) => {
                let positive = vec![Example::Document(id).into()];
                let vector = Some(name);
                draft.request.recommend =
                    Some(Recommend { positive, vector, ..Recommend::default() });
            }
            Given::Input(input) => draft.nearest = Some((name, input)),
        }
        Ok(())
    }

    fn recommend(
        &mut self,
        draft: &mut Draft,
        name: String,
        given: wire::RecommendInput,
    ) -> Result<(), Status> {
        let strategy = match given.strategy() {
            wire::RecommendStrategy::AverageVector => Strategy::Average,
            wire::RecommendStrategy::BestScore => Strategy::BestScore,
            wire::RecommendStrategy::SumScores => {
                return Err(WireError::Unsupported("strategy `SumScores`".to_owned()).into());
            }
        };
        let mut read = |examples: Vec<wire::VectorInput>| {
            examples.into_iter().map(|given| self.given(&name, given)).collect()
        };
        let positive: Result<Vec<Given>, Status> = read(given.positive);
        draft.examples = [positive?, read(given.negative)?];
        draft.request.recommend =
            Some(Recommend { strategy, vector: Some(name), ..Recommend::default() });
        Ok(())
    }

    fn given(&mut self, name: &str, given: wire::VectorInput) -> Result<Given, Status> {
        use vector_input::Variant as Kind;
        let input = match given.variant.ok_or(WireError::Missing("a vector or an id"))? {
            Kind::Id(id) => return Ok(Given::Document(document_id(id)?)),
            Kind::Dense(dense) => dense_input(name, dense)?,
            Kind::Sparse(sparse) => sparse_input(name, sparse.indices, sparse.values)?,
            Kind::MultiDense(multi) => multi_input(name, multi)?,
            Kind::Document(given) => document(given)?,
            Kind::Image(given) => image(given)?,
            Kind::Object(given) => object(given)?,
        };
        if let Some(model) = input.model() {
            self.check_model(name, model)?;
        }
        let named = BTreeMap::from([(name.to_owned(), input.clone())]);
        // What the collection embeds itself is asked for as a text or a picture.
        self.unembedded.note(&named, &self.asked.collection.settings());
        Ok(Given::Input(input))
    }

    fn check_model(&self, name: &str, model: &str) -> Result<(), Status> {
        check_model(self.asked, name, model)
    }
}

/// Checks that a text or a picture for a vector that the collection embeds names the same model.
pub(super) fn check_model(asked: &Asked<'_>, name: &str, model: &str) -> Result<(), Status> {
    let settings = asked.collection.settings();
    let Some(bound) = settings.embedder(name) else { return Ok(()) };
    let model = if model.is_empty() { &bound.name } else { &catalogue_name(asked.shared, model) };
    if *model == bound.name {
        return Ok(());
    }
    let message = format!(
        "vector `{name}` is made by model `{}`, and the request names `{model}`",
        bound.name
    );
    Err(Status::failed_precondition(message))
}

impl Draft {
    fn finish(self, embeddings: &Embeddings) -> Result<SearchRequest, Status> {
        let mut request = self.request;
        if let Some((name, input)) = self.nearest {
            match (input.clone(), embeddings.vector(input)) {
                (_, Some(vector)) => {
                    request.vectors.insert(name, vector);
                }
                (Input::Text { text, .. }, None) => {
                    (request.text, request.using) = (Some(text), Some(name));
                }
                (Input::Picture { picture, .. }, None) => {
                    (request.image, request.using) = (Some(picture), Some(name));
                }
                (Input::Video { video, .. }, None) => {
                    let positive = vec![Example::Clip(video).into()];
                    let vector = Some(name);
                    request.recommend =
                        Some(Recommend { positive, vector, ..Recommend::default() });
                }
                (Input::Given(_), None) => {}
            }
        }
        if let Some(recommend) = &mut request.recommend {
            let [positive, negative] = self.examples;
            for (examples, given) in
                [(&mut recommend.positive, positive), (&mut recommend.negative, negative)]
            {
                for given in given {
                    examples.push(example(given, embeddings)?);
                }
            }
        }
        for inner in self.prefetch {
            request.prefetch.push(inner.finish(embeddings)?);
        }
        Ok(request)
    }
}

fn example(given: Given, embeddings: &Embeddings) -> Result<Weighted, Status> {
    match given {
        Given::Document(id) => Ok(Example::Document(id).into()),
        Given::Input(input) => match (input.clone(), embeddings.vector(input)) {
            (_, Some(vector)) => Ok(of_vector(vector)),
            // The collection embeds these itself.
            (Input::Text { text, .. }, None) => Ok(Example::Text(text).into()),
            (Input::Picture { picture, .. }, None) => Ok(Example::Image(picture).into()),
            (Input::Video { video, .. }, None) => Ok(Example::Clip(video).into()),
            (Input::Given(_), None) => Err(Status::internal("a vector was lost")),
        },
    }
}

fn of_vector(vector: Vector) -> Weighted {
    Example::Vector(vector).into()
}

fn prefetch(given: wire::PrefetchQuery) -> Query {
    Query {
        prefetch: given.prefetch,
        query: given.query,
        using: given.using,
        filter: given.filter,
        params: given.params,
        score_threshold: given.score_threshold,
        limit: given.limit,
        offset: None,
        lookup_from: given.lookup_from,
    }
}

/// Hints about quantised vectors and filtered graphs are taken as such: the best candidates are always
/// scored again, and a filter never costs hits.
fn apply(request: &mut SearchRequest, given: Option<wire::SearchParams>) -> Result<(), WireError> {
    let Some(given) = given else { return Ok(()) };
    unsupported(given.indexed_only == Some(true), "`indexed_only`")?;
    unsupported(given.idf.is_some(), "`idf`")?;
    request.ef = given.hnsw_ef.map(|ef| size(Some(ef), 0));
    request.exact = given.exact.unwrap_or_default();
    Ok(())
}

fn diversity(given: wire::Mmr, name: &str) -> Diversity {
    Diversity {
        relevance: given.diversity.map_or(Diversity::default().relevance, |share| 1.0 - share),
        candidates: given.candidates_limit.map(|candidates| candidates as usize),
        vector: Some(name.to_owned()),
    }
}

fn fusion(kind: i32) -> Result<Fusion, WireError> {
    match wire::Fusion::try_from(kind) {
        Ok(wire::Fusion::Rrf) => rrf(&wire::Rrf::default()),
        Ok(wire::Fusion::Dbsf) => Ok(Fusion::Distribution { weights: BTreeMap::new() }),
        Err(_) => Err(WireError::UnknownChoice { what: "fusion", actual: kind }),
    }
}

/// Ranks begin at 0 there, and at 1 here.
fn rrf(given: &wire::Rrf) -> Result<Fusion, WireError> {
    let k = given.k.unwrap_or(RRF_K);
    let k = k.checked_sub(1).ok_or(WireError::OutOfRange {
        what: "k of the fusion",
        actual: 0,
        least: 1,
        most: u32::MAX.into(),
    })?;
    let weights = (1..).zip(&given.weights);
    let weights = weights.map(|(number, weight): (usize, _)| {
        (crate::query::Leg::Prefetch(number).to_string(), *weight)
    });
    Ok(Fusion::ReciprocalRank { k, weights: weights.collect() })
}

fn variant_name(variant: &Variant) -> &'static str {
    match variant {
        Variant::Nearest(_) => "query `nearest`",
        Variant::Recommend(_) => "query `recommend`",
        Variant::Discover(_) => "query `discover`",
        Variant::Context(_) => "query `context`",
        Variant::OrderBy(_) => "query `order_by` with or as a prefetch",
        Variant::Fusion(_) => "query `fusion`",
        Variant::Sample(_) => "query `sample` with or as a prefetch",
        Variant::Formula(_) => "query `formula`",
        Variant::NearestWithMmr(_) => "query `nearest_with_mmr`",
        Variant::Rrf(_) => "query `rrf`",
        Variant::RelevanceFeedback(_) => "query `relevance_feedback`",
        Variant::Text(_) => "query `text`",
    }
}
