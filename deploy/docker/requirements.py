"""Print the requirements of a container from pyproject.toml, before the code is copied."""

import tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
print("\n".join([*project["dependencies"], *project["optional-dependencies"]["container"]]))
