#!/usr/bin/env python3
"""Makes tiny models that give weights of words (SPLADE), a vector for each token (ColBERT), or vectors that
go through layers, and more cross-encoders; all with random weights. Records what is made of texts with them.

    python3 -m venv .venv
    .venv/bin/pip install sentence-transformers==5.7.0 transformers==4.57.6 torch==2.9.1 onnx==1.19.1
    .venv/bin/python tests/reference/tokens.py
    .venv/bin/pip install --no-deps --target pylate pylate==1.6.0 sentence-transformers==5.3.0
    PYTHONPATH=pylate .venv/bin/python tests/reference/tokens.py --pylate

The tokenizers are those of tests/fixtures/families. Writes `tests/fixtures/tokens/NAME/` for each model, and
`expected.json` beside them. With --pylate it checks that PyLate makes the same of the texts as is written
down: it wants an older sentence-transformers.
"""

import importlib.util
import json
import pathlib
import shutil
import string
import sys
import tempfile
import types

import torch
import transformers
from safetensors.torch import load_file, save_file
from sentence_transformers import CrossEncoder, SentenceTransformer, SparseEncoder, models
from sentence_transformers.sparse_encoder.models import SpladePooling

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from families import FOLDER as FAMILIES  # noqa: E402
from families import HEADS, LAYERS, TEXTS, TOKENS, WIDE, WIDTH, shaken  # noqa: E402

FOLDER = FAMILIES.parent / "tokens"
QUESTION = "what does the cat chase?"


def number(value: float) -> float:
    return float(f"{value:.6g}")


def config(kind, tokenizer, **other):
    """Returns the settings of a small model over a tokenizer's words."""
    settings = {
        "vocab_size": len(tokenizer),
        "hidden_size": WIDTH,
        "num_attention_heads": HEADS,
        "num_hidden_layers": LAYERS,
        "intermediate_size": WIDE,
        "max_position_embeddings": TOKENS,
        "pad_token_id": tokenizer.pad_token_id,
    }
    return kind(**{**settings, **other})


def tokenizer_of(name):
    return transformers.AutoTokenizer.from_pretrained(FAMILIES / name)


def tidy(folder):
    for unused in ["special_tokens_map.json", "README.md", "vocab.txt"]:
        for found in folder.rglob(unused):
            found.unlink()


def masked_models():
    """Yields name, masked language model, tokenizer, how tokens are joined and weights held down."""
    bert, roberta = tokenizer_of("bert-max"), tokenizer_of("roberta-cls")
    mpnet = tokenizer_of("mpnet-weighted")
    yield "splade-bert", transformers.BertForMaskedLM(config(transformers.BertConfig, bert)), bert, "max", "relu"
    distil = transformers.DistilBertConfig(
        vocab_size=len(bert), max_position_embeddings=TOKENS, dim=WIDTH, n_heads=HEADS, n_layers=LAYERS, hidden_dim=WIDE
    )
    yield "splade-distilbert-sum", transformers.DistilBertForMaskedLM(distil), bert, "sum", "log1p_relu"
    settings = config(transformers.RobertaConfig, roberta, max_position_embeddings=TOKENS + 2, type_vocab_size=1)
    yield "splade-roberta", transformers.RobertaForMaskedLM(settings), roberta, "max", "log1p_relu"
    settings = config(transformers.MPNetConfig, mpnet, max_position_embeddings=TOKENS + 2)
    yield "splade-mpnet", transformers.MPNetForMaskedLM(settings), mpnet, "max", "relu"
    yield "splade-modernbert", transformers.ModernBertForMaskedLM(modern(bert)), bert, "max", "relu"


def modern(tokenizer, **other):
    return config(
        transformers.ModernBertConfig,
        tokenizer,
        global_attn_every_n_layers=2,
        local_attention=8,
        bos_token_id=2,
        eos_token_id=3,
        cls_token_id=2,
        sep_token_id=3,
        attn_implementation="eager",
        reference_compile=False,
        **other,
    )


def splade(scratch, recorded):
    for place, (name, model, tokenizer, joined, activation) in enumerate(masked_models()):
        inner = scratch / name
        shaken(model, 300 + place).save_pretrained(inner)
        tokenizer.save_pretrained(inner)
        module = models.Transformer(str(inner), max_seq_length=TOKENS, transformer_task="fill-mask")
        pooling = SpladePooling(pooling_strategy=joined, activation_function=activation)
        encoder = SparseEncoder(modules=[module, pooling], device="cpu")
        encoder.save_pretrained(str(FOLDER / name), create_model_card=False)
        rows = [encoder.encode([text], convert_to_sparse_tensor=False)[0] for text in TEXTS]
        recorded[name] = [
            [[index, number(value)] for index, value in enumerate(row.tolist()) if value > 0] for row in rows
        ]
        print(name, [len(entries) for entries in recorded[name]], "of", len(tokenizer))


def rows_of(vectors):
    return [[number(value) for value in row] for row in vectors.tolist()]


def late(model, tokenizer, dense, settings, text, is_question):
    """Returns the vectors of one text, step by step as pylate.models.ColBERT.tokenize and encode have it."""
    length = settings["query_length" if is_question else "document_length"]
    marker = tokenizer.convert_tokens_to_ids(settings["query_prefix" if is_question else "document_prefix"])
    ids = tokenizer(text, truncation=True, max_length=length - 1)["input_ids"]
    ids = ids[:1] + [marker] + ids[1:]
    mask = [1] * len(ids)
    if is_question and settings["do_query_expansion"]:
        missing = length - len(ids)
        ids += [tokenizer.mask_token_id] * missing
        mask += [int(settings["attend_to_expansion_tokens"])] * missing
    with torch.no_grad():
        hidden = model(input_ids=torch.tensor([ids]), attention_mask=torch.tensor([mask])).last_hidden_state[0]
        for layer in dense:
            hidden = layer(hidden)
    skipped = set() if is_question else {tokenizer.convert_tokens_to_ids(word) for word in settings["skiplist_words"]}
    kept = [place for place, token in enumerate(ids) if token not in skipped]
    return torch.nn.functional.normalize(hidden[kept], p=2, dim=1)


def colbert(recorded):
    for place, (name, attends, expands) in enumerate(
        [("colbert-bert", False, True), ("colbert-attending", True, True), ("colbert-short", False, False)]
    ):
        tokenizer = tokenizer_of("bert-max")
        words = [word for word in string.punctuation if word in tokenizer.get_vocab()]
        settings = {
            "query_prefix": "[Q] ",
            "document_prefix": "[D] ",
            "query_length": 16,
            "document_length": 40,
            "attend_to_expansion_tokens": attends,
            "do_query_expansion": expands,
            "skiplist_words": words,
            "similarity_fn_name": "MaxSim",
            "prompts": {},
        }
        tokenizer.add_tokens([settings["query_prefix"], settings["document_prefix"]])
        model = transformers.BertModel(config(transformers.BertConfig, tokenizer), add_pooling_layer=False)
        shaken(model, 400 + place)
        folder = FOLDER / name
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        generator = torch.Generator().manual_seed(500 + place)
        layer = torch.nn.Linear(WIDTH, 12, bias=False)
        with torch.no_grad():
            layer.weight.copy_(0.3 * torch.randn(layer.weight.shape, generator=generator))
        (folder / "1_Dense").mkdir()
        save_file({"linear.weight": layer.weight.detach().contiguous()}, folder / "1_Dense" / "model.safetensors")
        described = {
            "in_features": WIDTH,
            "out_features": 12,
            "bias": False,
            "activation_function": "torch.nn.modules.linear.Identity",
            "use_residual": False,
        }
        (folder / "1_Dense" / "config.json").write_text(json.dumps(described, indent=1) + "\n")
        modules = [
            {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
            {"idx": 1, "name": "1", "path": "1_Dense", "type": "pylate.models.Dense.Dense"},
        ]
        (folder / "modules.json").write_text(json.dumps(modules, indent=1) + "\n")
        (folder / "config_sentence_transformers.json").write_text(json.dumps(settings, indent=1) + "\n")
        asked = lambda text, is_question: rows_of(late(model, tokenizer, [layer], settings, text, is_question))  # noqa: E731
        recorded[name] = {
            "passages": [asked(text, False) for text in TEXTS],
            "queries": [asked(text, True) for text in TEXTS],
        }
        print(name, [len(rows) for rows in recorded[name]["passages"]])
        if name == "colbert-bert":
            stanford(folder, settings, layer)
            recorded["colbert-stanford"] = recorded[name]


def beside_pylate():
    """Checks that PyLate itself, loaded from the folders, makes the same of the texts."""

    class Whatever(type):
        def __getattr__(cls, name):
            return lambda *_, **__: None

    class Anything(types.ModuleType):
        """Stands for what PyLate imports for other things than embedding."""

        __path__ = []

        def __getattr__(self, name):
            does_nothing = lambda self, *_, **__: None  # noqa: E731
            return Whatever(name, (), {"__init__": does_nothing, "__getattr__": lambda self, _: (lambda *_, **__: None)})

    found = importlib.util.find_spec("pylate").submodule_search_locations
    package = types.ModuleType("pylate")
    package.__path__ = list(found)
    sys.modules["pylate"] = package
    for part in ["hf_hub", "hf_hub.model_card", "scores", "utils"]:
        sys.modules[f"pylate.{part}"] = Anything(f"pylate.{part}")
    from pylate.models.colbert import ColBERT

    expected = json.loads((FOLDER / "expected.json").read_text(encoding="utf-8"))
    for name, mine in expected["multi"].items():
        if name == "colbert-graph":
            continue
        model = ColBERT(str(FOLDER / name), device="cpu")
        for key, is_query in [("passages", False), ("queries", True)]:
            for text, rows in zip(expected["texts"], mine[key]):
                theirs = model.encode([text], is_query=is_query, show_progress_bar=False)[0]
                assert theirs.shape == (len(rows), len(rows[0])), (name, key, theirs.shape, len(rows), text)
                apart = float(abs(torch.tensor(rows) - torch.tensor(theirs)).max())
                assert apart < 1e-5, (name, key, text, apart)
        print(name, "equal to PyLate's")


def stanford(folder, settings, layer):
    """Writes the same model as the first implementation does."""
    target = FOLDER / "colbert-stanford"
    shutil.copytree(folder, target)
    for name in ["modules.json", "config_sentence_transformers.json"]:
        (target / name).unlink()
    shutil.rmtree(target / "1_Dense")
    described = json.loads((target / "config.json").read_text())
    described["architectures"] = ["HF_ColBERT"]
    (target / "config.json").write_text(json.dumps(described, indent=1) + "\n")
    tensors = {f"bert.{name}": tensor for name, tensor in load_file(target / "model.safetensors").items()}
    tensors["linear.weight"] = layer.weight.detach().contiguous()
    save_file(tensors, target / "model.safetensors", metadata={"format": "pt"})
    metadata = {
        "query_token_id": settings["query_prefix"],
        "doc_token_id": settings["document_prefix"],
        "query_maxlen": settings["query_length"],
        "doc_maxlen": settings["document_length"],
        "mask_punctuation": True,
        "attend_to_mask_tokens": False,
        "dim": 12,
    }
    (target / "artifact.metadata").write_text(json.dumps(metadata, indent=1) + "\n")


def dense(scratch, recorded):
    tokenizer = tokenizer_of("bert-max")
    inner = scratch / "dense"
    model = transformers.BertModel(config(transformers.BertConfig, tokenizer), add_pooling_layer=False)
    shaken(model, 600).save_pretrained(inner)
    tokenizer.save_pretrained(inner)
    module = models.Transformer(str(inner), max_seq_length=TOKENS)
    layers = [
        models.Dense(WIDTH, 40, activation_function=torch.nn.Tanh()),
        models.Dense(40, 20, bias=False, activation_function=torch.nn.Identity()),
    ]
    for place, layer in enumerate(layers):
        shaken(layer, 610 + place)
    encoder = SentenceTransformer(
        modules=[module, models.Pooling(WIDTH, pooling_mode="mean"), *layers, models.Normalize()], device="cpu"
    )
    encoder.save(str(FOLDER / "dense"), create_model_card=False)
    recorded["dense"] = [[number(value) for value in encoder.encode([text])[0]] for text in TEXTS]
    # The same with its weights in several files.
    target = FOLDER / "dense-sharded"
    shutil.copytree(FOLDER / "dense", target)
    (target / "model.safetensors").unlink()
    model.save_pretrained(target, max_shard_size="30KB")
    recorded["dense-sharded"] = recorded["dense"]
    print("dense", len(recorded["dense"][0]), len(list(target.glob("model-*.safetensors"))), "files")


def judges(recorded):
    """More cross-encoders: every family that has a head of its own, and one as a graph."""
    bert, mpnet = tokenizer_of("bert-max"), tokenizer_of("mpnet-weighted")
    distil = transformers.DistilBertConfig(
        vocab_size=len(bert),
        max_position_embeddings=TOKENS,
        dim=WIDTH,
        n_heads=HEADS,
        n_layers=LAYERS,
        hidden_dim=WIDE,
        num_labels=1,
    )
    mean = {"num_labels": 1, "classifier_pooling": "mean"}
    settings = config(transformers.MPNetConfig, mpnet, max_position_embeddings=TOKENS + 2, num_labels=1)
    makers = [
        ("judge-distilbert", bert, transformers.DistilBertForSequenceClassification(distil)),
        ("judge-mpnet", mpnet, transformers.MPNetForSequenceClassification(settings)),
        ("judge-modernbert", bert, transformers.ModernBertForSequenceClassification(modern(bert, **mean))),
        ("judge-modernbert-cls", bert, transformers.ModernBertForSequenceClassification(modern(bert, num_labels=1))),
    ]
    for place, (name, tokenizer, model) in enumerate(makers):
        folder = FOLDER / name
        shaken(model, 700 + place).save_pretrained(folder)
        tokenizer.model_max_length = TOKENS
        tokenizer.save_pretrained(folder)
        judge = CrossEncoder(str(folder), device="cpu", max_length=TOKENS)
        pairs = [(QUESTION, text) for text in TEXTS]
        scores = judge.predict(pairs, activation_fn=torch.nn.Identity(), batch_size=1)
        recorded[name] = [number(score) for score in scores]
        if name == "judge-distilbert":
            graph(folder)
            recorded["judge-graph"] = recorded[name]


class Logits(torch.nn.Module):
    """A model as exporters lay it out: tensors in, tensors out."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, input_ids, attention_mask):
        return self.inner(input_ids=input_ids, attention_mask=attention_mask)[0]


def export(model, target, output, axes):
    (target / "onnx").mkdir()
    ids = torch.ones((2, 5), dtype=torch.long)
    names = ["input_ids", "attention_mask"]
    torch.onnx.export(
        Logits(model).eval(),
        (ids, ids),
        str(target / "onnx" / "model.onnx"),
        input_names=names,
        output_names=[output],
        dynamic_axes={**{name: {0: "batch", 1: "tokens"} for name in names}, output: axes},
        opset_version=17,
        dynamo=False,
    )


def graph(folder):
    target = FOLDER / "judge-graph"
    shutil.copytree(folder, target)
    (target / "model.safetensors").unlink()
    kind = transformers.DistilBertForSequenceClassification
    export(kind.from_pretrained(folder, attn_implementation="eager"), target, "logits", {0: "batch"})


def graphs(recorded):
    """The SPLADE and the ColBERT model as graphs: without what comes after the network."""
    target = FOLDER / "splade-graph"
    shutil.copytree(FOLDER / "splade-bert", target)
    (target / "model.safetensors").unlink()
    model = transformers.BertForMaskedLM.from_pretrained(FOLDER / "splade-bert", attn_implementation="eager")
    export(model, target, "logits", {0: "batch", 1: "tokens"})
    recorded["splade-graph"] = recorded["splade-bert"]
    target = FOLDER / "colbert-graph"
    shutil.copytree(FOLDER / "colbert-bert", target)
    (target / "model.safetensors").unlink()
    model = transformers.BertModel.from_pretrained(FOLDER / "colbert-bert", attn_implementation="eager")
    export(model, target, "last_hidden_state", {0: "batch", 1: "tokens"})
    recorded["colbert-graph"] = recorded["colbert-bert"]


def main():
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    sparse, multi, vectors, scores = {}, {}, {}, {}
    with tempfile.TemporaryDirectory() as folder:
        scratch = pathlib.Path(folder)
        splade(scratch, sparse)
        dense(scratch, vectors)
    colbert(multi)
    judges(scores)
    graphs(sparse | multi)
    sparse["splade-graph"], multi["colbert-graph"] = sparse["splade-bert"], multi["colbert-bert"]
    tidy(FOLDER)
    expected = {
        "texts": TEXTS,
        "question": QUESTION,
        "sparse": sparse,
        "multi": multi,
        "dense": vectors,
        "scores": scores,
    }
    text = json.dumps(expected, ensure_ascii=False, separators=(",", ":"))
    (FOLDER / "expected.json").write_text(text.replace('"splade', '\n"splade').replace('"colbert', '\n"colbert') + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(beside_pylate() if "--pylate" in sys.argv else main())
