"""`python -m tools.mutants`."""

import sys

from tools.mutants.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
