"""Asks /count a few times a second and looks at every field of the answer.

The load generators see status codes, and k6 that an answer is plausible; this
knows what is right. It runs in a thread of its own from start() to stop(),
through the swap, and notes which version answered.
"""

import http.client
import json
import threading
import time

PERIOD = 0.25  # seconds


class AnswerProbe:
    """One server's /count; numbers: the list of int that it sorts.

    made      requests so far
    failures  what was wrong, in words; empty as it should be
    versions  the versions that answered, in order, each once in a row
    """

    def __init__(self, port, numbers):
        ordered = sorted(numbers)
        self._expected = {
            "count": len(ordered), "distinct": len(set(ordered)),
            "min": ordered[0], "max": ordered[-1],
            "median": ordered[(len(ordered) - 1) // 2],
        }
        self._port = port
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.made = 0
        self.failures = []
        self.versions = []

    def ask(self):
        """One request, from any thread; the answer as a dict. What is wrong
        with it goes to `failures`."""
        self.made += 1
        try:
            answer = self._get()
        except (OSError, ValueError, http.client.HTTPException) as reason:
            self.failures.append(f"/count failed: {reason!r}")
            return {}
        wrong = {k: answer.get(k) for k, v in self._expected.items()
                 if answer.get(k) != v}
        if wrong:
            self.failures.append(
                f"/count is wrong: {wrong}, expected {self._expected}")
        version = answer.get("version")
        if self.versions[-1:] != [version]:
            self.versions.append(version)
        return answer

    def _get(self):
        connection = http.client.HTTPConnection("127.0.0.1", self._port,
                                                timeout=10)
        try:
            connection.request("GET", "/count")
            response = connection.getresponse()
            body = response.read()
        finally:
            connection.close()
        if response.status != 200:
            raise ValueError(f"status {response.status}: {body[:200]!r}")
        return json.loads(body)

    def start(self):
        self.versions.clear()
        self._thread.start()

    def stop(self):
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self):
        due = time.monotonic()
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            self.ask()
            due = max(due + PERIOD, time.monotonic())
