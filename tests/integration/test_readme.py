"""README.md and README.ja.md say the same, and what they show is true."""

import json
import re
import subprocess
import sys

import pytest

from nginx_instance import ALGORITHMS, MODULES, SOURCE

sys.path.insert(0, str(SOURCE / "demo"))

import readme_figures  # noqa: E402

ENGLISH, JAPANESE = readme_figures.READMES


def code(text):
    """All code: fenced blocks, indented blocks and what is in backquotes in
    tables; in order."""
    fenced = re.findall(r"^```.*?^```$", text, re.DOTALL | re.MULTILINE)
    rest = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    indented = re.findall(r"^    .*$", rest, re.MULTILINE)
    cells = [re.findall(r"`[^`]+`", line) for line in rest.splitlines()
             if line.startswith("|")]
    return fenced, indented, cells


@pytest.mark.parametrize("readme", readme_figures.READMES,
                         ids=lambda path: path.name)
def test_begins_with_the_two_commands(readme):
    assert readme.read_text().startswith("    ./demo.sh\n    ./test.sh\n\n")


def test_both_have_the_same_code():
    assert code(ENGLISH.read_text()) == code(JAPANESE.read_text())


def test_both_have_as_many_sections_and_the_same_links():
    english, japanese = ENGLISH.read_text(), JAPANESE.read_text()

    def levels(text):
        return [len(mark) for mark in re.findall(r"^(#+) ", text, re.M)]

    assert levels(english) == levels(japanese)

    def links(text):
        return sorted(re.findall(r"\]\(([^)]+)\)", text))

    assert links(english) == links(japanese)
    for link in links(english):
        assert (SOURCE / link).exists(), link


@pytest.mark.parametrize("readme", readme_figures.READMES,
                         ids=lambda path: path.name)
def test_figures_are_ones_that_the_demo_printed(readme):
    summary = json.loads(readme_figures.KEPT.read_text())
    assert readme_figures.shown(readme) == readme_figures.block(summary)


def example(language):
    found = re.findall(rf"^```{language}\n(.*?)^```$", ENGLISH.read_text(),
                       re.DOTALL | re.MULTILINE)
    assert len(found) == 1
    return found[0]


def test_synopsis_works(nginx):
    """The configuration as it stands, in this machine's folders."""
    text = example("nginx")
    for shown, real in (("/path/to/build/modules", str(MODULES)),
                        ("/path/to/build/algorithms", str(ALGORITHMS)),
                        ("127.0.0.1:8080", f"127.0.0.1:{nginx.port}"),
                        ("events {", f"{nginx.user_directive} daemon off; "
                         f"pid {nginx.prefix}/nginx.pid; "
                         f"error_log {nginx.log} info; events {{")):
        assert shown in text
        text = text.replace(shown, real)
    nginx.write_file("conf/input.txt", "3 9 1 5 3\n")
    nginx.write_raw_conf(text)
    nginx.start()
    shown = json.loads(example("console").splitlines()[1])
    answer = nginx.get("/count").json()
    assert answer.pop("sort_ns") > 0
    del shown["sort_ns"]
    assert answer == shown


def test_example_plugin_compiles(tmp_path):
    subprocess.run(
        ["gcc", "-x", "c", "-std=c11", "-Wall", "-Werror", "-shared", "-fPIC",
         "-Wno-unused-parameter", f"-I{SOURCE / 'algorithms'}",
         "-o", tmp_path / "mine.so", "-"],
        input=example("c").encode(), check=True)


def test_every_directive_is_documented():
    """What the modules accept is what docs/directives.md explains."""
    sources = [SOURCE / "ngx_http_count_module.c",
               *SOURCE.glob("profiler/nginx/*.c")]
    accepted = {name for source in sources for name in re.findall(
        r'^\s*\{\s*ngx_string\("((?:count|profiler)[a-z_]*)"\)',
        source.read_text(), re.MULTILINE)}
    text = (SOURCE / "docs" / "directives.md").read_text()
    explained = set(re.findall(r"^### ([a-z_]+)$", text, re.MULTILINE))
    assert accepted == explained
    for readme in readme_figures.READMES:
        table = re.findall(r"^\| `([a-z_]+)[ `].*$", readme.read_text(), re.M)
        assert set(table) >= accepted
