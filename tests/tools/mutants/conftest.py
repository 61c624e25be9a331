"""What the tests of `tools.mutants` share."""

from collections.abc import Mapping, Sequence

import pytest

from tools.mutants.candidates import candidates
from tools.mutants.mutant import Mutant
from tools.mutants.running.tree import ROOT


@pytest.fixture(scope="session")
def found() -> Mapping[str, Sequence[Mutant]]:
    """All mutants of the product, by area."""
    return candidates(ROOT)
