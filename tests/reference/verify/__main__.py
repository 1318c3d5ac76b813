"""Command line: ``python -m tests.reference.verify [FILE ...] [--json]``."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.reference.verify.cases import CaseFileError, default_files, load_cases
from tests.reference.verify.report import run

USAGE = "usage: python -m tests.reference.verify [FILE ...] [--json]"
EX_USAGE = 64


def main(arguments: Sequence[str]) -> int:
    """Return 0 when nothing mismatched, 1 when something did, 64 when the cases could not be read."""
    if "-h" in arguments or "--help" in arguments:
        print(USAGE)
        return 0
    unknown = [word for word in arguments if word.startswith("-") and word != "--json"]
    if unknown:
        print(f"unknown option {unknown[0]}\n{USAGE}", file=sys.stderr)
        return EX_USAGE
    files = [Path(word) for word in arguments if word != "--json"]
    try:
        cases = load_cases(files or default_files())
    except CaseFileError as error:
        print(error, file=sys.stderr)
        return EX_USAGE
    report = run(cases)
    print(json.dumps(report.as_json(), indent=1, ensure_ascii=False) if "--json" in arguments else report.as_text())
    return 0 if report.ok else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
