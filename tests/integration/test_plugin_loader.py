"""What `nginx -t` says of plug-ins that can't be loaded, and what happens to
those that are replaced while they are in use."""

import contextlib
import os
import re
import signal
import time

import pytest

from nginx_instance import (ALGORITHMS, alive, fds, maps, memory, steady,
                            threads, wait_until)


def conf_for(nginx, path):
    nginx.write_conf(
        http=f"count_plugin test {path};",
        server="location / { count; count_sort test; }"
               "location = /static { return 200 static; }")


def refusal(nginx, path):
    """What nginx -t says."""
    conf_for(nginx, path)
    nginx.expect_log(r"\[emerg\] .*count_plugin|\[emerg\] .*plug-in")
    status, output = nginx.test_conf()
    assert status == 1, output
    assert "[emerg]" in output
    assert f'plug-in "test": "{path}": ' in output
    assert re.search(r"in .*nginx\.conf:\d+", output)
    return output


def test_file_missing(nginx):
    output = refusal(nginx, nginx.prefix / "nonesuch.so")
    assert "stat() failed (2: No such file or directory)" in output


def test_folder_missing(nginx):
    output = refusal(nginx, nginx.prefix / "no" / "folder.so")
    assert "No such file or directory" in output


def test_not_an_elf(nginx):
    path = nginx.write_file("text.so", "this is no shared object\n" * 100)
    assert "dlopen() failed (invalid ELF header)" in refusal(nginx, path)


def test_empty_file(nginx):
    path = nginx.write_file("empty.so", "")
    assert "dlopen() failed (file too short)" in refusal(nginx, path)


def test_cut_file(nginx):
    whole = (ALGORITHMS / "libsort_v1.so").read_bytes()
    path = nginx.write_file("cut.so", whole[:100])
    assert "dlopen() failed" in refusal(nginx, path)


def test_directory(nginx):
    (nginx.prefix / "folder.so").mkdir()
    output = refusal(nginx, nginx.prefix / "folder.so")
    assert "is not a regular file" in output


def test_fifo(nginx):
    os.mkfifo(nginx.prefix / "fifo.so")
    assert "is not a regular file" in refusal(nginx, nginx.prefix / "fifo.so")


@pytest.mark.parametrize("macros, cause", [
    ({"PLUGIN_SYMBOL": "other"}, 'symbol "sort_plugin" is missing'),
    ({"PLUGIN_ABI": "7"}, 'symbol "sort_plugin": ABI number is 7 instead of'),
    ({"PLUGIN_SIZE": "8"}, 'symbol "sort_plugin": size is 8 instead of 32'),
    ({"PLUGIN_SORT": "0"}, 'symbol "sort_plugin": sort is NULL'),
    ({"PLUGIN_NAME": "0"}, 'symbol "sort_plugin": name is NULL'),
    ({"PLUGIN_VERSION": "0"}, 'symbol "sort_plugin": version is NULL'),
])
def test_bad_descriptor(nginx, compile_plugin, macros, cause):
    path = compile_plugin(nginx.prefix / "bad.so", **macros)
    assert cause in refusal(nginx, path)


def test_missing_library_of_a_plugin(nginx):
    source = nginx.write_file("x.c", "extern int nonesuch(void);"
                                     "int f(void) { return nonesuch(); }")
    path = nginx.prefix / "undefined.so"
    assert os.system(f"gcc -shared -fPIC -o {path} {source}") == 0
    assert "dlopen() failed (undefined symbol: nonesuch)" in refusal(nginx,
                                                                     path)


def test_reload_with_a_bad_plugin_changes_nothing(nginx, compile_plugin):
    path = compile_plugin(nginx.prefix / "p.so")
    conf_for(nginx, path)
    nginx.start()
    worker = nginx.worker
    compile_plugin(path, PLUGIN_ABI="7")
    nginx.expect_log(r"\[emerg\] .*ABI number is 7")
    nginx.signal(1)
    nginx.wait_log("ABI number is 7")
    assert nginx.post("/", "2 1").json()["version"] == "1"
    assert nginx.worker == worker


def test_relative_path_is_that_of_the_prefix(nginx, compile_plugin):
    compile_plugin(nginx.prefix / "p.so")
    conf_for(nginx, "p.so")
    nginx.start()
    assert nginx.post("/", "2 1").json()["algorithm"] == "test"


def test_names_are_escaped(nginx, compile_plugin):
    compile_plugin(nginx.prefix / "p.so", PLUGIN_NAME=r'"a\"b\\c\n"')
    conf_for(nginx, "p.so")
    nginx.start()
    assert nginx.post("/", "2 1").json()["algorithm"] == 'a"b\\c\n'


def test_long_path(nginx, compile_plugin):
    folder = nginx.prefix
    while len(str(folder)) < 3700:
        folder = folder / ("x" * 200)
    folder.mkdir(parents=True)
    conf_for(nginx, compile_plugin(folder / "p.so"))
    nginx.start()
    assert nginx.post("/", "1").json()["algorithm"] == "test"


def test_two_names_for_one_file(nginx, compile_plugin):
    path = compile_plugin(nginx.prefix / "p.so")
    (nginx.prefix / "link.so").symlink_to("p.so")
    nginx.write_conf(
        http=f"count_plugin a {path}; count_plugin b {path};"
             f"count_plugin c {nginx.prefix}/link.so;",
        server="location / { count; count_sort $arg_v; }")
    nginx.start()
    for name in "abc":
        assert nginx.post(f"/?v={name}", "1").json()["version"] == "1"
    nginx.reload(wait_for_old=True)
    assert nginx.post("/?v=c", "1").json()["version"] == "1"


# replaced files

@contextlib.contextmanager
def draining(nginx):
    """Reloads while a request holds the worker; yields a function that sends
    the rest of that request and returns the answer."""
    old = nginx.worker
    body = b"2 1"
    with nginx.connect() as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n"
                     b"Connection: close\r\n\r\n")
        time.sleep(0.1)

        def answer():
            sock.sendall(body)
            return b"".join(iter(lambda: sock.recv(65536), b""))

        yield old, answer


def test_replaced_by_rename(nginx, compile_plugin):
    path = compile_plugin(nginx.prefix / "p.so", PLUGIN_VERSION='"1"')
    conf_for(nginx, path)
    nginx.start()
    for version in range(2, 6):
        with draining(nginx) as (old, answer):
            compile_plugin(path, PLUGIN_VERSION=f'"{version}"')
            nginx.reload()
            assert nginx.post("/", "2 1").json()["version"] == str(version)
            assert alive(old)
            assert f'"version":"{version - 1}"'.encode() in answer()
        wait_until(lambda: not alive(old), "the old worker exits")


def test_symlink_that_is_switched(nginx, compile_plugin):
    compile_plugin(nginx.prefix / "1.so", PLUGIN_VERSION='"1"')
    compile_plugin(nginx.prefix / "2.so", PLUGIN_VERSION='"2"')
    link = nginx.prefix / "p.so"
    link.symlink_to("1.so")
    conf_for(nginx, link)
    nginx.start()
    for version in "2", "1", "2":
        new = nginx.prefix / "new"
        new.symlink_to(f"{version}.so")
        new.replace(link)
        nginx.reload()
        assert nginx.post("/", "2 1").json()["version"] == version


def test_maps_show_the_path_that_was_configured(nginx, compile_plugin):
    path = compile_plugin(nginx.prefix / "p.so")
    conf_for(nginx, path)
    nginx.start()
    names = {line.split()[-1] for line in maps(nginx.worker)
             if line.endswith("/p.so")}
    assert names == {str(path)}


def measure(nginx, plugin):
    """What must not grow in the master: mappings of the plug-in, all mappings,
    descriptors, threads."""
    def now():
        lines = maps(nginx.master)
        return {"plug-in": sum(plugin in line for line in lines),
                "maps": len(lines),
                "fds": len(fds(nginx.master)),
                "threads": len(threads(nginx.master))}
    return steady(now)


def test_nothing_leaks_over_refused_reloads(nginx, compile_plugin, long_run):
    """One plug-in is opened before the one that is refused."""
    good = compile_plugin(nginx.prefix / "plugin.so")
    bad = compile_plugin(nginx.prefix / "bad.so", PLUGIN_ABI="7")
    conf_for(nginx, good)
    nginx.start()
    nginx.write_conf(http=f"count_plugin test {good}; count_plugin bad {bad};")
    nginx.expect_log(r"\[emerg\] .*ABI number is 7")

    def fail_often(count):
        for _ in range(count):
            seen = nginx.error_log().count("ABI number is 7")
            nginx.signal(signal.SIGHUP)
            wait_until(
                lambda: nginx.error_log().count("ABI number is 7") > seen,
                "the configuration is refused")

    worker = nginx.worker
    fail_often(20)
    before = measure(nginx, ".so"), memory(nginx.master)["anonymous"]
    fail_often(500 if long_run else 100)
    after = measure(nginx, ".so"), memory(nginx.master)["anonymous"]

    assert after[0] == before[0]
    assert after[1] - before[1] < 128 * 1024
    assert nginx.worker == worker
    assert not any("bad.so" in line for line in maps(nginx.master))
    assert nginx.post("/", "2 1").json()["version"] == "1"


@pytest.mark.parametrize("kind", ["same", "replaced"])
def test_nothing_leaks_over_reloads(nginx, compile_plugin, long_run, kind):
    reloads = 500 if long_run else 60
    copies = [compile_plugin(nginx.prefix / f"{i}.so",
                             PLUGIN_VERSION=f'"{i}"') for i in range(2)]
    plugin = nginx.prefix / "plugin.so"
    os.link(copies[0], plugin)
    nginx.write_conf(
        http=f"count_plugin test {plugin};"
             + "".join(f"count_plugin v{p.stem} {p};"
                       for p in sorted(ALGORITHMS.glob("libsort_v?.so"))),
        server="location / { count; count_sort test; }")
    nginx.start()

    def reload_often(count):
        for i in range(count):
            if kind == "replaced":
                new = nginx.prefix / "plugin.so.new"
                new.write_bytes(copies[(i + 1) % 2].read_bytes())
                new.replace(plugin)
            nginx.reload()
        wait_until(lambda: len(nginx.workers(draining=True)) == 1,
                   "old workers exit")

    reload_often(20)
    before = measure(nginx, "plugin.so"), memory(nginx.master)["anonymous"]
    reload_often(reloads)
    after = measure(nginx, "plugin.so"), memory(nginx.master)["anonymous"]

    print(f"{reloads} reloads: {before} {after}")
    assert after[0] == before[0]
    assert after[0]["plug-in"] > 0
    # the heap may settle by some pages, but not with every reload
    assert after[1] - before[1] < 128 * 1024
