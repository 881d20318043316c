"""The uploader without nginx: build/upload/upload_driver, which makes up
profiles of a period and sends them. tests/upload/upload_driver.c says how.
"""

import json
import os
import subprocess

from nginx_instance import BUILD, wait_until

DRIVER = BUILD / "upload" / "upload_driver"


class Driver:
    """Runs the driver, as that user if one is given; targets as on its command
    line, environment has what is added to ours, from which all DD_* are
    removed."""

    def __init__(self, *targets, user=None, program=DRIVER,
                 **environment):
        clean = {name: value for name, value in os.environ.items()
                 if not name.startswith("DD_")}
        self._process = subprocess.Popen(
            [program, *targets], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env={**clean, **environment}, text=True, user=user)
        self.message = self._answer()["message"]
        self.notices = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()

    @property
    def pid(self):
        return self._process.pid

    def _answer(self):
        return json.loads(self._process.stdout.readline())

    def _ask(self, command):
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        return self._answer()

    def period(self, n=1):
        for _ in range(n):
            self._ask("period")

    def large(self, size):
        """One item of that many bytes instead of a period's profiles."""
        self._ask(f"large {size}")

    def status(self):
        """The list of destinations; adds to self.notices."""
        answer = self._ask("status")
        self.notices += answer["notices"]
        return answer["uploads"]

    def wait(self, condition, what, timeout=60):
        """Waits until condition(first destination) holds; returns that."""
        def look():
            first = self.status()[0]
            return first if condition(first) else None
        return wait_until(look, what, timeout, interval=0.02)

    def stop(self, ms=200):
        """(joined in time, milliseconds that it took, profiles that were
        dropped); the driver exits, and has to do so by itself."""
        answer = self._ask(f"stop {ms}")
        assert self._process.wait(60) == 0
        return answer["stopped"], answer["ms"], answer["dropped"]
