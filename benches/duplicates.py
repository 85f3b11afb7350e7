"""Are near duplicates found, and nothing else? Precision and recall on a made set, and on a real one.

    python3 benches/duplicates.py PHOTOS [--count 150] [--embedder simile-residual-64] [--binary target/release/simile] [--json]
    python3 benches/duplicates.py --real GROUPS [...]

PHOTOS is any folder of photographs; files of the same bytes count once. Of every third one, edits are made: saved
again with less care, scaled, mirrored, cut out, turned, lightened. All are stored, and `Cluster` with the method
`duplicates` is asked. For each edit it is told which share of its pairs with the original (or with another edit that
stands for the group) is in one group, as one picture and at all; and what share of pairs in groups are of one
photograph. With permuted vectors (photographs with the vectors of others, and no pictures) it has to fail.

GROUPS has a folder for each picture with its edits, made by others; folders whose name begins with `distractors` are
strangers to each other. The same figures are told, without the edits apart.
"""

import argparse
import hashlib
import io
import itertools
import json
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import harness

harness.environment(["pillow"])

from PIL import Image, ImageEnhance, ImageOps

ENDINGS = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"}


def saved(picture, quality=90, kind="JPEG"):
    out = io.BytesIO()
    picture.save(out, kind, quality=quality)
    return out.getvalue()


def cut(picture, share):
    width, height = picture.size
    wide, high = int(width * share), int(height * share)
    left, top = (width - wide) // 3, (height - high) // 2
    return picture.crop((left, top, left + wide, top + high))


def scaled(picture, share):
    return picture.resize([max(1, round(side * share)) for side in picture.size], Image.Resampling.LANCZOS)


EDITS = {
    "quality 20": lambda picture: saved(picture, 20),
    "quality 50": lambda picture: saved(picture, 50),
    "webp": lambda picture: saved(picture, 60, "WEBP"),
    "half the size": lambda picture: saved(scaled(picture, 0.5)),
    "a quarter": lambda picture: saved(scaled(picture, 0.25)),
    "twice": lambda picture: saved(scaled(picture, 2.0)),
    "mirrored": lambda picture: saved(ImageOps.mirror(picture)),
    "lighter": lambda picture: saved(ImageEnhance.Brightness(picture).enhance(1.25)),
    "cut to 90 %": lambda picture: saved(cut(picture, 0.9)),
    "cut to 75 %": lambda picture: saved(cut(picture, 0.75)),
    "cut to 60 %": lambda picture: saved(cut(picture, 0.6)),
    "turned 2 degrees": lambda picture: saved(picture.rotate(2, Image.Resampling.BICUBIC)),
    "turned 10 degrees": lambda picture: saved(picture.rotate(10, Image.Resampling.BICUBIC)),
    "turned 90 degrees": lambda picture: saved(picture.transpose(Image.Transpose.ROTATE_90)),
}


def files(folder):
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS)


def made(folder, count):
    """Returns (name, group, edit, bytes) of each picture."""
    chance, seen, chosen = random.Random(5), set(), []
    paths = files(folder)
    chance.shuffle(paths)
    for path in paths:
        content = path.read_bytes()
        digest = hashlib.sha256(content).digest()
        if digest not in seen:
            seen.add(digest)
            chosen.append(content)
        if len(chosen) == count:
            break
    for number, content in enumerate(chosen):
        yield f"{number}/original", number, "original", content
        if number % 3 == 0:
            picture = Image.open(io.BytesIO(content)).convert("RGB")
            for edit, make in EDITS.items():
                yield f"{number}/{edit}", number, edit, make(picture)


def real(folder):
    for place, group in enumerate(sorted(path for path in folder.iterdir() if path.is_dir())):
        for number, path in enumerate(files(group)):
            alone = group.name.startswith("distractors")
            yield f"{group.name}/{path.name}", (place, number if alone else 0), "edit", path.read_bytes()


def create(stubs, server, name, config):
    request = stubs.CreateCollectionRequest(name=name, vectors={"image": config})
    stubs.CollectionsStub(server.channel).Create(request)


def store(stubs, server, name, documents):
    stored = []
    requests = (stubs.UpsertRequest(collection=name, document=document) for document in documents)
    for result in stubs.DocumentsStub(server.channel).Upsert(requests):
        if result.HasField("stored"):
            stored.append(result.id)
        else:
            print(f"not stored: {result.id}: {result.error.message}", file=sys.stderr)
    return stored


def ask(stubs, server, name, radius):
    """Returns the group of each document, and which groups are one picture."""
    duplicates = stubs.DuplicatesMethod(radius=radius, keep=stubs.KEEP_LARGEST)
    request = stubs.ClusterRequest(collection=name, duplicates=duplicates)
    labels, same = {}, []
    for message in stubs.ClusterStub(server.channel).Cluster(request):
        if message.HasField("summary"):
            same = [cluster.is_one_picture for cluster in message.summary.clusters]
        for item in message.items.items:
            labels[item.id] = item.cluster if item.HasField("cluster") else None
    return labels, same


def figures(pictures, labels, same):
    """Precision and recall of pairs: within groups of one picture, and within any group."""
    told, edits = {}, {}
    for tier in ["one picture", "any"]:
        counted = {
            name: group for name, group in labels.items() if group is not None and (tier == "any" or same[group])
        }
        of = {name: group for name, group, _, _ in pictures}
        kinds = {name: edit for name, _, edit, _ in pictures}
        right = Counter(itertools.chain([0]))
        pairs = wrong = 0
        members = {}
        for name, group in counted.items():
            members.setdefault(group, []).append(name)
        for names in members.values():
            for a, b in itertools.combinations(names, 2):
                pairs += 1
                wrong += of[a] != of[b]
        # Of each edit, whether it is with the group that the original is in.
        found, all_of = Counter(), Counter()
        home = {of[name]: counted.get(name) for name in of if kinds[name] == "original"}
        for name in of:
            if kinds[name] == "original":
                continue
            if kinds[name] == "edit":
                others = [other for other in of if of[other] == of[name] and other != name]
                if not others:
                    continue
                all_of["edit"] += 1
                found["edit"] += name in counted and any(counted.get(other) == counted[name] for other in others)
                continue
            all_of[kinds[name]] += 1
            found[kinds[name]] += name in counted and counted[name] == home[of[name]]
        told[tier] = {
            "pairs": pairs,
            "precision": (pairs - wrong) / pairs if pairs else None,
            "recall": sum(found.values()) / max(1, sum(all_of.values())),
        }
        for edit in all_of:
            edits.setdefault(edit, {})[tier] = found[edit] / all_of[edit]
    return told, edits


def permuted(stubs, server, name, radius, pictures):
    """The same vectors, each with another document, and no pictures: what is found must be wrong."""
    vectors = {}
    ids = [picture[0] for picture in pictures]
    for first in range(0, len(ids), 100):
        request = stubs.GetDocumentsRequest(collection=name, ids=ids[first : first + 100], with_vectors=True)
        for document in stubs.DocumentsStub(server.channel).Get(request).documents:
            vectors[document.id] = document.parts[0].vectors["image"]
    ids = [one for one in ids if one in vectors]
    shuffled = ids[:]
    random.Random(9).shuffle(shuffled)
    create(stubs, server, "permuted", stubs.VectorConfig(dimension=len(vectors[ids[0]].components)))
    documents = (
        stubs.Document(id=one, parts=stubs.PartList(parts=[stubs.Part(text=".", vectors={"image": vectors[other]})]))
        for one, other in zip(ids, shuffled)
    )
    store(stubs, server, "permuted", documents)
    told, _ = figures(pictures, *ask(stubs, server, "permuted", radius))
    return told["any"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path, nargs="?")
    parser.add_argument("--real", type=Path, metavar="GROUPS")
    parser.add_argument("--count", type=int, default=150)
    parser.add_argument("--radius", type=float, default=0.3)
    parser.add_argument("--embedder", default="simile-residual-64")
    parser.add_argument("--binary", default=harness.ROOT / "target/release/simile")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if (options.photos is None) == (options.real is None):
        parser.error("expected PHOTOS or --real GROUPS")
    stubs = harness.stubs()
    pictures = list(made(options.photos, options.count) if options.photos else real(options.real))
    with tempfile.TemporaryDirectory() as folder, harness.Server(options.binary, folder) as server:
        create(stubs, server, "photos", stubs.VectorConfig(embedder=options.embedder))
        documents = (
            stubs.Document(id=name, file=stubs.File(name=name, bytes=content)) for name, _, _, content in pictures
        )
        stored = set(store(stubs, server, "photos", documents))
        pictures = [picture for picture in pictures if picture[0] in stored]
        told, edits = figures(pictures, *ask(stubs, server, "photos", options.radius))
        report = {"pictures": len(pictures), "tiers": told, "edits": edits}
        report["permuted"] = permuted(stubs, server, "photos", options.radius, pictures)
    report["machine"] = harness.machine()
    if options.json:
        print(json.dumps(report))
        return
    print(f"{report['pictures']} pictures")
    for tier, row in told.items():
        precision = "-" if row["precision"] is None else f"{row['precision']:.3f}"
        print(f"{tier:12} precision {precision} of {row['pairs']} pairs, recall {row['recall']:.3f}")
    for edit, row in edits.items():
        print(f"  {edit:18} one picture {row['one picture']:.2f}  any {row['any']:.2f}")
    print(f"permuted: {report['permuted']}")
    if (report["permuted"]["recall"] or 0) > 0.1 or (report["permuted"]["precision"] or 0) > 0.1:
        raise SystemExit("permuted vectors pass: the figures mean nothing")


if __name__ == "__main__":
    main()
