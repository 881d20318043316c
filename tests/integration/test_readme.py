"""README.md and README.ja.md say the same, what documents show is true, and
their commands run."""

import ctypes
import fnmatch
import functools
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nginx_instance import ALGORITHMS, BUILD, MODULES, SOURCE
from shown_commands import (NOT_RUN, console_lines, long_commands,
                            shell_blocks)

sys.path.insert(0, str(SOURCE / "demo"))

import readme_figures  # noqa: E402

ENGLISH, JAPANESE = readme_figures.READMES
DOCUMENTS = sorted([*SOURCE.glob("*.md"), *(SOURCE / "docs").glob("*.md")])
PLUGINS = [ENGLISH, SOURCE / "docs" / "plugin-abi.md"]


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


def sections(text):
    """The text of each section without blocks of code."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.split(r"^#+ ", text, flags=re.MULTILINE)


def test_both_have_the_same_figures_and_tables():
    """In each section; small whole numbers may be words."""
    for english, japanese in zip(sections(ENGLISH.read_text()),
                                 sections(JAPANESE.read_text())):
        for pattern in (r"\d+(?:[.,]\d+)+|\d{2,}", r"^\||(?<!\\)\|"):
            found = [sorted(re.findall(pattern, text, re.MULTILINE))
                     for text in (english, japanese)]
            assert found[0] == found[1], english[:60]


def test_sections_are_in_the_order_of_the_go_demo():
    text = ENGLISH.read_text()
    part = text[text.index("## Kubernetes\n"):]
    found = re.findall(r"^###? (.*)$", part, re.MULTILINE)
    assert found[1:9] == [
        "Set-up", "Deploy", "Load test", "Access", "What to look at in Datadog",
        "Expected results", "Troubleshooting", "Clean-up"]


def anchors(path):
    """The anchors of a document's headings, as GitHub makes them."""
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
            for heading in re.findall(r"^#+ (.*)$", path.read_text(), re.M)}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document):
    for link in re.findall(r"\]\(([^)]+)\)", document.read_text()):
        if link.startswith("https://"):
            continue
        name, _, anchor = link.partition("#")
        path = document.parent / name if name else document
        assert path.exists(), link
        assert not anchor or anchor in anchors(path), link


def names_of_files(text):
    """What looks like a file of ours in commands."""
    return [word for word in re.findall(r"[\w./-]+", text)
            if re.match(r"(demo|k6|k8s|tests|docs)/|\./\w+\.sh$|Dockerfile",
                        word)]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_are_sound(document):
    """Each is a shell's, and names no file of ours that is not there. All are
    in blocks that say so."""
    text = document.read_text()
    assert not re.findall(r"^```(?:bash|shell|console sh)", text, re.M)
    _, indented, _ = code(text)
    for line in indented[2:]:
        assert not re.match(r"    (\$ |\./|(make|curl|go|nginx|kubectl|docker|"
                            r"apt-get|apt|kill|python3) )", line), line
    for word, commands in shell_blocks(document):
        assert word == "" or word in NOT_RUN
        subprocess.run(["bash", "-n"], input=commands.encode(), check=True)
        for name in names_of_files(commands):
            assert (SOURCE / name).exists(), name


# What takes minutes, by its first words: the file that says how it is run by
# tests, or runs it.
RUN_BY = {
    "make install": "tests/integration/test_package.py",
    "make deb": "tests/integration/test_package.py",
    "apt-get install": "tests/integration/test_package.py",
    "make web": "tests/integration/test_image.py",
    "docker build": "tests/integration/test_image.py",
    "docker run": "tests/integration/test_image.py",
    "./configure": "tests/integration/test_upstream_nginx.py",
    "make modules": "tests/integration/test_upstream_nginx.py",
}
# What everybody who runs these tests has run.
RUN_BEFORE = {"./test.sh", "make format", "demo/install_packages.sh"}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_that_take_minutes_are_run(document):
    for words in long_commands(document):
        if {words[0], " ".join(words[:2])} & RUN_BEFORE:
            continue
        quoted = ", ".join(f'"{word}"' for word in words[:2])
        if words[0] == "./configure":
            quoted = '"./configure"'
        runner = SOURCE / RUN_BY[quoted.replace('", "', " ").strip('"')]
        assert f"shown({quoted})" in runner.read_text(), words


def plugin_of(document):
    """The plug-in that a document shows."""
    return re.findall(r"^```c\n(.*?)^```$", document.read_text(),
                      re.DOTALL | re.MULTILINE)[0]


@pytest.fixture
def served(nginx):
    """An nginx that serves what the commands ask for; returns its port."""
    nginx.write_file("conf/input.txt", "3 9 1 5 3\n")
    nginx.write_conf(
        modules=("ngx_http_count_module", "ngx_profiler_module"),
        main="profiler on;",
        http=f"count_plugin v1 {ALGORITHMS}/libsort_v1.so;",
        server="location = /count { count; count_sort v1; "
               "count_input input.txt; } "
               "location /debug/pprof/ { profiler_endpoint; }")
    return nginx.start().port


K6 = (os.environ.get("K6") or shutil.which("k6")
      or shutil.which("k6", path=str(Path.home() / "go" / "bin")))
# The Japanese README has the same commands.
GO = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
RUN_HERE = [document for document in DOCUMENTS if document != JAPANESE
            and any(word == "" for word, _ in shell_blocks(document))]
# What a command needs that the test's packages do not have.
MAY_LACK = {"k6 run": K6, "go tool": GO}


@pytest.mark.parametrize("document", RUN_HERE, ids=lambda path: path.name)
def test_commands_run(document, served, nginx, tmp_path):
    """All that need neither a cluster nor minutes, with this test's port and
    seconds instead of minutes, in a folder that has what the sources have."""
    for path in SOURCE.iterdir():
        if path.name not in (".git", "build"):
            (tmp_path / path.name).symlink_to(path)
    (tmp_path / "build").symlink_to(BUILD)
    (tmp_path / "mine.c").write_text(
        plugin_of(SOURCE / "docs" / "plugin-abi.md"))
    blocks = [commands for word, commands in shell_blocks(document)
              if word == ""]
    for commands in blocks + console_lines(document):
        if any(name in commands and tool is None
               for name, tool in MAY_LACK.items()):
            continue
        for shown, real in (
                (r"127\.0\.0\.1:8080", f"127.0.0.1:{served}"),
                (r"seconds=10\b", "seconds=1"),
                (r"^go\b", GO or "go"),
                (r"DURATION=5m", "P95=60000 DURATION=1s"),
                (r"\bk6 run", f"{K6} run --quiet --no-usage-report"),
                (r"build/apt\.log", f"{tmp_path}/apt.log"),
                (r"^nginx -t", f"nginx -t -c {nginx.conf} -p {nginx.prefix}/"),
                (r"^make", f"make -C {SOURCE} "
                           f"BUILD={BUILD.relative_to(SOURCE)}")):
            commands = re.sub(shown, real, commands, flags=re.MULTILINE)
        done = subprocess.run(
            ["bash", "-euc", commands], cwd=tmp_path,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=300, check=False,
            env={"PPROF_TMPDIR": str(tmp_path),
                 **{name: value for name, value in os.environ.items()
                    if not name.startswith("MAKE")}})
        assert done.returncode == 0, f"{commands}\n{done.stdout.decode()}"


@functools.lru_cache(maxsize=None)
def targets_of_make():
    """Names of the targets that the Makefile has."""
    database = subprocess.run(
        ["make", "-C", SOURCE, "--no-print-directory", "-qp"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, timeout=120, check=False)
    return set(re.findall(r"^([\w-]+):", database.stdout.decode(), re.M))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_in_sentences_are_there(document):
    """Targets of make, benchmarks and options of our scripts."""
    text = document.read_text()
    assert "deb" in targets_of_make()
    for target, variables in re.findall(r"`make ([\w-]+)([^`]*)`", text):
        assert target in targets_of_make(), target
        for benchmark in re.findall(r"BENCH=(\w+)", variables):
            assert (SOURCE / "bench" / benchmark).is_file(), benchmark
    for script, options in re.findall(r"`[^`]*\./(\w+\.sh)( --[\w-]+)?`", text):
        assert options.strip() in (SOURCE / script).read_text()


@pytest.mark.parametrize("readme", readme_figures.READMES,
                         ids=lambda path: path.name)
def test_figures_are_ones_that_the_demo_printed(readme):
    summary = json.loads(readme_figures.KEPT.read_text())
    assert readme_figures.shown(readme) == readme_figures.block(summary)


@pytest.mark.parametrize("readme", readme_figures.READMES,
                         ids=lambda path: path.name)
def test_expected_results_are_the_demos(readme):
    """The short table says what the kept summary does, rounded."""
    summary = json.loads(readme_figures.KEPT.read_text())
    rows = re.findall(r"^\|[^|]*\|([^|]*\d (?:%|ms)) \|([^|]*\d (?:%|ms)) \|$",
                      readme.read_text(), re.MULTILINE)
    shown = [[float(re.findall(r"[\d.]+", cell)[-1]) for cell in row]
             for row in rows]
    versions = [summary["versions"][v] for v in ("v1", "v2")]
    largest = [max(f[v]["share"] for f in summary["functions"])
               for v in ("v1", "v2")]
    measured = [[100 * share for share in largest],
                [v["cpu_ms_per_request"] for v in versions],
                [v["latency_ms"]["p50"] for v in versions],
                [v["latency_ms"]["p99"] for v in versions]]
    assert len(shown) == len(measured)
    for pair, exact in zip(shown, measured):
        assert pair == pytest.approx(exact, rel=0.02)


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


@pytest.mark.parametrize("document", PLUGINS, ids=lambda path: path.name)
def test_example_plugin_compiles(document, tmp_path):
    subprocess.run(
        ["gcc", "-x", "c", "-std=c11", "-Wall", "-Werror", "-shared", "-fPIC",
         "-Wno-unused-parameter", f"-I{SOURCE / 'algorithms'}",
         "-o", tmp_path / "mine.so", "-"],
        input=plugin_of(document).encode(), check=True)


def test_example_plugin_sorts(nginx, tmp_path):
    """The one that is to be written in twenty lines does what it says."""
    source = plugin_of(SOURCE / "docs" / "plugin-abi.md")
    assert len(source.splitlines()) <= 22
    subprocess.run(
        ["gcc", "-x", "c", "-shared", "-fPIC", f"-I{SOURCE / 'algorithms'}",
         "-o", nginx.prefix / "libsort_v4.so", "-"], input=source.encode(),
        check=True)
    nginx.write_conf(
        http=f"count_plugin v4 {nginx.prefix}/libsort_v4.so; count_sort v4;",
        server="location = /count { count; }")
    nginx.start()
    answer = nginx.post("/count", "5 -1 9 3 3 0 7").json()
    assert answer.pop("sort_ns") > 0
    assert answer == {"algorithm": "shell", "version": "4.0.0", "count": 7,
                      "distinct": 6, "min": -1, "max": 9, "median": 3}


def test_every_directive_is_documented():
    """What the modules accept is what docs/directives.md explains."""
    sources = [SOURCE / "ngx_http_count_module.c",
               *SOURCE.glob("profiler/nginx/*.c")]
    accepted = {name for source in sources for name in re.findall(
        r'^\s*\{\s*ngx_string\("((?:count|profiler)[a-z_]*)"\),$',
        source.read_text(), re.MULTILINE)}
    text = (SOURCE / "docs" / "directives.md").read_text()
    explained = set(re.findall(r"^### ([a-z_]+)$", text, re.MULTILINE))
    assert accepted == explained
    for readme in readme_figures.READMES:
        table = re.findall(r"^\| `([a-z_]+)[ `].*$", readme.read_text(), re.M)
        assert set(table) >= accepted


@functools.lru_cache(maxsize=None)
def functions():
    """Names of the functions that the profiler's sources define, and of the
    members of its interface."""
    text = "".join(path.read_text()
                   for path in SOURCE.glob("profiler/**/*.[ch]"))
    return {own or member for own, member in re.findall(
        r"^([a-z]\w+)\(|\(\*(\w+)\)\(", text, re.MULTILINE)}


@pytest.mark.parametrize("document", [
    SOURCE / "docs" / "architecture.md", SOURCE / "docs" / "security.md"],
    ids=lambda path: path.name)
def test_functions_that_are_named_are_there(document):
    """`name()`: a function of ours or of the C library; `name_*()`: several;
    `x.name()`: a member. And the files that are named."""
    text = document.read_text()
    c_library = ctypes.CDLL(None)
    named = set(re.findall(r"`(?:\w+\.)?(\w+\*?)\(\)`", text))
    assert named
    for name in named:
        assert fnmatch.filter(functions(), name) or hasattr(c_library, name), \
            name
    for name in re.findall(r"`(?:\w+/)*(\w+\.[ch])`", text):
        assert list(SOURCE.glob(f"*/**/{name}")), name


def directives():
    """(name, contexts, example, all that is said of it) of each directive."""
    text = (SOURCE / "docs" / "directives.md").read_text()
    found = []
    for section in re.split(r"^### ", text, flags=re.MULTILINE)[1:]:
        facts = dict(re.findall(r"^    (\w+): +(.*)$", section, re.MULTILINE))
        found.append((section.split()[0], facts["Context"].split(", "),
                      facts.get("Example", ""), section))
    return found


@pytest.mark.parametrize("name, contexts, example_of_it, section",
                         [pytest.param(*directive, id=directive[0])
                          for directive in directives()])
def test_example_of_a_directive(nginx, name, contexts, example_of_it, section):
    """nginx takes it in each of its contexts, and what fails is said."""
    assert example_of_it.startswith(name) and "Failure:" in section
    for shown, real in (("/usr/lib/nginx/count-plugins", ALGORITHMS),
                        ("/etc/nginx/input/", f"{nginx.prefix}/")):
        example_of_it = example_of_it.replace(shown, str(real))
    plugin = ("" if name == "count_plugin" else
              f"count_plugin v1 {ALGORITHMS}/libsort_v1.so;")
    sort = "" if name == "count_sort" else "count_sort v1;"
    for context in contexts:
        at = {context: example_of_it}
        nginx.write_conf(
            modules=("ngx_http_count_module", "ngx_profiler_module"),
            main=at.get("main", ""),
            http=f"{plugin} {sort} {at.get('http', '')}",
            server=f"{at.get('server', '')} "
                   f"location /x/ {{ {at.get('location', '')} }}")
        status, output = nginx.test_conf()
        assert status == 0, output


TROUBLE = SOURCE / "docs" / "troubleshooting.md"


def symptoms():
    """The cells of each row of its tables."""
    rows = re.findall(r"^\|(.*)\|$", TROUBLE.read_text(), re.MULTILINE)
    cells = [[cell.strip() for cell in row.split(" | ")] for row in rows]
    return [row for row in cells if not re.match(r"-+\||symptom$", row[0])]


def test_each_symptom_shows_somewhere():
    assert len(symptoms()) > 50
    for row in symptoms():
        assert len(row) == 3 and all(row), row


def status_fields():
    """What docs/troubleshooting.md says to look at in status."""
    return sorted({name for _, where, _ in symptoms()
                   for name in re.findall(r"`([a-z_]+\.[a-z_.*]+)`", where)})


def test_fields_to_look_at_are_there(nginx):
    nginx.write_conf(
        modules=("ngx_profiler_module",),
        main="profiler on; profiler_types cpu wall stall heap; "
             "profiler_upload pyroscope http://127.0.0.1:1;",
        server="location /debug/pprof/ { profiler_endpoint; } "
               "location /traced { profiler_trace on; return 204; }")
    nginx.start()
    status = nginx.get("/debug/pprof/status").json()
    assert len(status_fields()) > 40
    for name in status_fields():
        value = status
        for part in name.split("."):
            if isinstance(value, list):
                value = value[0]
            assert part == "*" or part in value, name
            value = next(iter(value.values())) if part == "*" else value[part]
