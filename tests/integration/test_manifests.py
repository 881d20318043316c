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


def containers(things):
    """(pod, container) of all that is in Deployments."""
    return [(template["spec"], container)
            for thing, template in manifest_checks.pod_templates(things)
            if thing["kind"] == "Deployment"
            for container in template["spec"]["containers"]]


FIELDS = {
    "DD_SERVICE": "metadata.labels['tags.datadoghq.com/service']",
    "DD_ENV": "metadata.labels['tags.datadoghq.com/env']",
    "DD_VERSION": "metadata.labels['tags.datadoghq.com/version']",
    "DD_AGENT_HOST": "status.hostIP",
}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_variables_are_fields_of_the_pod(overlay):
    """Each from the one that Datadog's own admission controller takes; nothing
    else is."""
    for _, container in containers(rendered(overlay)):
        for variable in container.get("env", []):
            field = variable.get("valueFrom", {}).get("fieldRef", {})
            assert field.get("fieldPath") == FIELDS.get(variable["name"])


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_probes_ask_what_the_image_answers(overlay):
    """All three of nginx, by the port that it has; nginx.conf has the place."""
    conf = (SOURCE / "container" / "nginx.conf").read_text()
    servers = [c for _, c in containers(rendered(overlay))
               if c["name"] == "nginx"]
    assert servers
    for container in servers:
        ports = {port["name"]: port["containerPort"]
                 for port in container["ports"]}
        for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
            asks = container[kind]["httpGet"]
            assert f"location = {asks['path']} {{" in conf
            assert asks["path"] == "/healthz"
            assert f"listen {ports[asks['port']]};" in conf


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_pods_end_when_nginx_has_drained(overlay):
    """preStop until no Service sends any more; then nginx has all the time
    that its workers may take, before it is killed."""
    conf = (SOURCE / "container" / "nginx.conf").read_text()
    drains = int(re.search(r"worker_shutdown_timeout (\d+)s;", conf)[1])
    stop = re.search(r"^STOPSIGNAL (\w+)$",
                     (SOURCE / "Dockerfile.nginx").read_text(), re.MULTILINE)
    assert stop[1] == "SIGQUIT"
    for pod, container in containers(rendered(overlay)):
        if container["name"] == "nginx":
            command = container["lifecycle"]["preStop"]["exec"]["command"]
            assert command[0] == "sleep" and int(command[1]) > 0
            assert pod["terminationGracePeriodSeconds"] \
                > int(command[1]) + drains


@pytest.mark.parametrize("path", RENDERED, ids=lambda path: path.stem)
def test_containers_are_bounded(path):
    """What they ask for and may take; no root file system to write to, no
    token; an image that is here is not fetched."""
    for _, template in manifest_checks.pod_templates(objects(path)):
        pod = template["spec"]
        assert pod["automountServiceAccountToken"] is False
        for container in pod["containers"]:
            resources = container["resources"]
            assert resources["requests"].keys() == {"cpu", "memory"}
            assert resources["limits"].keys() == {"memory"}
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert container["imagePullPolicy"] == "IfNotPresent"
            assert re.search(r":\d+\.\d+\.\d+$", container["image"])


def test_reloader_can_signal_nginx():
    """It sees nginx's processes and the file with the pid, is the same user,
    and is of the same image."""
    found = containers(rendered("reload"))
    pod = found[0][0]
    nginx, reloader = (container for _, container in found)
    assert (nginx["name"], reloader["name"]) == ("nginx", "reloader")
    assert pod["shareProcessNamespace"] is True
    assert nginx["image"] == reloader["image"]
    assert "runAsUser" in pod["securityContext"]
    assert not any("runAsUser" in c["securityContext"]
                   for c in (nginx, reloader))
    script, folder, pid = reloader["command"]
    name = script.rpartition("/")[2]
    assert f"COPY container/{name} {script}\n" \
        in (SOURCE / "Dockerfile.nginx").read_text()
    assert f"pid {pid};" in re.sub(
        r"\s+", " ", (SOURCE / "container" / "nginx.conf").read_text())
    shared = {m["mountPath"]: m["name"] for m in nginx["volumeMounts"]}
    assert {m["mountPath"]: m["name"]
            for m in reloader["volumeMounts"]}.items() <= shared.items()
    assert {folder, pid.rpartition("/")[0]} <= shared.keys()


def test_one_version_of_the_image():
    """All that build, run or deploy it say the same."""
    images = {container["image"] for overlay in OVERLAYS
              for _, container in containers(rendered(overlay))}
    assert len(images) == 1
    for name in ("README.md", "README.ja.md"):
        named = set(re.findall(r"nginx-count-profiler:[\w.]+",
                               (SOURCE / name).read_text()))
        assert named == images


def test_agent_is_where_the_pods_look():
    apm = objects(DATADOG_AGENT)[0]["spec"]["features"]["apm"]
    assert apm["enabled"] and apm["hostPortConfig"] == {
        "enabled": True, "hostPort": 8126}
    url = variables(rendered("v1-v2-socket"), "app-v1")["DD_TRACE_AGENT_URL"]
    assert url["value"] == "unix://" + apm["unixDomainSocketConfig"]["path"]
    credentials = objects(DATADOG_AGENT)[0]["spec"]["global"]["credentials"]
    assert credentials["apiSecret"] == {"secretName": "datadog-secret",
                                        "keyName": "api-key"}


@pytest.mark.parametrize("name", ["README.md", "README.ja.md"])
def test_the_patch_for_minikube_is_of_fields_that_there_are(name):
    patch = re.search(r"kubectl patch datadogagent datadog .*\\\n"
                      r" +--patch '(.*)'", (SOURCE / name).read_text())[1]
    agent = one(objects(DATADOG_AGENT), "DatadogAgent", "datadog")
    kubelet = json.loads(patch)["spec"]["global"]
    agent["spec"]["global"].update(kubelet)
    assert manifest_checks.datadog_complaints([agent]) == []
    assert kubelet == {"kubelet": {"tlsVerify": False}}


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
