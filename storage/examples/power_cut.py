"""Cuts the power under a database that writes, and counts what was acknowledged and is lost.

    cargo build --release -p simile-storage --example power_cut
    sudo python3 storage/examples/power_cut.py target/release/examples/power_cut --cuts 100

Each image is a fresh ext4 in a file on a loop device, cut several times. A cut is the ioctl
EXT4_IOC_SHUTDOWN without a flush of the journal: nothing that was not synced reaches the image
after it, as when the power goes. Needs root and Linux. With --without-sync the database does not
sync; if that loses nothing, the harness shows nothing, and the run fails.

It does not show what a disk does that acknowledges a flush and lies.
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
from pathlib import Path

EXT4_IOC_SHUTDOWN = 0x8004587D
NO_LOG_FLUSH = 2
IMAGE_BYTES = 512 << 20
CUTS_PER_IMAGE = 5


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", type=Path, help="the built example power_cut")
    parser.add_argument("--cuts", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds-max", type=float, default=2.0, help="the longest time to a cut")
    parser.add_argument("--without-sync", action="store_true")
    arguments = parser.parse_args()

    chance = random.Random(arguments.seed)
    totals = {"cuts": 0, "acknowledged": 0, "lost": 0, "refused": 0, "wrong": 0}
    while totals["cuts"] < arguments.cuts:
        with tempfile.TemporaryDirectory(prefix="power-cut-") as folder:
            cut_one_image(Path(folder), arguments, chance, totals)
    print(f"seed {arguments.seed}:", ", ".join(f"{count} {name}" for name, count in totals.items()))
    harmed = totals["lost"] + totals["refused"] + totals["wrong"]
    if arguments.without_sync:
        sys.exit("nothing was lost: the harness shows nothing" if harmed == 0 else None)
    sys.exit("acknowledged batches were lost" if harmed else None)


def cut_one_image(folder, arguments, chance, totals):
    """Makes an image and cuts it until it has had its share, or is found harmed."""
    image, mount = folder / "image", folder / "mount"
    mount.mkdir()
    with open(image, "wb") as file:
        file.truncate(IMAGE_BYTES)
    run("mkfs.ext4", "-q", image)
    held = 0
    for _ in range(min(CUTS_PER_IMAGE, arguments.cuts - totals["cuts"])):
        run("mount", "-o", "loop", image, mount)
        try:
            seconds = chance.uniform(0, arguments.seconds_max)
            acknowledged = write_until_cut(arguments, mount, seconds)
        finally:
            run("umount", mount)
        run("mount", "-o", "loop", image, mount)
        try:
            answer = check(arguments.program, mount / "database")
        finally:
            run("umount", mount)
        totals["cuts"] += 1
        # Only what this life acknowledged counts for it; what the last one held is the start.
        totals["acknowledged"] += max(0, acknowledged - held)
        promised = max(acknowledged, held)
        if answer.startswith("holds "):
            held = int(answer.split()[1])
            lost = max(0, promised - held)
            totals["lost"] += lost
        else:
            lost = 0
            totals["wrong" if answer.startswith("wrong") else "refused"] += 1
        print(f"cut {totals['cuts']} after {seconds:.2f} s: {promised} promised, {answer}", flush=True)
        if lost or not answer.startswith("holds "):
            return


def write_until_cut(arguments, mount, seconds):
    """Runs the writer for a time, cuts the power, and returns the last batch acknowledged."""
    command = [arguments.program, "write", mount / "database"]
    command += ["--without-sync"] if arguments.without_sync else []
    writer = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    last = [0]

    def listen():
        for line in writer.stdout:
            if line.startswith("acknowledged "):
                last[0] = int(line.split()[1])

    listener = threading.Thread(target=listen)
    listener.start()
    threading.Event().wait(seconds)
    if writer.poll() is not None:
        listener.join()
        raise SystemExit("the writer ended before the cut, which would show nothing")
    root = os.open(mount, os.O_RDONLY)
    fcntl.ioctl(root, EXT4_IOC_SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
    os.close(root)
    writer.kill()
    writer.wait()
    # What the writer still said counts: it said so after a sync that had succeeded.
    listener.join()
    return last[0]


def check(program, database):
    if not database.exists():
        return "holds 0"
    done = subprocess.run(
        [program, "check", database], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    return done.stdout.strip() or f"failed without a word, {done.returncode}: {done.stderr[-500:]}"


def run(*command):
    subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
