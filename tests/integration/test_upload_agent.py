"""Profiles as Datadog's own double of its Agent takes them."""

import pytest

from datadog_test_agent import TestAgent
from nginx_instance import wait_until
from upload_driver import Driver
from upload_receiver import DatadogUpload

PATH = "/profiling/v1/input"


@pytest.fixture(scope="module")
def agent(tmp_path_factory):
    missing = TestAgent.install()
    if missing:
        pytest.skip(f"SKIPPED: {missing}: uploads go to our own receiver only")
    with TestAgent(tmp_path_factory.mktemp("agent")) as running:
        yield running


def test_profiles_of_two_versions(agent):
    with Driver("datadog", DD_SERVICE="app", DD_ENV="test",
                DD_TRACE_AGENT_URL=agent.url) as driver:
        driver.period(2)
        driver.wait(lambda t: t["sent"] == 6, "all sent")
        assert [weight for weight, _ in driver.notices] == [0]
    found = {}
    for request in wait_until(
            lambda: (agent.requests(PATH) if len(agent.requests(PATH)) >= 6
                     else None), "uploads at the agent"):
        upload = DatadogUpload(request)
        upload.profile.check_any()
        assert upload.tags["service"] == "app"
        assert upload.tags["env"] == "test"
        found.setdefault(upload.tags.get("version"), []).append(upload)
    assert {v: len(u) for v, u in found.items()} == {
        "1.0.0": 2, "2.0.0": 2, None: 2}
    for same in found.values():
        assert [u.tags["profile_seq"] for u in same] == ["0", "1"]
    assert (found["1.0.0"][0].tags["runtime-id"]
            != found["2.0.0"][0].tags["runtime-id"])
