"""How a benchmark shows its results: aligned tables, one JSON file."""

import json
import os


def table(headings, rows):
    """The rows as text: the first column to the left, the others right."""
    cells = [[str(cell) for cell in row] for row in [headings, *rows]]
    widths = [max(len(cell) for cell in column) for column in zip(*cells)]
    lines = []
    for row in cells:
        first = row[0].ljust(widths[0])
        others = (c.rjust(w) for c, w in zip(row[1:], widths[1:]))
        lines.append("  ".join([first, *others]).rstrip())
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def figure(value):
    """A number with three significant digits or all before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def write_json(path, document):
    """Writes the document so that a reader never sees half of it."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(f"{path}.tmp", "w", encoding="utf-8") as out:
        json.dump(document, out, indent=2)
        out.write("\n")
    os.replace(f"{path}.tmp", path)
    print(f"wrote {path}")
