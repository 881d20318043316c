"""The report: the profiler's page with profiles inside, one file that opens
from disk and can be mailed.
"""

import base64
import json
from pathlib import Path

# Where the page wants them; it is in web/src/page.html.
PLACE = "<!-- profiles -->"


class NoPage(Exception):
    """The build has no page; the message says what to do."""


def write(page, report, profiles):
    """Writes `report` from the built `page`.

    profiles    dicts: title, file (what a download of it is called), data
                (its bytes, .pb.gz), requests (served in it; may be left out)
    """
    try:
        text = Path(page).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise NoPage("the build has no page: install Node.js (18 or later) "
                     "and npm, and run make") from None
    inside = json.dumps([
        {**profile, "data": base64.b64encode(profile["data"]).decode()}
        for profile in profiles])
    # No text of a profile's may end the element that it is in.
    element = ('<script type="application/json" id="profiles">'
               + inside.replace("<", "\\u003c") + "</script>")
    before, place, after = text.partition(PLACE)
    if not place:
        raise ValueError(f"{page} has no place for profiles")
    Path(report).write_text(before + element + after, encoding="utf-8")
