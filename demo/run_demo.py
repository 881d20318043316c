"""The demo: bubble sort against the C library's sort, swapped under load.

Run by demo.sh, which has installed and built what this needs. Starts nginx
with v1, finds a rate that v1 can bear, puts that load on it, takes a CPU
profile over HTTP, swaps to v2 by an edit and a reload while the load goes on,
takes another, and compares. All that it starts it also stops, however it
ends; --serve keeps nginx.

Writes v1.cpu.pb.gz, v2.cpu.pb.gz, summary.json and, where the build has the
page, report.html, which compares the two, into the folder --out. Exits
with 1 if anything failed, a request was lost or wrong, or a profile has fewer
than 200 samples.
"""

import argparse
import concurrent.futures
import json
import math
import os
import random
import signal
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import comparison_table
import load_generators
import pprof_reader
import report_page
import version_comparison
from answer_probe import AnswerProbe
from demo_nginx import PROFILER_RATE, DemoNginx, NginxError, cpu_seconds

NUMBERS = 3000
SEED = 20240229
MIN_SAMPLES = 200

# Share of a core that v1 is given. Well below 1: requests come evenly, but
# other work on the machine must not make v1's queue grow.
V1_UTILIZATION = 0.5

# Seconds. v2 gets as long as it needs for its samples, within bounds.
V1_WINDOW = 10
V2_WINDOW = (20, 60)
SETTLE = 1.0
LOAD_START = 30.0

# How many more samples than needed v2's window is planned for.
SAMPLES_MARGIN = 1.5


class DemoError(Exception):
    """The demo can't go on, or its result is not what was promised."""


class Progress:
    """Lines that say what happens, with the time since the start. On a
    terminal the last one counts down while a window is measured."""

    def __init__(self):
        self._start = time.monotonic()
        self._live = sys.stdout.isatty()

    def line(self, text):
        print(f"[{time.monotonic() - self._start:5.1f} s] {text}", flush=True)

    def wait(self, until, text):
        """Sleeps until a time of time.monotonic()."""
        if not self._live:
            self.line(text)
        while (left := until - time.monotonic()) > 0:
            if self._live:
                elapsed = time.monotonic() - self._start
                print(f"\r[{elapsed:5.1f} s] {text}, {left:3.0f} s left ",
                      end="", flush=True)
            time.sleep(min(left, 0.5))
        if self._live:
            print("\r\033[K", end="")
            self.line(text)


class Plan:
    """The rate and the windows, from the CPU seconds that one request of each
    version was seen to need."""

    def __init__(self, v1_cpu, v2_cpu):
        self.period_ms = _out_of_step(
            max(4, math.ceil(1e3 * v1_cpu / V1_UTILIZATION)))
        samples_per_second = v2_cpu * 1e3 / self.period_ms * PROFILER_RATE
        wanted = math.ceil(MIN_SAMPLES * SAMPLES_MARGIN / samples_per_second)
        self.v1_window = _environment_number("WINDOW_V1", V1_WINDOW)
        self.v2_window = _environment_number(
            "WINDOW_V2", min(max(wanted, V2_WINDOW[0]), V2_WINDOW[1]))

    @property
    def rate(self):
        return 1e3 / self.period_ms

    @property
    def load_seconds(self):
        """All that happens under load, and a little for the swap and slow
        starts."""
        return self.v1_window + self.v2_window + 4 * SETTLE + 5


class Demo:
    """One run. run() does it all; close() stops what runs."""

    def __init__(self, build, folder, port):
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.progress = Progress()
        self.page = build / "web" / "page.html"
        self.nginx = DemoNginx(build, self.folder, port)
        source = random.Random(SEED)
        self.numbers = [source.randint(-2**63, 2**63 - 1)
                        for _ in range(NUMBERS)]
        self.probe = AnswerProbe(port, self.numbers)
        self.load = None
        self.decoder = None

    def run(self):
        """The whole demo. What went wrong under load is raised after the
        table, which shows it."""
        for name in ("v1.cpu.pb.gz", "v2.cpu.pb.gz", "summary.json",
                     "report.html"):
            (self.folder / name).unlink(missing_ok=True)
        generator, program = load_generators.choose(
            os.environ.get("LOAD", "auto"))
        self.decoder = pprof_reader.generate_decoder(self.folder / "decoder")
        self._start_nginx()
        plan = self._plan()
        self.load = generator(
            program, self.folder, f"{self.nginx.url}/count", plan.period_ms,
            plan.load_seconds, NUMBERS)
        summary, problems = self._measure_both(plan)
        self._write(summary)
        problems += self._too_few_samples(summary)
        if problems:
            raise DemoError("\n      ".join(problems[:20]))

    def close(self, keep_nginx=False):
        """Stops the load, the probe and, unless it is to stay, nginx."""
        if self.load is not None:
            self.load.stop()
        self.probe.stop()
        if not keep_nginx:
            self.nginx.stop()

    # stages

    def _start_nginx(self):
        self.nginx.prepare(self.numbers)
        self.nginx.start()
        self.progress.line(f"nginx serves {self.nginx.url}/count with v1 "
                           f"(worker {self.nginx.worker()})")

    def _plan(self):
        costs = [self._cost_of_request()]
        for old, new in (("v1", "v2"), ("v2", "v1")):
            self.nginx.swap(old, new)
            self.nginx.wait_for_old()
            if new == "v2":
                costs.append(self._cost_of_request())
        plan = Plan(*costs)
        self.progress.line(
            f"one request alone takes {1e3 * costs[0]:.2f} ms of CPU with v1, "
            f"{1e3 * costs[1]:.2f} ms with v2")
        return plan

    def _cost_of_request(self):
        """CPU seconds of the worker for one request, nothing else running."""
        for _ in range(5):
            self.probe.ask()
        worker = self.nginx.worker()
        before, made = cpu_seconds(worker), self.probe.made
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            self.probe.ask()
        if self.probe.failures:
            raise DemoError(self.probe.failures[0])
        return (cpu_seconds(worker) - before) / (self.probe.made - made)

    def _measure_both(self, plan):
        self.progress.line(f"load: {plan.rate:.1f} requests/s by "
                           f"{self.load.name} for both versions")
        self._start_load()
        v1 = self._measure("v1", plan.v1_window)
        swapped = time.time()
        self._swap()
        time.sleep(SETTLE)
        v2 = self._measure("v2", plan.v2_window)
        if not self.load.running():
            raise DemoError(f"the load ended too early, see {self.load.log}")
        self.progress.line("waiting for the load to end")
        result = self.load.finish()
        self.probe.stop()
        return (self._summary(v1, v2, result, swapped),
                self._load_problems(result))

    def _start_load(self):
        """Returns once the load runs: k6 needs seconds on a slow machine."""
        started = time.time()
        self.load.start()
        end = time.monotonic() + LOAD_START
        while not self.nginx.answered(since=started):
            if not self.load.running() or time.monotonic() > end:
                raise DemoError(f"no load, see {self.load.log}")
            time.sleep(0.05)
        self.probe.start()
        time.sleep(SETTLE)

    def _swap(self):
        start = time.monotonic()
        old = self.nginx.worker()
        self.nginx.swap("v1", "v2")
        self.nginx.wait_for_old()
        self.progress.line(
            f"swapped to v2 under load: count_sort edited, nginx -s reload, "
            f"worker {old} -> {self.nginx.worker()}, "
            f"{1e3 * (time.monotonic() - start):.0f} ms")

    def _measure(self, name, seconds):
        """Profiles the worker for so long; a dict of what was measured, the
        requests of the load generator aside."""
        answer = self.probe.ask()
        worker = self.nginx.worker()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            started, cpu = time.time(), cpu_seconds(worker)
            due = time.monotonic() + seconds
            fetched = pool.submit(self._fetch_profile, seconds)
            self.progress.wait(due, f"{name}: CPU profile of {seconds:g} s")
            cpu = cpu_seconds(worker) - cpu
            length = time.time() - started
            data = fetched.result()
        if self.nginx.worker() != worker:
            raise DemoError(f"worker {worker} was replaced, see "
                            f"{self.nginx.error_log}")
        (self.folder / f"{name}.cpu.pb.gz").write_bytes(data)
        return {
            "started": started, "seconds": length, "cpu_seconds": cpu,
            "served": self.nginx.answered(started, started + length, worker),
            "profile": pprof_reader.CpuProfile(self.decoder, data),
            "algorithm": answer.get("algorithm", "?"),
            "version": answer.get("version", "?"),
        }

    def _fetch_profile(self, seconds):
        url = f"{self.nginx.url}/debug/pprof/profile?seconds={seconds:g}"
        try:
            with urllib.request.urlopen(url, timeout=seconds + 30) as reply:
                return reply.read()
        except (urllib.error.URLError, OSError) as reason:
            raise DemoError(f"no profile from {url}: {reason}") from None

    # results

    def _load_problems(self, result):
        problems = list(self.probe.failures)
        if result.failed:
            problems.append(f"{result.failed} of {result.planned} requests "
                            f"failed, see {self.load.log}")
        if result.complaint:
            problems.append(result.complaint)
        if self.probe.versions != ["1.0.0", "2.0.0"]:
            problems.append("answers came from versions "
                            f"{self.probe.versions}, not from 1.0.0 and then "
                            "2.0.0")
        return problems + self.nginx.trouble()

    @staticmethod
    def _too_few_samples(summary):
        return [f"the profile of {name} has {version['samples']} samples, "
                f"fewer than {MIN_SAMPLES}"
                for name, version in summary["versions"].items()
                if version["samples"] < MIN_SAMPLES]

    def _summary(self, v1, v2, result, swapped):
        measured = {}
        for name, raw in (("v1", v1), ("v2", v2)):
            end = raw["started"] + raw["seconds"]
            measured[name] = version_comparison.Measurement(
                requests=[r for r in result.requests
                          if raw["started"] <= r.start < end], **raw)
        versions = {
            name: version_comparison.figures(
                m, _short_path(self.folder / f"{name}.cpu.pb.gz"))
            for name, m in measured.items()}
        in_windows = sum(v["errors"] for v in versions.values())
        return {
            "load": {
                "generator": self.load.name,
                "numbers": NUMBERS,
                "requests": result.planned,
                "requests_per_second": round(1e3 / self.load.period_ms, 2),
                "failed": result.failed,
                "answers_checked": self.probe.made,
            },
            "swap": {
                "after_requests":
                    sum(r.start < swapped for r in result.requests),
                "lost": result.failed - in_windows,
            },
            "profiler_rate": PROFILER_RATE,
            "versions": versions,
            "functions": version_comparison.functions(measured["v1"],
                                                      measured["v2"]),
        }

    def _write(self, summary):
        path = self.folder / "summary.json"
        path.write_text(json.dumps(summary, indent=2) + "\n")
        print(f"\n{comparison_table.render(summary)}")
        written = ["v1.cpu.pb.gz", "v2.cpu.pb.gz", "summary.json"]
        if self._write_report(summary):
            written.append("report.html")
        print("Written:")
        for name in written:
            print(f"  {_short_path(self.folder / name)}")

    def _write_report(self, summary):
        """Whether report.html could be written."""
        profiles = [{
            "title": f"{name} {version['algorithm']} {version['version']}",
            "file": f"{name}.cpu.pb.gz",
            "requests": version["served"],
            "data": (self.folder / f"{name}.cpu.pb.gz").read_bytes(),
        } for name, version in summary["versions"].items()]
        report = self.folder / "report.html"
        try:
            report_page.write(self.page, report, profiles)
        except report_page.NoPage as reason:
            report.unlink(missing_ok=True)
            print(f"NOTE: no report.html, {reason}\n")
            return False
        print(f"Compare both in a browser:\n  file://{report}\n")
        return True


def _out_of_step(period_ms):
    """The next whole number of milliseconds that shares no factor with the
    kernel's tick of 4 or 10 ms. CPU timers fire at ticks: requests in step
    with those would all be sampled at the same place."""
    while math.gcd(period_ms, 20) != 1:
        period_ms += 1
    return period_ms


def _environment_number(name, fallback):
    text = os.environ.get(name, "")
    if not text:
        return fallback
    try:
        value = int(text)
    except ValueError:
        value = 0
    if not 0 < value <= 300:
        raise DemoError(f"{name} must be 1 to 300 seconds, not {text}")
    return value


def _short_path(path):
    """Relative to the current folder where that is shorter to type."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


def _arguments():
    parser = argparse.ArgumentParser(prog="demo.sh")
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--serve", action="store_true")
    parser.add_argument("--stop", action="store_true")
    return parser.parse_args()


def _stop_left_over(demo):
    pid = demo.nginx.master()
    if pid is None:
        print("no nginx of the demo runs")
        return 0
    demo.nginx.stop()
    print(f"stopped nginx {pid}")
    return 0


def _keep(demo):
    page = (f"  {demo.nginx.url}/debug/pprof/ui\n" if demo.page.exists()
            else "")
    print(f"\nnginx (pid {demo.nginx.master()}) goes on with v2 on "
          f"{demo.nginx.url}/count\n"
          f"  go tool pprof '{demo.nginx.url}/debug/pprof/profile?seconds=10'"
          f"\n{page}Stop it with: ./demo.sh --stop")


def _run(demo, serve):
    """Runs the demo; returns the exit status."""
    pid = demo.nginx.master()
    if pid is not None:
        print(f"demo: nginx {pid} of an earlier run is still there; stop it "
              f"with ./demo.sh --stop", file=sys.stderr)
        return 1
    done = False
    try:
        demo.run()
        done = True
    except (DemoError, NginxError, load_generators.LoadError,
            pprof_reader.ProfileError, OSError) as reason:
        print(f"\ndemo: {reason}", file=sys.stderr)
    except KeyboardInterrupt:
        print("\ndemo: interrupted", file=sys.stderr)
    finally:
        demo.close(keep_nginx=serve and done)
    if done and serve:
        _keep(demo)
    return 0 if done else 1


def main():
    def terminate(*_):
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, terminate)
    signal.signal(signal.SIGHUP, terminate)
    arguments = _arguments()
    demo = Demo(arguments.build.resolve(), arguments.out.resolve(),
                arguments.port)
    if arguments.stop:
        return _stop_left_over(demo)
    return _run(demo, arguments.serve)


if __name__ == "__main__":
    sys.exit(main())
