"""Commands that the documents show, for tests that run them.

Blocks are fenced as `sh`. Their second word says why a command is not run with
the documents' own tests: `cluster`, which it needs, or `minutes`, which it takes;
the tests of what it makes take those from here.
"""

import re
import shlex

from nginx_instance import SOURCE

README = SOURCE / "README.md"
NOT_RUN = {"cluster", "minutes"}


def shell_blocks(document):
    """(second word of the fence or empty, text) of each block of commands."""
    return re.findall(r"^```sh ?(\w*)\n(.*?)^```$", document.read_text(),
                      re.DOTALL | re.MULTILINE)


def console_lines(document):
    """The commands that a document shows with what they print."""
    return [line[2:] for block in re.findall(
        r"^```console\n(.*?)^```$", document.read_text(),
        re.DOTALL | re.MULTILINE)
        for line in block.splitlines() if line.startswith("$ ")]


def long_commands(document):
    """The commands of the blocks `sh minutes`, each a list of words."""
    return [shlex.split(line) for word, text in shell_blocks(document)
            if word == "minutes"
            for line in text.replace("\\\n", " ").splitlines()]


def shown(*begin):
    """The one such command of README that begins with these words."""
    found = [words for words in long_commands(README)
             if words[:len(begin)] == list(begin)]
    assert found and all(words == found[0] for words in found), (begin, found)
    return found[0]
