#!/usr/bin/env python3
"""Makes small joint models of texts and pictures and records their vectors, for tests/joint.rs.

    python3 tests/reference/joint.py

Needs torch, transformers, tokenizers, onnx, numpy and Pillow. The weights are random with a fixed seed, the
structure is that of the real ones: CLIP as two graphs, CLIP as one graph, SigLIP with its padded texts.
"""

import io
import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import torch
import transformers
from PIL import Image
from made import picture
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

HERE = Path(__file__).resolve().parent
FIXTURES = HERE.parent / "fixtures" / "joint"
TEXTS = [
    "a red disc on squares",
    "a photo of a cat",
    "two dogs in the snow, running after a ball that somebody threw for them a while ago",
    "猫",
    "A RED DISC",
    "",
]
SIZES = [(37, 23), (64, 48), (16, 90)]
WORDS = (
    "a photo of the red green blue disc on squares cat dog two dogs in snow running after ball that "
    "somebody threw for them while ago picture painting small large house tree car boat sky night day"
)


def clip_tokenizer():
    """Bytes and their merges, ends of words marked, between the two special tokens of CLIP."""
    start, end = "<|startoftext|>", "<|endoftext|>"
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>", unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=420, end_of_word_suffix="</w>", show_progress=False,
        special_tokens=["<unk>", start, end], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator([WORDS], trainer)
    first, last = tokenizer.token_to_id(start), tokenizer.token_to_id(end)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{start} $A {end}", special_tokens=[(start, first), (end, last)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=start, eos_token=end, pad_token=end, unk_token="<unk>",
        model_max_length=24,
    )


def siglip_tokenizer():
    """Pieces of words with an end after the last, which pads as well."""
    end = "</s>"
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=90, special_tokens=["<pad>", end, "<unk>"], unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator([WORDS] * 4, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {end}", special_tokens=[(end, tokenizer.token_to_id(end))]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=end, pad_token=end, unk_token="<unk>", model_max_length=16
    )


def clip(tokenizer):
    torch.manual_seed(20261127)
    text = {
        "vocab_size": len(tokenizer), "hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2,
        "num_attention_heads": 2, "max_position_embeddings": 24, "eos_token_id": tokenizer.eos_token_id,
        "bos_token_id": tokenizer.bos_token_id, "pad_token_id": tokenizer.pad_token_id,
    }
    vision = {
        "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
        "image_size": 24, "patch_size": 8,
    }
    config = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=20)
    config._attn_implementation = "eager"
    processor = transformers.CLIPImageProcessor(
        size={"shortest_edge": 24}, crop_size={"height": 24, "width": 24}
    )
    return transformers.CLIPModel(config).eval(), processor


def siglip(tokenizer):
    torch.manual_seed(20261128)
    text = {
        "vocab_size": len(tokenizer), "hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2,
        "num_attention_heads": 2, "max_position_embeddings": 16, "projection_size": 24,
        "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.eos_token_id,
    }
    vision = {
        "hidden_size": 24, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
        "image_size": 24, "patch_size": 8,
    }
    config = transformers.SiglipConfig(text_config=text, vision_config=vision)
    config._attn_implementation = "eager"
    processor = transformers.SiglipImageProcessor(size={"height": 24, "width": 24})
    return transformers.SiglipModel(config).eval(), processor


class Tower(torch.nn.Module):
    """What a graph gives, under one name or two."""

    def __init__(self, run):
        super().__init__()
        self.run = run

    def forward(self, *inputs):
        return self.run(*inputs)


def export(model, run, path, inputs, outputs, axes):
    tower = Tower(run)
    tower.model = model
    data = io.BytesIO()
    torch.onnx.export(
        tower, tuple(inputs.values()), data, dynamo=False, opset_version=17, input_names=list(inputs),
        output_names=outputs, dynamic_axes=axes,
    )
    onnx.save(onnx.load_from_string(data.getvalue()), path)


def towers(model, folder, length, is_one):
    pixels = torch.zeros(2, 3, 24, 24)
    ids = torch.full((2, length), 5)
    mask = torch.ones_like(ids)
    text_axes = {0: "texts", 1: "tokens"}
    if is_one:
        def both(ids, pixels, mask):
            out = model(input_ids=ids, pixel_values=pixels, attention_mask=mask)
            return out.logits_per_image, out.logits_per_text, out.text_embeds, out.image_embeds

        export(
            model, both, folder / "model.onnx",
            {"input_ids": ids, "pixel_values": pixels, "attention_mask": mask},
            ["logits_per_image", "logits_per_text", "text_embeds", "image_embeds"],
            {
                "input_ids": text_axes, "attention_mask": text_axes, "pixel_values": {0: "images"},
                "text_embeds": {0: "texts"}, "image_embeds": {0: "images"},
            },
        )
        return
    (folder / "onnx").mkdir()
    is_clip = isinstance(model, transformers.CLIPModel)
    texts = "text_embeds" if is_clip else "pooler_output"
    images = "image_embeds" if is_clip else "pooler_output"
    export(
        model, lambda ids: model.get_text_features(input_ids=ids), folder / "onnx" / "text_model.onnx",
        {"input_ids": ids}, [texts], {"input_ids": text_axes, texts: {0: "texts"}},
    )
    export(
        model, lambda pixels: model.get_image_features(pixel_values=pixels),
        folder / "onnx" / "vision_model.onnx", {"pixel_values": pixels}, [images],
        {"pixel_values": {0: "images"}, images: {0: "images"}},
    )


def recorded(model, tokenizer, processor, pads):
    found = {"texts": TEXTS, "sizes": SIZES, "text_vectors": [], "image_vectors": []}
    vector = lambda tensor: [
        round(float(value), 7) for value in torch.nn.functional.normalize(tensor[0], dim=0)
    ]
    with torch.no_grad():
        for text in TEXTS:
            ids = tokenizer(
                text, return_tensors="pt", truncation=True, padding="max_length" if pads else False
            )["input_ids"]
            found["text_vectors"].append(vector(model.get_text_features(input_ids=ids)))
        for size in SIZES:
            pixels = processor(Image.fromarray(picture(*size)), return_tensors="pt")["pixel_values"]
            found["image_vectors"].append(vector(model.get_image_features(pixel_values=pixels)))
    return found


def main():
    shutil.rmtree(FIXTURES, ignore_errors=True)
    found = {}
    for name, make_tokenizer, make_model, is_one in [
        ("clip", clip_tokenizer, clip, False),
        ("clip-one", clip_tokenizer, clip, True),
        ("siglip", siglip_tokenizer, siglip, False),
    ]:
        folder = FIXTURES / name
        folder.mkdir(parents=True)
        tokenizer = make_tokenizer()
        model, processor = make_model(tokenizer)
        (folder / "tokenizer.json").write_text(tokenizer.backend_tokenizer.to_str() + "\n")
        settings = {"model_max_length": tokenizer.model_max_length, "pad_token": tokenizer.pad_token}
        (folder / "tokenizer_config.json").write_text(json.dumps(settings) + "\n")
        (folder / "config.json").write_text(json.dumps(model.config.to_diff_dict()) + "\n")
        (folder / "preprocessor_config.json").write_text(processor.to_json_string())
        pads = name == "siglip"
        towers(model, folder, 16 if pads else 9, is_one)
        found[name] = recorded(model, tokenizer, processor, pads)
    (HERE / "joint.json").write_text(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
