#!/usr/bin/env python3
"""Makes tiny cross-encoders with random weights, and records how sentence-transformers scores pairs with
them.

    python3 -m venv .venv
    .venv/bin/pip install sentence-transformers==5.7.0 transformers==4.57.6 torch==2.9.1
    .venv/bin/python tests/reference/cross_encoders.py

The tokenizers are those of tests/fixtures/families. Writes `tests/fixtures/cross_encoders/NAME/` for each
model, and `expected.json` beside them: a question, passages, and the labels before any squashing.
"""

import json
import pathlib

import torch
import transformers
from sentence_transformers import CrossEncoder

FIXTURES = pathlib.Path(__file__).resolve().parent.parent / "fixtures"
FOLDER = FIXTURES / "cross_encoders"
QUESTION = "what does the cat chase?"
PASSAGES = [
    "The cat chases the mouse.",
    "The kitten hunts rodents.",
    "I like ham sandwiches.",
    "a",
    "猫追逐老鼠。小猫捕猎老鼠。",
    "Low tide leaves the harbour wall wet and covered in weed; the ferry waits outside.",
    "🐈 chases 🐁",
    "A telescope gathers light; the eyepiece only magnifies what it gathered. " * 6,
]
WIDTH, HEADS, LAYERS, WIDE, TOKENS = 32, 4, 2, 48, 64


def shaken(model, seed):
    """Gives every parameter values that matter."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            noise = torch.randn(parameter.shape, generator=generator)
            is_norm = "norm" in name.lower() and name.endswith("weight")
            parameter.copy_(1.0 + 0.3 * noise if is_norm else 0.3 * noise)
    return model.eval()


def main():
    common = {
        "hidden_size": WIDTH,
        "num_attention_heads": HEADS,
        "num_hidden_layers": LAYERS,
        "intermediate_size": WIDE,
        "num_labels": 1,
    }
    makers = {
        "bert": ("bert-max", transformers.BertConfig, transformers.BertForSequenceClassification),
        "roberta": ("roberta-cls", transformers.RobertaConfig, transformers.RobertaForSequenceClassification),
    }
    models = {}
    for seed, (name, (source, settings, maker)) in enumerate(makers.items()):
        tokenizer = transformers.AutoTokenizer.from_pretrained(FIXTURES / "families" / source)
        if name == "bert":
            # Its template says which token is of which text.
            backend = json.loads(tokenizer.backend_tokenizer.to_str())
            for part in backend["post_processor"]["pair"][3:]:
                next(iter(part.values()))["type_id"] = 1
            tokenizer._tokenizer = type(tokenizer.backend_tokenizer).from_str(json.dumps(backend))
            tokenizer.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
        places = {"max_position_embeddings": TOKENS + (2 if name == "roberta" else 0)}
        kinds = {"type_vocab_size": 2 if name == "bert" else 1}
        pad = {"pad_token_id": tokenizer.pad_token_id}
        config = settings(vocab_size=len(tokenizer), **common, **places, **kinds, **pad)
        folder = FOLDER / name
        shaken(maker(config), 70 + seed).save_pretrained(folder)
        tokenizer.model_max_length = TOKENS
        tokenizer.save_pretrained(folder)
        (folder / "special_tokens_map.json").unlink(missing_ok=True)
        judge = CrossEncoder(str(folder), device="cpu", max_length=TOKENS)
        pairs = [(QUESTION, passage) for passage in PASSAGES]
        scores = judge.predict(pairs, activation_fn=torch.nn.Identity(), batch_size=3)
        models[name] = [float(score) for score in scores]
    expected = {"question": QUESTION, "passages": PASSAGES, "models": models}
    (FOLDER / "expected.json").write_text(json.dumps(expected, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main()
