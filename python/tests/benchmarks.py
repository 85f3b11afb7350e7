"""The adapters, by the interfaces of the packages they are for: ADDRESS.

BEIR's evaluation runs as it is. MTEB brings torch along, so its interfaces are read from their file, without
importing the package, and what they say is called as they say it.
"""

import importlib.util
import inspect
import sys
from types import SimpleNamespace

import numpy as np
from beir.retrieval.evaluation import EvaluateRetrieval
from beir.retrieval.search import BaseSearch

import simile
import simile.beir
import simile.mteb

client = simile.connect(sys.argv[1], timeout=60)
corpus = {
    "d1": {"title": "Cats", "text": "The cat chases the mouse"},
    "d2": {"title": "Ships", "text": "The ferry leaves the harbour at noon"},
    "d3": {"title": "", "text": "I like ham sandwiches"},
}
queries = {"q1": "a kitten hunts rodents", "q2": "when does the boat go"}
qrels = {"q1": {"d1": 1}, "q2": {"d2": 1}}


def same_parameters(ours, theirs):
    """Whatever their interface may hand over, ours takes."""
    for name, method in inspect.getmembers(theirs, inspect.isfunction):
        if name.startswith("_") and name != "__init__" or method.__qualname__.split(".")[0] != theirs.__name__:
            continue
        own = inspect.signature(getattr(ours, name)).parameters
        takes_any = any(one.kind == inspect.Parameter.VAR_KEYWORD for one in own.values())
        for parameter in inspect.signature(method).parameters.values():
            if parameter.kind in (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL):
                continue
            assert parameter.name in own or takes_any, (name, parameter)
    for name, member in vars(theirs).items():
        if isinstance(member, property):
            assert isinstance(inspect.getattr_static(ours, name), property), name


# BEIR.
same_parameters(simile.beir.Retriever, BaseSearch)
retriever = simile.beir.Retriever(client, "beir")
evaluation = EvaluateRetrieval(retriever, k_values=[1, 3], score_function="simile")
results = evaluation.retrieve(corpus, queries)
assert {query: max(found, key=found.get) for query, found in results.items()} == {"q1": "d1", "q2": "d2"}, results
ndcg, _, recall, _ = evaluation.evaluate(qrels, results, evaluation.k_values)
assert ndcg["NDCG@1"] == 1.0 and recall["Recall@1"] == 1.0, (ndcg, recall)
# Again: nothing is stored twice, and other modes answer, too.
assert client.count("beir").documents == 3
words = simile.beir.Retriever(client, "beir", mode="lexical").search(corpus, {"q": "ham"}, 10)
assert list(words["q"]) == ["d3"], words
try:
    simile.beir.Retriever(client, "refused").search({"": {"text": "x"}}, queries, 10)
except simile.SimileError as error:
    assert "were refused" in str(error), error
else:
    raise AssertionError("a document without an id is not refused")

# MTEB.
spec = importlib.util.find_spec("mteb")
file = spec.submodule_search_locations[0] + "/models/models_protocols.py"
spec = importlib.util.spec_from_file_location("protocols", file)
protocols = importlib.util.module_from_spec(spec)
spec.loader.exec_module(protocols)
same_parameters(simile.mteb.Encoder, protocols.EncoderProtocol)
same_parameters(simile.mteb.Search, protocols.SearchProtocol)

task = SimpleNamespace(name="Sci Fact")
where = dict(task_metadata=task, hf_split="test", hf_subset="default")
encoder = simile.mteb.Encoder("all-minilm-l6-v2", client=client)
batches = [{"text": ["The cat chases the mouse", "The kitten hunts rodents"]}, {"text": ["I like ham sandwiches"]}]
rows = encoder.encode(batches, prompt_type=SimpleNamespace(value="query"), batch_size=32, **where)
assert rows.shape == (3, 384)
similarities = encoder.similarity(rows[:1], rows)
assert similarities.shape == (1, 3) and abs(similarities[0, 1] - 0.622) < 0.02
assert np.allclose(encoder.similarity_pairwise(rows, rows), 1, atol=1e-4)

search = simile.mteb.Search(client, "mteb", mode="semantic")
search.index([{"id": id, **one} for id, one in corpus.items()], encode_kwargs={}, num_proc=None, **where)
assert client.collection("mteb-Sci_Fact-default-test").documents == 3
asked = [{"id": id, "text": text} for id, text in queries.items()]
found = search.search(asked, top_k=2, encode_kwargs={}, num_proc=None, **where)
assert {query: max(one, key=one.get) for query, one in found.items()} == {"q1": "d1", "q2": "d2"}, found
assert all(len(one) == 2 for one in found.values())
search.index([{"id": "x", "title": "", "text": "other"}], encode_kwargs={}, num_proc=None, **(where | {"hf_split": "dev"}))
assert [one.name for one in client.collections() if one.name.startswith("mteb")] == ["mteb-Sci_Fact-default-dev"]

for collection in client.collections():
    client.delete_collection(collection.name)
assert "torch" not in sys.modules and "mteb" not in sys.modules
print("done")
