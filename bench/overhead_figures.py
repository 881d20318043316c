"""Puts the table of bench/overhead into README.md and README.ja.md.

Usage: bench/overhead_figures.py [SUMMARY]    default build/bench/overhead.json

Keeps the summary as docs/overhead-summary.json, so that a test can tell whether
the figures of both READMEs are ones that the benchmark printed.
"""

import json
import sys
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1]
sys.path += [str(SOURCE / "bench"), str(SOURCE / "demo")]

import overhead_table  # noqa: E402
import readme_figures  # noqa: E402

KEPT = SOURCE / "docs" / "overhead-summary.json"
MARK = "overhead-output"


def block(summary):
    """What stands between the marks."""
    return f"```text\n{overhead_table.render(summary)}\n```\n"


def main():
    path = (
        Path(sys.argv[1])
        if len(sys.argv) > 1
        else SOURCE / "build" / "bench" / "overhead.json"
    )
    summary = json.loads(path.read_text())
    if summary["quick"]:
        sys.exit(f"{path}: the figures of --quick mean nothing")
    KEPT.write_text(json.dumps(summary, indent=2) + "\n")
    readme_figures.show(MARK, block(summary))


if __name__ == "__main__":
    main()
