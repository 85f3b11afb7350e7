"""Cuts the power under the whole server while eight clients write, and counts what was acknowledged and
is lost or torn.

    cargo build --release
    sudo python3 benches/power_cut.py --cuts 100
    sudo python3 benches/power_cut.py --cuts 10 --without-sync     # has to lose

Each image is a fresh ext4 in a file on a loop device, cut several times. A cut is the ioctl
EXT4_IOC_SHUTDOWN without a flush of the journal: nothing that was not synced reaches the image after it, as
when the power goes. Needs root, Linux, gcc (for --without-sync). With --without-sync a preloaded library makes
fsync and fdatasync of the server do nothing; if that loses nothing, the harness shows nothing, and the run fails.

After each cut the server is started over what is left; every acknowledged version has to be there, whole, and
`verify` has to find that tables and indexes agree.
"""

import argparse
import fcntl
import os
import random
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import harness

EXT4_IOC_SHUTDOWN = 0x8004587D
NO_LOG_FLUSH = 2
IMAGE_BYTES = 512 << 20
CUTS_PER_IMAGE = 5
WRITERS = 8
IDS = 40

NO_SYNC = """
int fsync(int fd) { (void)fd; return 0; }
int fdatasync(int fd) { (void)fd; return 0; }
int sync_file_range(int fd, long a, long b, unsigned c) { (void)fd; (void)a; (void)b; (void)c; return 0; }
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", type=Path, default=harness.ROOT / "target/release/simile")
    parser.add_argument("--cuts", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds-max", type=float, default=2.0, help="the longest time to a cut")
    parser.add_argument("--without-sync", action="store_true")
    arguments = parser.parse_args()

    stubs = harness.stubs()
    chance = random.Random(arguments.seed)
    totals = {"cuts": 0, "acknowledged": 0, "lost": 0, "torn": 0, "refused": 0}
    with tempfile.TemporaryDirectory(prefix="power-cut-") as folder:
        arguments.preload = no_sync(Path(folder)) if arguments.without_sync else None
        while totals["cuts"] < arguments.cuts:
            cut_one_image(Path(folder), arguments, chance, stubs, totals)
    print(f"seed {arguments.seed}:", ", ".join(f"{count} {name}" for name, count in totals.items()))
    harmed = totals["lost"] + totals["torn"] + totals["refused"]
    if arguments.without_sync:
        sys.exit("nothing was lost: the harness shows nothing" if harmed == 0 else None)
    sys.exit("acknowledged writes were lost" if harmed else None)


def no_sync(folder):
    source, library = folder / "no_sync.c", folder / "no_sync.so"
    source.write_text(NO_SYNC)
    run("gcc", "-shared", "-fPIC", "-w", "-o", library, source)
    return library


class Writer(threading.Thread):
    """Stores versions of its own documents, one request after the other, and remembers the answers."""

    def __init__(self, number, channel, stubs, first):
        super().__init__()
        self.number, self.stubs, self.version = number, stubs, first
        self.client = stubs.DocumentsStub(channel)
        # By id: the version that was acknowledged (None: deleted), and one without an answer.
        self.acknowledged, self.unanswered = {}, {}
        self.operations = 0
        self.chance = random.Random(number * 1_000_003 + first)

    def run(self):
        try:
            while True:
                self.step()
                self.operations += 1
        except Exception:
            # The server is gone; what it had not answered is noted already.
            return

    def step(self):
        ids = sorted({f"w{self.number}-{self.chance.randrange(IDS)}" for _ in range(self.chance.randint(1, 5))})
        self.version += 1
        if self.chance.random() < 0.15:
            self.unanswered = {ids[0]: None}
            selection = self.stubs.DocumentIds(ids=ids[:1])
            self.client.Delete(self.stubs.DeleteDocumentsRequest(collection="c", ids=selection), timeout=30)
        else:
            self.unanswered = dict.fromkeys(ids, self.version)
            requests = [
                self.stubs.UpsertRequest(collection="c", document=document(self.stubs, id, self.version)) for id in ids
            ]
            for result in self.client.Upsert(iter(requests), timeout=30):
                if result.WhichOneof("outcome") == "error":
                    raise RuntimeError(result.error.message)
                self.acknowledged[result.id] = self.unanswered.pop(result.id)
        self.acknowledged.update(self.unanswered)
        self.unanswered = {}


def document(stubs, id, version):
    """A document whose every part says which version it is."""
    parts = [
        stubs.Part(
            text=f"version {version} of {id}, part {part}",
            vectors={"v": stubs.DenseVector(components=[1.0, version % 4096, part, 0.5])},
        )
        for part in range(1 + version % 3)
    ]
    return stubs.Document(id=id, payload={"version": stubs.Value(integer=version)}, parts=stubs.PartList(parts=parts))


def cut_one_image(folder, arguments, chance, stubs, totals):
    """Makes an image and cuts it until it has had its share, or is found harmed."""
    image, mount = folder / "image", folder / "mount"
    mount.mkdir(exist_ok=True)
    with open(image, "wb") as file:
        file.truncate(IMAGE_BYTES)
    run("mkfs.ext4", "-q", "-F", image)
    known = {}
    for _ in range(min(CUTS_PER_IMAGE, arguments.cuts - totals["cuts"])):
        run("mount", "-o", "loop", image, mount)
        try:
            seconds = chance.uniform(0.05, arguments.seconds_max)
            operations, acknowledged, unanswered = write_until_cut(
                arguments, stubs, mount, seconds, totals["cuts"], not known
            )
        finally:
            unmount(mount)
        # By id, the versions that may be found: what was answered, and what may have been stored after it.
        known.update((id, {version}) for id, version in acknowledged)
        for id, version in unanswered:
            known[id] = known.get(id, {None}) | {version}
        run("mount", "-o", "loop", image, mount)
        try:
            known, lost, torn, refused = check(arguments, stubs, mount, known)
        finally:
            unmount(mount)
        totals["cuts"] += 1
        totals["acknowledged"] += operations
        totals["lost"] += lost
        totals["torn"] += torn
        totals["refused"] += refused
        print(f"cut {totals['cuts']} after {seconds:.2f} s: {operations} requests acknowledged, {lost} lost, "
              f"{torn} torn" + (", not served" if refused else ""), flush=True)
        if lost or torn or refused:
            break
    image.unlink()


def write_until_cut(arguments, stubs, mount, seconds, cut, is_new):
    """Lets the writers write for a time and cuts the power. Returns how many requests were answered, and ids with
    the last version that was acknowledged and with one that was not answered."""
    server = start(arguments, mount, arguments.preload)
    if is_new:
        vector = stubs.VectorConfig(dimension=4, metric=stubs.METRIC_EUCLIDEAN)
        request = stubs.CreateCollectionRequest(name="c", vectors={"v": vector})
        stubs.CollectionsStub(server.channel).Create(request, timeout=30)
    writers = [Writer(number, server.channel, stubs, (cut + 1) * 1_000_000) for number in range(WRITERS)]
    for writer in writers:
        writer.start()
    time.sleep(seconds)
    if server.process.poll() is not None:
        raise SystemExit("the server ended before the cut, which would show nothing")
    root = os.open(mount, os.O_RDONLY)
    fcntl.ioctl(root, EXT4_IOC_SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
    os.close(root)
    server.process.kill()
    server.process.wait()
    for writer in writers:
        writer.join()
    server.stop()
    acknowledged = [item for writer in writers for item in writer.acknowledged.items()]
    unanswered = [item for writer in writers for item in writer.unanswered.items()]
    return sum(writer.operations for writer in writers), acknowledged, unanswered


def check(arguments, stubs, mount, known):
    """Returns what is known now, and how many documents are lost and torn, and whether nothing is served."""
    try:
        server = start(arguments, mount, None)
    except SystemExit as error:
        print(error)
        return known, 0, 0, 1
    try:
        found, torn = {}, 0
        documents, after = stubs.DocumentsStub(server.channel), ""
        while True:
            request = stubs.ScrollRequest(collection="c", after=after, limit=500, with_parts=True, with_vectors=True)
            page = documents.Scroll(request, timeout=60)
            for stored in page.documents:
                version = stored.payload["version"].integer
                whole = document(stubs, stored.id, version).parts.parts
                torn += [(part.text, part.vectors["v"]) for part in stored.parts] != [
                    (part.text, part.vectors["v"]) for part in whole
                ]
                found[stored.id] = version
            after = page.next_after
            if not after:
                break
        lost = [id for id, versions in known.items() if found.get(id) not in versions]
        verified = stubs.AdminStub(server.channel).Verify(stubs.VerifyRequest(collection="c"), timeout=120)
        if verified.problems:
            print(*verified.problems, sep="\n")
        return {id: {found.get(id)} for id in known}, len(lost), torn, int(verified.problems_total > 0)
    except Exception as error:
        print(error)
        return known, 0, 0, 1
    finally:
        server.stop()


def start(arguments, mount, preload):
    server = harness.Server(arguments.binary, mount / "data", "--offline", "--cache", mount.parent / "cache")
    if preload:
        os.environ["LD_PRELOAD"] = str(preload)
    try:
        return server.start()
    finally:
        os.environ.pop("LD_PRELOAD", None)


def unmount(mount):
    for _ in range(50):
        if subprocess.run(["umount", mount], capture_output=True).returncode == 0:
            return
        time.sleep(0.1)
    run("umount", "-l", mount)


def run(*command):
    subprocess.run(list(map(str, command)), check=True)


if __name__ == "__main__":
    harness.environment()
    main()
