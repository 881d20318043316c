"""What a result was measured on, and how quiet it was.

The calibration loop is the same work everywhere: a figure of one machine can
be read on another by the ratio of their loops, and a loop that takes longer
after the runs than before them, or whose ten runs differ, tells of a machine
that was busy with something else.
"""

import os
import platform
import re
import shutil
import statistics
import subprocess


class CannotMeasure(Exception):
    """What a benchmark needs is missing or broken; the text says what."""


def describe(build):
    """The machine and the programs that are measured, by name."""
    facts = {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "virtual": "hypervisor" in _cpuinfo("flags"),
        "kernel": platform.release(),
        "libc": os.confstr("CS_GNU_LIBC_VERSION"),
        "compiler": _first_line([os.environ.get("CC", "gcc"), "--version"]),
        "nginx": _first_line([nginx_program(), "-v"]),
    }
    go = os.path.join(build, "bench", "go-count")
    if os.path.exists(go):
        facts["go"] = _first_line([go, "-version"])
    return facts


def nginx_program():
    """The nginx that the modules were built for."""
    return os.environ.get("NGINX", "/usr/sbin/nginx")


def calibrate(build):
    """Runs the calibration loop ten times; nanoseconds per iteration."""
    program = os.path.join(build, "bench", "calibration_loop")
    runs = [float(line) for line in _output([program]).split()]
    return {
        "best_ns": min(runs),
        "median_ns": statistics.median(runs),
        "worst_ns": max(runs),
        "load_average": os.getloadavg()[0],
    }


def print_machine(facts):
    """One line per fact."""
    for name, value in facts.items():
        print(f"{name:>12}: {value}")


def print_calibration(when, loop):
    """One line; the median of a quiet machine is within 2 % of the best."""
    excess = loop["median_ns"] / loop["best_ns"] - 1
    quiet = "quiet" if excess < 0.02 else "NOT quiet"
    print(
        f'calibration {when}: best of ten {loop["best_ns"]:.3f} ns, '
        f'median +{excess:.1%}, load {loop["load_average"]:.2f}: {quiet}'
    )


def cores_for_server_and_client():
    """Two sets of cores: the server has one for itself where there are two."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) == 1:
        return set(cores), set(cores)
    return {cores[-1]}, set(cores[:-1])


def program_named(name, package):
    """The path of a program; CannotMeasure names the package that has it."""
    path = shutil.which(name)
    if path is None:
        raise CannotMeasure(f"{name} is missing: apt-get install {package}")
    return path


def _cpuinfo(field):
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        found = re.search(rf"^{field}\s*:\s*(.*)$", info.read(), re.M)
    return found.group(1) if found else ""


def _cpu_model():
    return _cpuinfo("model name") or platform.machine()


def _output(command):
    try:
        done = subprocess.run(
            command,
            check=True,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise CannotMeasure(f"{command[0]}: {error}") from error
    return done.stdout


def _first_line(command):
    return _output(command).partition("\n")[0]
