"""What tests load into nginx to trouble the profiler: compiled here, once for
each test, from tests/plugins.
"""

import os
import subprocess

from nginx_instance import BUILD, PATIENCE, SOURCE

PROFILER = ("ngx_http_count_module", "ngx_profiler_module")
ENDPOINT = "location /debug/pprof/ { profiler_endpoint; }"

PLUGINS = SOURCE / "tests" / "plugins"

# tests/plugins/hostile_plugin.cc, enum hostile
(THROW, SWAP, RESOLVE, SPAWN, ALTSTACK, LEAST_ALTSTACK, SIGPROF,
 LOCK) = range(8)


def _compile(compiler, source, output, *options):
    subprocess.run(
        [*compiler, "-O1", "-g", "-shared", "-fPIC", *options, "-o", output,
         PLUGINS / source], check=True)
    output.chmod(0o755)
    return output


def compile_c(source, output, *options):
    """A shared object from a C file of tests/plugins; its path."""
    return _compile([os.environ.get("CC", "gcc"), "-std=gnu11"], source,
                    output, f"-I{SOURCE / 'algorithms'}", *options)


def compile_cxx(source, output, *options):
    """A shared object from a C++ file of tests/plugins; its path."""
    return _compile([os.environ.get("CXX", "g++"), "-std=c++17",
                     "-fno-gnu-unique"], source, output,
                    f"-I{SOURCE / 'algorithms'}", *options)


def build_hostile_plugin(folder):
    """hostile_plugin.so and the two libraries that it loads by turns."""
    for name, frame in (("swapped_a", 64), ("swapped_b", 1024)):
        compile_c("swapped_library.c", folder / f"lib{name}.so",
                  f"-DSWAPPED={name}", f"-DSWAPPED_FRAME={frame}")
    return compile_cxx("hostile_plugin.cc", folder / "hostile.so")


def build_neighbour_module(folder):
    """A C++ module of nginx, built with the headers that ours are."""
    nginx = BUILD / "nginx"
    folders = ["objs", *(f"src/{name}" for name in (
        "core", "event", "event/modules", "os/unix", "http", "http/modules",
        "http/v2"))]
    return compile_cxx("ngx_http_neighbour_module.cc",
                       folder / "ngx_http_neighbour_module.so",
                       *(f"-I{nginx / name}" for name in folders))


def status(nginx):
    return nginx.get("/debug/pprof/status").json()


def trouble(nginx, what, milliseconds=1000, path="/hostile"):
    """Has the hostile plug-in do something for a time; it must succeed."""
    answer = nginx.post(path, f"{what} {milliseconds}",
                        timeout=PATIENCE + milliseconds / 1000)
    assert answer.status == 200 and answer.json()["min"] == what, answer
