#!/usr/bin/env python3
"""Makes tiny checkpoints of every family of text transformers, and records what sentence-transformers
makes of texts with them.

All weights are random (seeded), biases and normalisations too, so that none can be forgotten unseen;
the folders are those that SentenceTransformer.save writes.

    python3 -m venv .venv
    .venv/bin/pip install sentence-transformers==5.7.0 transformers==4.57.6 torch==2.9.1 onnx==1.19.1
    .venv/bin/python tests/reference/families.py

Writes `tests/fixtures/families/NAME/` for each model, and `tests/fixtures/families/expected.json`: the
texts, and for each model its vectors of them as passages and of the first three as questions.
"""

import json
import pathlib
import shutil
import sys
import tempfile

import numpy
import torch
import transformers
from sentence_transformers import SentenceTransformer, models
from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, processors, trainers
from tokenizers import models as tokenizer_models

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "fixtures" / "families"
TEXTS = [
    "The cat chases the mouse.",
    "The kitten hunts rodents.",
    "I like ham sandwiches.",
    "a",
    "猫追逐老鼠。小猫捕猎老鼠。",
    "Low tide leaves the harbour wall wet and covered in weed; the ferry waits outside.",
    "¿Dónde está la biblioteca? Straße, café, naïve — 42!",
    "🐈 chases 🐁",
    "A telescope gathers light; the eyepiece only magnifies what it gathered. " * 3,
    "Replace the gasket if the tap still drips after tightening. Is the dough ready? " * 8,
]
VOCABULARY = 240
WIDTH, HEADS, LAYERS, WIDE, TOKENS = 32, 4, 2, 48, 64


def word_pieces(special: dict[str, str]) -> Tokenizer:
    """Returns a WordPiece tokenizer whose first ids are the special tokens in this order."""
    tokenizer = Tokenizer(tokenizer_models.WordPiece(unk_token=special["unk"]))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=VOCABULARY, special_tokens=list(special.values()), show_progress=False)
    tokenizer.train_from_iterator(TEXTS, trainer)
    return wrapped(tokenizer, special)


def byte_pairs(special: dict[str, str]) -> Tokenizer:
    """Returns a tokenizer of byte pairs, as RoBERTa has."""
    tokenizer = Tokenizer(tokenizer_models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY + 60,
        special_tokens=list(special.values()),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    return wrapped(tokenizer, special)


def wrapped(tokenizer: Tokenizer, special: dict[str, str]) -> Tokenizer:
    """Returns the tokenizer with its special tokens around every text."""
    start, end = special["cls"], special["sep"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{start} $A {end}",
        pair=f"{start} $A {end} $B {end}",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in (start, end)],
    )
    return tokenizer


BERT_TOKENS = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
ROBERTA_TOKENS = {"cls": "<s>", "pad": "<pad>", "sep": "</s>", "unk": "<unk>", "mask": "<mask>"}


def fast(tokenizer: Tokenizer, special: dict[str, str]) -> transformers.PreTrainedTokenizerFast:
    """Returns the tokenizer as transformers knows it."""
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=TOKENS,
        model_input_names=["input_ids", "attention_mask"],
        **{f"{name}_token": token for name, token in special.items()},
    )


def shaken(model: torch.nn.Module, seed: int) -> torch.nn.Module:
    """Gives every parameter values that matter."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            noise = torch.randn(parameter.shape, generator=generator)
            is_norm = "norm" in name.lower() and name.endswith("weight")
            parameter.copy_(1.0 + 0.3 * noise if is_norm else 0.3 * noise)
    return model.eval()


def common(**other) -> dict:
    """Returns the settings that most families share."""
    return {
        "hidden_size": WIDTH,
        "num_attention_heads": HEADS,
        "num_hidden_layers": LAYERS,
        "intermediate_size": WIDE,
        **other,
    }


def checkpoints():
    """Yields name, transformer, tokenizer, pooling, whether vectors are normalised, and settings."""
    pieces, pairs = word_pieces(BERT_TOKENS), byte_pairs(ROBERTA_TOKENS)
    mpnet_pieces = word_pieces(ROBERTA_TOKENS)
    size, pair_size = pieces.get_vocab_size(), pairs.get_vocab_size()
    bert = common(vocab_size=size, max_position_embeddings=TOKENS)
    for name, pooling, other in [
        ("bert-max", "max", {}),
        ("bert-last", "lasttoken", {"hidden_act": "gelu_new"}),
        ("bert-sqrt-dot", "mean_sqrt_len_tokens", {"hidden_act": "relu"}),
    ]:
        model = transformers.BertModel(transformers.BertConfig(**bert, **other), add_pooling_layer=False)
        yield name, model, fast(pieces, BERT_TOKENS), pooling, name != "bert-sqrt-dot"
    roberta = common(vocab_size=pair_size, max_position_embeddings=TOKENS + 2, pad_token_id=1, type_vocab_size=1)
    model = transformers.RobertaModel(transformers.RobertaConfig(**roberta), add_pooling_layer=False)
    yield "roberta-cls", model, fast(pairs, ROBERTA_TOKENS), "cls", True
    model = transformers.XLMRobertaModel(transformers.XLMRobertaConfig(**roberta), add_pooling_layer=False)
    yield "xlm-roberta-prompts", model, fast(pairs, ROBERTA_TOKENS), "mean", True
    distil = transformers.DistilBertConfig(
        vocab_size=size, max_position_embeddings=TOKENS, dim=WIDTH, n_heads=HEADS, n_layers=LAYERS, hidden_dim=WIDE
    )
    yield "distilbert-mean", transformers.DistilBertModel(distil), fast(pieces, BERT_TOKENS), "mean", True
    # Longer than the distance from which on it tells none apart.
    mpnet = common(vocab_size=mpnet_pieces.get_vocab_size(), max_position_embeddings=162, pad_token_id=1)
    model = transformers.MPNetModel(transformers.MPNetConfig(**mpnet), add_pooling_layer=False)
    yield "mpnet-weighted", model, fast(mpnet_pieces, ROBERTA_TOKENS), "weightedmean", True
    modern = transformers.ModernBertConfig(
        **common(vocab_size=size, max_position_embeddings=TOKENS, pad_token_id=0, num_hidden_layers=4)
        | {"num_hidden_layers": 4},
        global_attn_every_n_layers=3,
        local_attention=8,
        bos_token_id=2,
        eos_token_id=3,
        cls_token_id=2,
        sep_token_id=3,
        attn_implementation="eager",
        reference_compile=False,
    )
    yield "modernbert-mean", transformers.ModernBertModel(modern), fast(pieces, BERT_TOKENS), "mean", True


def save(name, transformer, tokenizer, pooling, normalizes, scratch: pathlib.Path) -> SentenceTransformer:
    """Writes a model as sentence-transformers does and returns it as it reads it back."""
    inner = scratch / f"{name}-inner"
    shaken(transformer, seed=len(name) * 7919).save_pretrained(inner)
    tokenizer.save_pretrained(inner)
    length = 160 if name.startswith("mpnet") else TOKENS - 4 if name.startswith("distil") else TOKENS
    module = models.Transformer(str(inner), max_seq_length=length)
    modules = [module, models.Pooling(module.get_word_embedding_dimension(), pooling_mode=pooling)]
    if normalizes:
        modules.append(models.Normalize())
    prompts = {"query": "query: ", "passage": "passage: "} if name.endswith("prompts") else {}
    similarity = "dot" if name.endswith("dot") else "cosine"
    model = SentenceTransformer(modules=modules, device="cpu", prompts=prompts, similarity_fn_name=similarity)
    target = FOLDER / name
    model.save(str(target), create_model_card=False)
    for unused in ["special_tokens_map.json", "README.md", "vocab.txt"]:
        (target / unused).unlink(missing_ok=True)
    return model


def vectors(model: SentenceTransformer, texts: list[str], prompt: str | None) -> list[list[float]]:
    """Embeds each text on its own."""
    prompt = prompt if prompt in model.prompts else None
    rows = [model.encode([text], prompt_name=prompt) for text in texts]
    return [[float(f"{value:.7g}") for value in row[0]] for row in rows]


def main() -> int:
    """Makes and records everything."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    recorded = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name, transformer, tokenizer, pooling, normalizes in checkpoints():
            model = save(name, transformer, tokenizer, pooling, normalizes, pathlib.Path(scratch))
            passages = vectors(model, TEXTS, "passage")
            recorded[name] = {"passages": passages, "queries": vectors(model, TEXTS[:3], "query")}
            spread = numpy.corrcoef(numpy.array(passages)).min()
            print(f"{name}: {len(passages)} vectors, least correlation {spread:.3f}")
            if name == "bert-max":
                graph(model, name)
                recorded["onnx-bert-max"] = recorded[name]
                truncated = model.encode(TEXTS, batch_size=1, normalize_embeddings=True, truncate_dim=12)
                recorded["bert-max-12"] = {
                    "passages": [[float(f"{value:.7g}") for value in row] for row in truncated],
                    "queries": [],
                }
    (FOLDER / "expected.json").write_text(
        json.dumps({"texts": TEXTS, "models": recorded}, ensure_ascii=False).replace('"models"', '\n"models"') + "\n",
        encoding="utf-8",
    )
    return 0


def graph(model: SentenceTransformer, name: str) -> None:
    """Writes the transformer of a model as a graph, as exporters lay it out."""
    target = FOLDER / f"onnx-{name}"
    shutil.copytree(FOLDER / name, target)
    (target / "model.safetensors").unlink()
    (target / "onnx").mkdir()

    class Wrapper(torch.nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, input_ids, attention_mask, token_type_ids):
            return self.inner(
                input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids
            ).last_hidden_state

    inner = model[0].auto_model
    inner.set_attn_implementation("eager")
    ids = torch.ones((2, 5), dtype=torch.long)
    names = ["input_ids", "attention_mask", "token_type_ids"]
    axes = {input_name: {0: "batch", 1: "tokens"} for input_name in names + ["last_hidden_state"]}
    torch.onnx.export(
        Wrapper(inner).eval(),
        (ids, ids, torch.zeros_like(ids)),
        str(target / "onnx" / "model.onnx"),
        input_names=names,
        output_names=["last_hidden_state"],
        dynamic_axes=axes,
        opset_version=17,
        dynamo=False,
    )


if __name__ == "__main__":
    sys.exit(main())
