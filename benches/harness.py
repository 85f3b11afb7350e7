"""What the benches share: an environment of their own, the gRPC stubs, a server, made-up texts.

Needs Python 3.10 or later with pip and venv. Nothing is installed outside target/bench-venv.
"""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GRPC = ["grpcio>=1.66", "grpcio-tools>=1.66", "numpy>=2"]


def environment(packages=()):
    """Goes on in a virtual environment that has the packages, which it makes the first time."""
    home = ROOT / "target" / "bench-venv"
    python = home / "bin" / "python"
    wanted = sorted([*GRPC, *packages])
    done = home / "installed"
    have = done.read_text().split() if done.exists() else []
    if not set(wanted) <= set(have):
        if not python.exists():
            venv.create(home, with_pip=True)
        print("installing", *wanted, file=sys.stderr)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *wanted], check=True)
        done.write_text("\n".join(sorted({*have, *wanted})))
    if Path(sys.prefix).resolve() != home.resolve():
        os.execv(python, [str(python), *sys.argv])


def stubs():
    """Generates Python from proto/simile/v1 and returns the modules by name."""
    from grpc_tools import protoc

    out = ROOT / "target" / "bench-stubs"
    out.mkdir(parents=True, exist_ok=True)
    files = sorted(str(path.relative_to(ROOT / "proto")) for path in (ROOT / "proto/simile/v1").glob("*.proto"))
    proto = ROOT / "proto"
    if protoc.main(["protoc", f"-I{proto}", f"--python_out={out}", f"--grpc_python_out={out}", *files]):
        raise SystemExit("the contract does not compile")
    sys.path.insert(0, str(out))

    class Stubs:
        pass

    found = Stubs()
    for name in ["common", "collections", "documents", "search", "embedding", "jobs", "admin", "cluster"]:
        module = __import__(f"simile.v1.{name}_pb2", fromlist=["x"])
        services = __import__(f"simile.v1.{name}_pb2_grpc", fromlist=["x"])
        for source in (module, services):
            for item in dir(source):
                if item[0].isupper():
                    setattr(found, item, getattr(source, item))
    return found


def driver(bench):
    """Builds a driver, benches/<bench>.rs, and returns its file."""
    command = ["cargo", "bench", "--bench", bench, "--no-run", "--message-format", "json"]
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT).stdout
    for line in out.splitlines():
        message = json.loads(line)
        if message.get("target", {}).get("name") == bench and message.get("executable"):
            return message["executable"]
    raise SystemExit("cargo names no executable")


class Server:
    """`simile serve` over a data directory, on a free port of loopback."""

    def __init__(self, binary, data, *flags):
        self.binary, self.data, self.flags = binary, data, flags
        self.process = self.channel = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def start(self):
        import grpc

        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        command = [self.binary, "serve", "--data", self.data, "--listen", self.address, *self.flags]
        self.log = tempfile.TemporaryFile()
        self.started = time.perf_counter()
        self.process = subprocess.Popen(list(map(str, command)), stdout=self.log, stderr=self.log)
        limits = [("grpc.max_receive_message_length", 64 << 20), ("grpc.initial_reconnect_backoff_ms", 20),
                  ("grpc.min_reconnect_backoff_ms", 20), ("grpc.max_reconnect_backoff_ms", 50)]
        self.channel = grpc.insecure_channel(self.address, options=limits)
        try:
            grpc.channel_ready_future(self.channel).result(timeout=300)
        except grpc.FutureTimeoutError:
            self.stop()
            self.log.seek(0)
            raise SystemExit(f"the server did not start:\n{self.log.read().decode()[-2000:]}") from None
        return self

    def stop(self):
        if self.channel:
            self.channel.close()
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(timeout=600)

    def cpu_seconds(self):
        """Returns how long the server has computed, all of its threads together."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def status(self, field):
        """Returns a figure of /proc/PID/status in MiB, as VmRSS or VmHWM."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) / 1024
        raise KeyError(field)


def words():
    """The distinct words of the demo's English texts, in alphabetical order."""
    found = set()
    for path in (ROOT / "src/cli/demo").rglob("*.md"):
        if not path.stem.endswith("-zh"):
            found.update(word.strip(".,;:!?()*#|\"'").lower() for word in path.read_text(encoding="utf-8").split())
    return sorted(word for word in found if word.isascii() and word.isalpha())


def texts(count, words_min, words_max, seed=1):
    """Yields made-up texts; lengths are spread evenly over orders of magnitude."""
    import math

    chance, vocabulary = random.Random(seed), words()
    for _ in range(count):
        length = round(math.exp(chance.uniform(math.log(words_min), math.log(words_max))))
        sentence = [chance.choice(vocabulary) for _ in range(length)]
        for stop in range(11, length, 12):
            sentence[stop] += "."
        yield " ".join(sentence)


def machine():
    """What the figures were measured on."""
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    return {"cpu": model, "cores": len(os.sched_getaffinity(0)), "date": time.strftime("%Y-%m-%d")}


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
