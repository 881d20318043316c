"""k8s/: what is rendered is what the sources say, an API server would take it
all, and what is broken is found."""

import copy
import json
import re
import shutil
import subprocess

import pytest
import yaml

import manifest_checks
from nginx_instance import SOURCE

K8S = SOURCE / "k8s"
RENDERED = sorted((K8S / "rendered").glob("*.yaml"))
OVERLAYS = [path.stem for path in RENDERED if path.stem != "load"]
DATADOG_AGENT = K8S / "datadog-agent.yaml"
SERVERS = (manifest_checks.OLDEST, manifest_checks.NEWEST)


def parsed(text):
    return [x for x in yaml.load_all(text, yaml.CSafeLoader) if x is not None]


def objects(path):
    return parsed(path.read_text())


def rendered(name):
    return objects(K8S / "rendered" / f"{name}.yaml")


def one(things, kind, name=None):
    found = [t for t in things if t["kind"] == kind
             and name in (None, t["metadata"]["name"])]
    assert len(found) == 1, (kind, name, found)
    return found[0]


def kustomize():
    """A command that renders a folder, or None."""
    if shutil.which("kubectl"):
        return ["kubectl", "kustomize"]
    return ["kustomize", "build"] if shutil.which("kustomize") else None


def render(folder):
    if kustomize() is None:
        pytest.skip("neither kubectl nor kustomize is here")
    done = subprocess.run([*kustomize(), folder], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return parsed(done.stdout)


@pytest.mark.parametrize("path", RENDERED, ids=lambda path: path.stem)
def test_rendered_is_what_kustomize_makes(path):
    folder = K8S / "overlays" / path.stem
    assert render(folder if folder.exists() else K8S / path.stem) \
        == objects(path), "run `make manifests`"


def test_all_is_rendered():
    names = {path.stem for path in RENDERED}
    overlays = {path.name for path in (K8S / "overlays").iterdir()}
    assert names == overlays | {"load"}


@pytest.mark.parametrize("server", SERVERS)
def test_schemas_take_it_all(server):
    things = [thing for path in [*RENDERED, DATADOG_AGENT]
              for thing in objects(path)]
    assert manifest_checks.schema_complaints(things, server) == []
    assert manifest_checks.datadog_complaints(things) == []


@pytest.mark.parametrize("path", RENDERED, ids=lambda path: path.stem)
def test_nothing_dangles(path):
    things = objects(path)
    if path.stem == "load":
        assert one(things, "ConfigMap")["metadata"]["name"] == "k6-script"
    assert manifest_checks.reference_complaints(things) == []


@pytest.mark.parametrize("path", RENDERED, ids=lambda path: path.stem)
def test_pod_security_restricted(path):
    """All but the Agent's socket, which is a folder of the host."""
    complaints = manifest_checks.restricted_complaints(objects(path))
    if path.stem == "v1-v2-socket":
        complaints = [c for c in complaints
                      if not c.endswith("volume of kind hostPath")]
    assert complaints == []


def without_field(things):
    spec = one(things, "Deployment", "app-v1")["spec"]["template"]["spec"]
    spec["containers"][0]["readinesProbe"] = \
        spec["containers"][0].pop("readinessProbe")


def wrong_type(things):
    one(things, "Deployment", "app-v1")["spec"]["replicas"] = "one"


def no_image_name(things):
    spec = one(things, "Deployment", "app-v2")["spec"]["template"]["spec"]
    del spec["containers"][0]["name"]


def beta_api(things):
    one(things, "Deployment", "app-v1")["apiVersion"] = "extensions/v1beta1"


def no_such_map(things):
    one(things, "ConfigMap", "app-input")["metadata"]["name"] = "input"


def lost_pods(things):
    spec = one(things, "Service", "app-service-v2")["spec"]
    spec["selector"]["app"] = "app-v3"


def gained_privilege(things):
    spec = one(things, "Deployment", "app-v1")["spec"]["template"]["spec"]
    del spec["containers"][0]["securityContext"]["allowPrivilegeEscalation"]


def lost_version(things):
    template = one(things, "Deployment", "app-v1")["spec"]["template"]
    del template["metadata"]["labels"]["tags.datadoghq.com/version"]


def profiling_feature(things):
    one(things, "DatadogAgent")["spec"]["features"]["profiling"] = {
        "enabled": True}


@pytest.mark.parametrize("breakage, complaint", [
    (without_field, "readinesProbe"),
    (wrong_type, "spec/replicas"),
    (no_image_name, "'name' is a required property"),
    (beta_api, "no extensions/v1beta1"),
    (no_such_map, "no ConfigMap app-input"),
    (lost_pods, "app-service-v2: no pod has its labels"),
    (gained_privilege, "app-v1/nginx: allowPrivilegeEscalation"),
    (lost_version, "DD_VERSION: no metadata.labels"),
    (profiling_feature, "spec.features.profiling: unknown field"),
])
def test_what_is_broken_is_found(breakage, complaint):
    things = copy.deepcopy(rendered("v1-v2") + objects(DATADOG_AGENT))
    breakage(things)
    others = (manifest_checks.datadog_complaints(things)
              + manifest_checks.reference_complaints(things)
              + manifest_checks.restricted_complaints(things))
    for server in SERVERS:
        complaints = manifest_checks.schema_complaints(things, server) + others
        assert [c for c in complaints if complaint in c], complaints


def variables(things, deployment):
    template = one(things, "Deployment", deployment)["spec"]["template"]
    return {x["name"]: x for x in template["spec"]["containers"][0]["env"]}


@pytest.mark.parametrize("overlay", ["v1-v2", "v1-v2-socket"])
def test_names_and_tags_of_the_demo(overlay):
    """Two Deployments and their Services on 8080, each its own version of
    service app, in its pods' labels, which DD_* are."""
    things = rendered(overlay)
    for n in "12":
        deployment = one(things, "Deployment", f"app-v{n}")
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        assert labels["app"] == f"app-v{n}"
        assert labels["tags.datadoghq.com/service"] == "app"
        assert labels["tags.datadoghq.com/version"] == f"{n}.0.0"
        service = one(things, "Service", f"app-service-v{n}")
        assert [p["port"] for p in service["spec"]["ports"]] == [8080]
        env = variables(things, f"app-v{n}")
        assert env.keys() >= {"DD_SERVICE", "DD_ENV", "DD_VERSION",
                              "DD_PROFILING_ENABLED"}
        assert ("DD_AGENT_HOST" in env) == (overlay == "v1-v2")
        assert ("DD_TRACE_AGENT_URL" in env) == (overlay != "v1-v2")


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_each_pod_finds_its_agent(overlay):
    """For profiles and traces; what makes traces is in the image's nginx.conf."""
    things = rendered(overlay)
    for deployment in things:
        if deployment["kind"] == "Deployment":
            env = variables(things, deployment["metadata"]["name"])
            assert env.keys() >= {"DD_SERVICE", "DD_ENV"}
            assert env["DD_PROFILING_ENABLED"]["value"] == "true"
            assert ("DD_AGENT_HOST" in env) != ("DD_TRACE_AGENT_URL" in env)
            assert "DD_API_KEY" not in env


def test_agent_is_where_the_pods_look():
    apm = objects(DATADOG_AGENT)[0]["spec"]["features"]["apm"]
    assert apm["enabled"] and apm["hostPortConfig"] == {
        "enabled": True, "hostPort": 8126}
    url = variables(rendered("v1-v2-socket"), "app-v1")["DD_TRACE_AGENT_URL"]
    assert url["value"] == "unix://" + apm["unixDomainSocketConfig"]["path"]
    credentials = objects(DATADOG_AGENT)[0]["spec"]["global"]["credentials"]
    assert credentials["apiSecret"] == {"secretName": "datadog-secret",
                                        "keyName": "api-key"}


def test_load_is_on_the_services():
    """Each Job's target is a Service of v1-v2, its script the one in k6/, and
    its variables are ones that the script reads."""
    script = (SOURCE / "k6" / "count_load.js").read_text()
    things = rendered("load")
    assert one(things, "ConfigMap")["data"] == {"count_load.js": script}
    known = set(re.findall(r"__ENV\.([A-Z0-9_]+)|\('([A-Z0-9_]+)',", script))
    known = {name for pair in known for name in pair if name}
    for n in "12":
        job = one(things, "Job", f"k6-load-v{n}")
        env = {x["name"]: x["value"] for x in
               job["spec"]["template"]["spec"]["containers"][0]["env"]}
        assert env.keys() <= known
        assert env["VERSION"] == f"{n}.0.0"
        host = re.match(r"http://([^:]+):8080/count$", env["TARGET"])[1]
        one(rendered("v1-v2"), "Service", host)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_budget_is_a_component(tmp_path, overlay):
    """It can be added to any overlay, where it is for all pods, and nothing
    else has it."""
    folder = tmp_path / "with-budget"
    shutil.copytree(K8S, tmp_path / "k8s")
    folder.mkdir()
    (folder / "kustomization.yaml").write_text(json.dumps({
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization", "resources": [f"../k8s/overlays/{overlay}"],
        "components": ["../k8s/components/pdb"]}))
    things = render(folder)
    wanted = one(things, "PodDisruptionBudget")["spec"]["selector"]
    assert wanted.keys() == {"matchLabels"}
    templates = manifest_checks.pod_templates(things)
    assert templates
    for _, template in templates:
        assert wanted["matchLabels"].items() \
            <= template["metadata"]["labels"].items()
    assert manifest_checks.schema_complaints(
        things, manifest_checks.NEWEST) == []
    for path in RENDERED:
        assert "PodDisruptionBudget" not in path.read_text()
