"""Files that are no Python are in the wheel and in the images, too."""

import tomllib
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[3]
PACKAGE_DATA: Final = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"][
    "package-data"
]
_MADE: Final = {".py", ".pyc"}


@pytest.mark.parametrize("package", ["gateway", "shared", "worker"])
def test_each_file_of_a_package_is_in_the_wheel(package: str) -> None:
    files = {it for it in (ROOT / package).rglob("*") if it.is_file() and it.suffix not in _MADE}

    packaged = {it for glob in PACKAGE_DATA.get(package, ()) for it in (ROOT / package).glob(glob)}

    assert files == packaged


def test_what_a_package_links_to_is_copied_into_the_images() -> None:
    links = [it for package in ("gateway", "shared", "worker") for it in _links(ROOT / package)]
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    copied = (ROOT / "Dockerfile").read_text().splitlines()

    assert links
    for link in links:
        target = link.resolve().relative_to(ROOT)
        assert f"!{target}" in ignored
        assert f"COPY {target} {target}" in copied


def _links(directory: Path) -> list[Path]:
    return [it for it in directory.rglob("*") if it.is_symlink()]
