"""Generates simile.v1, the messages and stubs of the contract: from `proto/` beside this file, as a source
distribution has it, or beside this folder, as the repository does.

    python generate.py FOLDER     # needs grpcio-tools; writes FOLDER/simile/v1

Building a wheel does the same, and puts what was generated into the wheel and nowhere else.
"""

import shutil
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

HERE = Path(__file__).resolve().parent


def generate(folder):
    """Writes the package simile.v1 below the folder, and returns its files."""
    from grpc_tools import protoc

    contract = next(path for path in (HERE / "proto", HERE.parent / "proto") if (path / "simile").is_dir())
    names = sorted(str(path.relative_to(contract)) for path in (contract / "simile/v1").glob("*.proto"))
    out = [f"--{kind}_out={folder}" for kind in ("python", "pyi", "grpc_python")]
    known = files("grpc_tools").joinpath("_proto")
    if protoc.main(["protoc", f"-I{contract}", f"-I{known}", *out, *names]):
        raise SystemExit("the contract does not compile")
    package = Path(folder) / "simile" / "v1"
    (package / "__init__.py").write_text('"""The messages and stubs of the contract; proto/simile/v1 documents them."""\n')
    return sorted(package.iterdir())


try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # run as a script
    pass
else:

    class Contract(BuildHookInterface):
        """Puts the generated files into the wheel."""

        def initialize(self, version, build_data):
            self.folder = tempfile.mkdtemp()
            for file in generate(self.folder):
                build_data["force_include"][str(file)] = f"simile/v1/{file.name}"

        def finalize(self, version, build_data, artifact_path):
            shutil.rmtree(self.folder, ignore_errors=True)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    generate(sys.argv[1])
