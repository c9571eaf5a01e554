"""`python -m monitoring site`: draws the state of production as one static page."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

PAGE = "index.html"


def main(arguments: Sequence[str]) -> int:
    """Draw `--state` into `--out`; what was written goes to stdout as JSON."""
    parser = argparse.ArgumentParser("python -m monitoring site", description=__doc__)
    parser.add_argument(
        "--state", type=Path, required=True, metavar="FILE", help="what `mainline site` collected"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the page goes here")
    options = parser.parse_args(arguments)
    from mainline.records import write_atomically
    from mainline.state import State
    from monitoring.site.page import render
    from usecase.schema import FEATURES

    content = render(State.read(options.state), FEATURES.target.unit).encode()
    target = options.out / PAGE
    write_atomically(target, content)
    print(json.dumps({"page": str(target), "bytes": len(content)}))
    return 0
