"""Puts the demo's table into README.md and README.ja.md.

Usage: demo/readme_figures.py [SUMMARY]    default build/demo/summary.json

Keeps the summary as docs/demo-summary.json, so that a test can tell whether
the figures of both READMEs are ones that the demo printed.
"""

import json
import re
import sys
from pathlib import Path

import comparison_table

SOURCE = Path(__file__).resolve().parents[1]
READMES = (SOURCE / "README.md", SOURCE / "README.ja.md")
KEPT = SOURCE / "docs" / "demo-summary.json"
MARK = "demo-output"


def block(summary):
    """What stands between the marks."""
    return f"```text\n{comparison_table.render(summary)}```\n"


def _between(mark):
    return re.compile(f"(?<=<!-- {mark} -->\n).*?(?=<!-- /{mark} -->)",
                      re.DOTALL)


def shown(readme, mark=MARK):
    """What stands between the marks of a README; ValueError without them."""
    found = _between(mark).findall(readme.read_text())
    if len(found) != 1:
        raise ValueError(f"{readme} has {len(found)} {mark} blocks")
    return found[0]


def show(mark, text):
    """Puts the text between the marks of both READMEs; ValueError without
    them."""
    for readme in READMES:
        shown(readme, mark)
        readme.write_text(
            _between(mark).sub(lambda _: text, readme.read_text()))


def main():
    path = (Path(sys.argv[1]) if len(sys.argv) > 1
            else SOURCE / "build" / "demo" / "summary.json")
    summary = json.loads(path.read_text())
    KEPT.write_text(json.dumps(summary, indent=2) + "\n")
    show(MARK, block(summary))


if __name__ == "__main__":
    main()
