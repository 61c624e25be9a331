"""A private copy of the checkout, in which one mutant at a time is made.

Its `.venv` has the packages of the checkout's, but the product of the copy: the checkout itself is
on no path, so that whatever a test starts, and however, runs what was changed.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tools.errors import ToolError
from tools.mutants.mutant import Mutant

ROOT: Final = Path(__file__).parents[3]
_LONG_AGO: Final = 10**9


class Tree:
    """The copy at `path`, with an interpreter."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.python = path / ".venv" / "bin" / "python"
        self._writes = 0

    @contextmanager
    def changed(self, mutant: Mutant) -> Iterator[None]:
        """With the mutant in it, until the end of the block."""
        file = self.path / mutant.file
        original = file.read_text()
        self._write(file, mutant.applied_to(original))
        try:
            yield
        finally:
            self._write(file, original)

    def _write(self, file: Path, text: str) -> None:
        """With a time that the file never had.

        Python takes compiled code for current if size and second are the same.
        """
        self._writes += 1
        file.write_text(text)
        time = _LONG_AGO + self._writes
        os.utime(file, (time, time))


def copied(path: Path, root: Path = ROOT) -> Tree:
    """A copy of the working tree, without what git ignores. Raises ToolError."""
    path.mkdir(mode=0o755)
    for name in _files(root):
        source, target = root / name, path / name
        if source.is_file():  # what is removed may still be in git
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    tree = Tree(path)
    _make_environment(tree)
    return tree


def _files(root: Path) -> list[str]:
    listing = (
        "git",
        "-C",
        str(root),
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    )
    done = subprocess.run(listing, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ToolError(f"git failed: {done.stderr.strip()}")
    return [name for name in done.stdout.split("\0") if name]


def _make_environment(tree: Tree) -> None:
    prefix = tree.path / ".venv"
    ours = Path(sys.prefix)
    binaries = prefix / "bin"
    binaries.mkdir(parents=True)
    shutil.copy(ours / "pyvenv.cfg", prefix)
    for program in (ours / "bin").iterdir():
        target = binaries / program.name
        if program.is_symlink():
            target.symlink_to(program.readlink())
        elif program.is_file():
            # The first line of a script names its interpreter.
            content = program.read_bytes().replace(str(ours).encode(), str(prefix).encode())
            target.write_bytes(content)
            target.chmod(0o755)
    packages = Path(sysconfig.get_path("purelib"))
    own = prefix / packages.relative_to(ours)
    own.mkdir(parents=True)
    # Paths that are added so are not searched for further ones, as that of the checkout is.
    (own / "mutants.pth").write_text(f"{tree.path}\n{packages}\n")
