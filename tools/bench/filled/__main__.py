"""`python -m tools.bench.filled --url postgresql://…`: a migrated database as after a year."""

import argparse
import asyncio
import os
import sys
from dataclasses import fields

from tools.bench.filled.fill import fill
from tools.bench.filled.sizes import Sizes
from tools.errors import ToolError


def say(line: str) -> None:
    print(f"filled: {line}", file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.bench.filled", description=__doc__)
    parser.add_argument(
        "--url", default=os.environ.get("DATABASE_URL"), help="the database (default DATABASE_URL)"
    )
    for field in fields(Sizes):
        parser.add_argument(
            f"--{field.name}",
            type=int,
            default=field.default,
            metavar="N",
            help=f"default {field.default:,}",
        )
    options = vars(parser.parse_args())
    url = options.pop("url")
    if url is None:
        parser.error("--url is missing, and DATABASE_URL is not set")
    try:
        asyncio.run(fill(url, Sizes(**options), say))
    except ToolError as error:
        say(str(error))
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
