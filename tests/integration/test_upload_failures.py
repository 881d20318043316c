"""Back ends that fail in every way: what is counted, said, retried and dropped,
and that stopping never takes longer than it may.

The uploader's driver stands for a worker; test_upload_nginx.py has nginx.
"""

import os
import shutil
import socket
import tempfile
import time

import pytest

from nginx_instance import free_port, threads
from upload_driver import DRIVER, Driver
from upload_receiver import Receiver

# Profiles in a period of the driver, and in a queue.
PERIOD = 3
QUEUE = 16

FAST = {"DD_PROFILING_UPLOAD_TIMEOUT": "300ms"}


def warnings(driver):
    driver.status()
    return [text for weight, text in driver.notices if weight == 1]


def stops_in_time(driver):
    """Of the time that it gets, the thread uses half. A worker's exit gives it
    less, but this machine may have other work, too."""
    stopped, ms, _ = driver.stop(4000)
    assert ms < 4000
    return stopped


# nobody there

def test_refused_connection():
    with Driver(f"datadog=http://127.0.0.1:{free_port()}") as driver:
        driver.period()
        first = driver.wait(lambda t: t["retried"] >= 2, "two failures")
        assert first["state"] == "fails"
        assert (first["sent"], first["refused"], first["dropped"]) == (0, 0, 0)
        assert first["queued"] == PERIOD
        said = warnings(driver)
        assert len(said) == 1 and "can't be uploaded to http://127.0.0.1" in said[0]
        assert "onnect" in said[0], said
        assert stops_in_time(driver)


def test_socket_that_is_not_there(tmp_path):
    with Driver(f"datadog=unix:{tmp_path}/none") as driver:
        driver.period()
        driver.wait(lambda t: t["retried"] >= 1, "a failure")
        assert len(warnings(driver)) == 1
        assert stops_in_time(driver)


def test_socket_without_permission():
    """The driver runs as somebody who may not write to it."""
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chmod(folder, 0o755)
        driver_file = shutil.copy(DRIVER, folder)
        with Receiver(path=f"{folder}/apm.socket") as receiver:
            os.chmod(receiver.path, 0o700)
            with Driver(f"datadog={receiver.url}", user=65534,
                        program=driver_file) as driver:
                driver.period()
                driver.wait(lambda t: t["retried"] >= 1, "a failure")
                assert len(warnings(driver)) == 1
                assert stops_in_time(driver)
        assert receiver.connections == 0


def test_name_that_is_never_found():
    """The resolver hangs: neither the next period nor stopping waits."""
    with Driver("datadog=http://agent.example:8126", HANG_DNS="1",
                **FAST) as driver:
        driver.period()
        driver.wait(lambda t: t["retried"] >= 1, "a failure")
        driver.period()
        assert "resolve" in warnings(driver)[0].lower()
        assert stops_in_time(driver)
    with Driver("datadog=http://agent.example:8126", HANG_DNS="1") as driver:
        driver.period()
        # in the middle of the attempt, which waits for the name for seconds
        time.sleep(1)
        assert stops_in_time(driver)


# somebody who behaves badly

@pytest.mark.parametrize("behave", ["hang", "close", "drip"])
def test_no_answer(behave):
    with Receiver(behave) as receiver, Driver(
            f"datadog={receiver.url}", **FAST) as driver:
        driver.period()
        first = driver.wait(lambda t: t["retried"] >= 2, "two failures")
        assert first["state"] == "fails" and first["sent"] == 0
        assert len(warnings(driver)) == 1
        assert stops_in_time(driver)


def test_never_accepted():
    """The connection is the kernel's; nobody accepts it."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        port = listener.getsockname()[1]
        with Driver(f"datadog=http://127.0.0.1:{port}", **FAST) as driver:
            driver.period()
            driver.wait(lambda t: t["retried"] >= 1, "a failure")
            assert stops_in_time(driver)


@pytest.mark.parametrize("behave", ["hang", "slow", "drip"])
def test_stop_while_it_hangs(behave):
    """With the usual timeout of ten seconds: stopping cuts it short, and says
    what was lost."""
    with Receiver(behave) as receiver, Driver(
            f"datadog={receiver.url}") as driver:
        driver.period()
        receiver.wait(1)
        assert driver.status()[0]["queued"] == PERIOD
        stopped, ms, dropped = driver.stop(4000)
        assert stopped and ms < 4000
        assert dropped == PERIOD


@pytest.mark.parametrize("behave", ["slow", "huge", "headers"])
def test_answer_without_end(behave):
    """The status counts, the rest is read for some time and some bytes."""
    with Receiver(behave) as receiver, Driver(
            f"datadog={receiver.url}",
            DD_PROFILING_UPLOAD_TIMEOUT="1s") as driver:
        driver.period()
        driver.wait(lambda t: t["sent"] == PERIOD, "all sent")
        assert stops_in_time(driver)
    assert len(receiver.requests) >= PERIOD


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 429])
def test_refused_profile_is_not_retried(status):
    with Receiver(status) as receiver, Driver(
            f"datadog={receiver.url}") as driver:
        driver.period()
        first = driver.wait(lambda t: t["refused"] == PERIOD, "all refused")
        assert first["http_status"] == status and first["state"] == "fails"
        assert (first["retried"], first["dropped"], first["queued"]) == (0,) * 3
        assert warnings(driver) == [
            f"profiles can't be uploaded to {receiver.url}/profiling/v1/input"
            f" (HTTP status {status})"]
        assert len(receiver.requests) == PERIOD


def test_refused_before_it_is_sent():
    """413 comes at once, and the rest of the profile, more than any socket holds,
    is read by nobody: it is refused, which is not tried again."""
    with Receiver("early") as receiver, Driver(
            f"datadog={receiver.url}") as driver:
        driver.large(15 << 20)
        first = driver.wait(lambda t: (t["refused"] or t["retried"])
                            and t["queued"] == 0, "an answer")
        assert (first["refused"], first["retried"]) == (1, 0)
        assert first["http_status"] == 413
        driver.large(1000)
        driver.wait(lambda t: t["refused"] == 2, "the next one")
        assert receiver.connections == 2
        assert len(warnings(driver)) == 1
        assert stops_in_time(driver)


def test_redirect_is_not_followed():
    with Receiver("redirect") as receiver, Driver(
            f"datadog={receiver.url}") as driver:
        driver.period()
        driver.wait(lambda t: t["refused"] == PERIOD, "all refused")
        assert {r.path for r in receiver.requests} == {"/profiling/v1/input"}


def test_server_error_is_retried_and_given_up():
    """It may be the profile's fault, so the next one gets its turn."""
    with Receiver(500) as receiver, Driver(
            f"datadog={receiver.url}") as driver:
        driver.period()
        first = driver.wait(lambda t: t["dropped"] >= 1, "one given up")
        assert first["http_status"] == 500 and first["sent"] == 0
        assert first["retried"] >= 2
        assert len(warnings(driver)) == 1


# it passes

def test_recovers():
    """One line when it fails, one when it works again, and nothing is lost."""
    port = free_port()
    with Driver(f"datadog=http://127.0.0.1:{port}") as driver:
        driver.period()
        driver.wait(lambda t: t["retried"] >= 1, "a failure")
        with Receiver(port=port) as receiver:
            receiver.uploads(PERIOD)
            first = driver.wait(lambda t: t["sent"] == PERIOD, "all sent")
            assert first["state"] == "works" and first["queued"] == 0
            assert ([weight for weight, _ in driver.notices] == [1, 0])
            assert "again" in driver.notices[1][1]
            assert driver.stop()[0]


def test_pauses_grow():
    """Of some seconds not many tries: each pause is up to twice the last."""
    with Driver(f"datadog=http://127.0.0.1:{free_port()}") as driver:
        start = time.monotonic()
        driver.period()
        first = driver.wait(lambda t: t["retried"] >= 4, "four failures")
        # pauses of at least 0.5, 1 and 2 seconds
        assert time.monotonic() - start > 3.4
        assert first["queued"] == PERIOD


def test_queue_is_bounded_and_drops_the_oldest():
    with Receiver("hang") as receiver, Driver(
            f"datadog={receiver.url}") as driver:
        driver.period(10)
        receiver.wait(1)
        first = driver.wait(
            lambda t: t["dropped"] >= 30 - QUEUE - 1, "dropped")
        assert first["dropped"] + first["queued"] == 30
        assert first["queued"] <= QUEUE + 1
        assert stops_in_time(driver)


def test_one_that_hangs_does_not_hold_up_another():
    with Receiver("hang") as hangs, Receiver() as works, Driver(
            f"datadog={hangs.url}", f"datadog={works.url}",
            f"pyroscope=http://127.0.0.1:{free_port()}") as driver:
        driver.period(2)
        works.uploads(2 * PERIOD)
        states = [t["state"] for t in driver.status()]
        assert states[1] == "works" and states[0] != "works"
        assert stops_in_time(driver)


# the end

@pytest.mark.parametrize("behave", [200, "late"])
def test_last_profiles_are_sent_at_the_end(behave):
    with Receiver(behave) as receiver, Driver(
            f"datadog={receiver.url}") as driver:
        driver.period()
        stopped, _, dropped = driver.stop(20000)
        assert stopped and dropped == 0
        receiver.uploads(PERIOD)


def test_last_profiles_are_sent_at_the_same_time():
    """One after the other, those of an agent that takes its time would not fit
    into what an exit may take."""
    with Receiver("together") as receiver, Driver(
            f"datadog={receiver.url}") as driver:
        driver.period()
        stopped, _, dropped = driver.stop(20000)
        assert stopped and dropped == 0
        receiver.uploads(PERIOD)


@pytest.mark.parametrize("behave", [200, "late", "hang"])
def test_what_an_exit_has_no_time_for_is_counted(behave):
    """In the time that a worker has: what does not arrive is said to be
    missing, and no more than that."""
    with Receiver(behave) as receiver, Driver(
            f"datadog={receiver.url}") as driver:
        driver.period()
        stopped, ms, dropped = driver.stop(200)
        # 200 are the bound; the rest is what else the machine does, which may
        # let the thread not end by then: that is said, too
        assert ms < 5000
        assert dropped <= PERIOD
        if stopped:
            assert PERIOD - len(receiver.requests) <= dropped


def test_stop_before_anything_was_sent():
    with Receiver() as receiver, Driver(f"datadog={receiver.url}") as driver:
        assert "nprof-upload" not in threads(driver.pid).values()
        assert driver.stop()[0]
    assert receiver.connections == 0


def test_thread_takes_no_signals():
    """Those of the server are for its main thread."""
    with Receiver() as receiver, Driver(f"datadog={receiver.url}") as driver:
        driver.period()
        receiver.wait(1)
        tid = next(t for t, name in threads(driver.pid).items()
                   if name == "nprof-upload")
        with open(f"/proc/{driver.pid}/task/{tid}/status") as status:
            blocked = next(int(line.split()[1], 16) for line in status
                           if line.startswith("SigBlk"))
        for number in (1, 2, 13, 14, 15, 17):
            assert blocked >> (number - 1) & 1
