"""The manifests of deploy/kubernetes, rendered: valid by Kubernetes' schemas, consistent with each other."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from dagster._core.origin import DEFAULT_DAGSTER_ENTRY_POINT

from margin_platform import __version__
from margin_platform.settings import settings
from tests.support.kustomized import Manifest, rendered

FOLDER = Path(__file__).parents[2] / "deploy" / "kubernetes"
KUSTOMIZATION = yaml.safe_load((FOLDER / "kustomization.yaml").read_text(encoding="utf-8"))
VERSION = "1.34"
# made by the operator, who alone has what is in them: docs/deployment.md
SECRETS = {"margin-secrets", "margin-files"}
OBJECTS = rendered(FOLDER)
PODS = [found for found in OBJECTS if found["kind"] in ("Deployment", "Job")]
EXECUTOR = yaml.safe_load((FOLDER / "executor-pod.yaml").read_text(encoding="utf-8"))
LAUNCHER = yaml.safe_load((FOLDER.parent / "dagster-kubernetes.yaml").read_text(encoding="utf-8"))[
    "run_launcher"
]
SPECS = {owner["metadata"]["name"]: owner["spec"]["template"]["spec"] for owner in PODS}
SPECS["executor"] = EXECUTOR["spec"]
each_pod = pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)


def _of(kind: str) -> list[Manifest]:
    return [found for found in OBJECTS if found["kind"] == kind]


def _template(owner: Manifest) -> Manifest:
    template: Manifest = owner["spec"]["template"]
    return template


@pytest.mark.parametrize("found", OBJECTS, ids=lambda f: f"{f['kind']}-{f['metadata']['name']}")
def test_an_object_is_one_by_the_schema_of_kubernetes(found: Manifest) -> None:
    kubernetes_validate.validate(found, VERSION, strict=True)


@pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not installed")
def test_kubectl_renders_the_same_objects() -> None:
    command = ["kubectl", "kustomize", "--load-restrictor", "LoadRestrictionsNone", str(FOLDER)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    by_name = sorted(yaml.safe_load_all(ran.stdout), key=lambda f: (f["kind"], f["metadata"]["name"]))
    assert by_name == OBJECTS


def test_every_image_is_of_this_version() -> None:
    names = set(re.findall(r"margin-platform:[^\s\"']+", yaml.safe_dump_all(OBJECTS)))
    assert names == {f"margin-platform:{__version__}"}


def test_the_template_of_an_executor_is_a_pod_by_the_schema_of_kubernetes() -> None:
    kubernetes_validate.validate(EXECUTOR, VERSION, strict=True)


def test_a_field_that_kubernetes_does_not_know_would_be_found() -> None:
    wrong = {**PODS[0], "spec": {**PODS[0]["spec"], "replica": 2}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSION, strict=True)


def test_every_file_of_the_folder_is_used() -> None:
    generated = [line for made in KUSTOMIZATION["configMapGenerator"] for line in made.get("files", [])]
    named = {*KUSTOMIZATION["resources"], *(line.partition("=")[2] for line in generated), "settings.env"}
    for name in named:
        assert (FOLDER / name).is_file()
    assert {path.name for path in FOLDER.iterdir()} - {"kustomization.yaml"} == {
        n for n in named if "/" not in n
    }


@each_pod
def test_a_pod_is_unprivileged_and_has_a_root_that_cannot_be_written(spec: Manifest) -> None:
    assert spec["securityContext"]["runAsNonRoot"]
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in spec["containers"]:
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"]
        assert not context["allowPrivilegeEscalation"]
        assert context["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.parametrize("owner", PODS, ids=lambda found: found["metadata"]["name"])
def test_a_pod_is_bounded_and_a_lasting_one_is_probed(owner: Manifest) -> None:
    for container in _template(owner)["spec"]["containers"]:
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"]
        if owner["kind"] == "Deployment":
            assert {"startupProbe", "readinessProbe", "livenessProbe"} <= container.keys()


@each_pod
def test_no_pod_gets_the_variables_of_services(spec: Manifest) -> None:
    """The service margin-dashboard would set MARGIN_DASHBOARD_PORT, which is a setting, to tcp://ADDRESS:8050."""
    assert spec["enableServiceLinks"] is False


def test_no_pod_of_a_run_gets_the_variables_of_services() -> None:
    assert LAUNCHER["config"]["run_k8s_config"]["pod_spec_config"]["enable_service_links"] is False


def _named(value: Any, key: str) -> Iterator[str]:
    """Yield the names that references of a kind hold anywhere in a value."""
    if isinstance(value, dict):
        if key in value:
            found = value[key]
            yield found["name"] if "name" in found else found.get("secretName") or found["claimName"]
        for part in value.values():
            yield from _named(part, key)
    elif isinstance(value, list):
        for part in value:
            yield from _named(part, key)


@each_pod
def test_what_a_pod_refers_to_exists(spec: Manifest) -> None:
    maps = {made["name"] for made in KUSTOMIZATION["configMapGenerator"]}
    assert {*_named(spec, "configMapRef"), *_named(spec, "configMap")} <= maps
    assert {*_named(spec, "secretRef"), *_named(spec, "secret")} <= SECRETS
    claims = {found["metadata"]["name"] for found in _of("PersistentVolumeClaim")}
    assert set(_named(spec, "persistentVolumeClaim")) <= claims
    assert spec["serviceAccountName"] in {found["metadata"]["name"] for found in _of("ServiceAccount")}
    volumes = {volume["name"] for volume in spec["volumes"]}
    assert {m["name"] for container in spec["containers"] for m in container["volumeMounts"]} == volumes


def test_what_a_run_and_its_executors_refer_to_exists() -> None:
    run = LAUNCHER["config"]["run_k8s_config"]
    volumes = {volume["name"]: volume for volume in run["pod_spec_config"]["volumes"]}
    mounts = {mount["name"]: mount["mount_path"] for mount in run["container_config"]["volume_mounts"]}
    assert mounts.keys() == volumes.keys()
    made = next(
        m for m in _of("ConfigMap") if m["metadata"]["name"] == volumes["spark"]["config_map"]["name"]
    )
    lines = [line.split() for line in made["data"]["spark-defaults.conf"].splitlines() if line[:1] != "#"]
    assert {"name": "SPARK_CONF_DIR", "value": mounts["spark"]} in run["container_config"]["env"]
    template = Path(dict(lines)["spark.kubernetes.executor.podTemplateFile"])
    assert (str(template.parent), template.name in made["data"]) == (mounts["spark"], True)


def test_the_parts_that_load_dagsters_launcher_have_a_token_and_the_page_has_none() -> None:
    tokens = {
        f["metadata"]["name"]: f.get("automountServiceAccountToken", True) for f in _of("ServiceAccount")
    }
    found = {name: tokens[spec["serviceAccountName"]] for name, spec in SPECS.items()}
    without = {"margin-dashboard", "executor"}
    assert found == {name: name not in without for name in SPECS}


def test_a_budget_leaves_a_pod_that_may_be_moved() -> None:
    """One that asks for every replica would block each drain of its node."""
    replicas = {f["metadata"]["name"]: f["spec"]["replicas"] for f in _of("Deployment")}
    for found in _of("PodDisruptionBudget"):
        assert found["spec"]["minAvailable"] < replicas[found["metadata"]["name"]]


def test_executors_reach_each_other_and_the_driver_reaches_them() -> None:
    ours = {"matchLabels": {"spark-role": "executor"}}
    [policy] = [f for f in _of("NetworkPolicy") if f["spec"]["podSelector"] == ours]
    [rule] = policy["spec"]["ingress"]
    assert rule["from"] == [
        {"podSelector": {"matchLabels": {"dagster/job": "streams"}}},
        {"podSelector": ours},
    ]


def test_selectors_of_services_budgets_and_policies_find_their_pods() -> None:
    names = {_template(owner)["metadata"]["labels"]["app.kubernetes.io/name"] for owner in PODS}
    deployments = {f["metadata"]["name"] for f in _of("Deployment")}
    for owner in _of("Deployment"):
        assert (
            owner["spec"]["selector"]["matchLabels"].items() <= _template(owner)["metadata"]["labels"].items()
        )
    for found in _of("Service"):
        assert found["spec"]["selector"]["app.kubernetes.io/name"] in deployments
    for found in _of("PodDisruptionBudget"):
        assert found["spec"]["selector"]["matchLabels"]["app.kubernetes.io/name"] in deployments
    for found in _of("NetworkPolicy"):
        label = found["spec"]["podSelector"].get("matchLabels", {}).get("app.kubernetes.io/name")
        assert label is None or label in names


def test_the_image_knows_every_role_and_the_settings_are_settings() -> None:
    role_file = (FOLDER.parent / "image" / "margin-role").read_text(encoding="utf-8")
    roles = {arg for owner in PODS for c in _template(owner)["spec"]["containers"] for arg in c["args"]}
    # the launcher gives a run's pod the command as arguments, and Spark an executor's the word alone
    launched = DEFAULT_DAGSTER_ENTRY_POINT[0]
    assert [role for role in {*roles, launched, "executor"} if f"\n  {role})" not in role_file] == []
    lines = (FOLDER / "settings.env").read_text(encoding="utf-8").splitlines()
    given = dict(line.split("=", 1) for line in lines)
    given |= {"MARGIN_KAFKA_PASSWORD": "x", "MARGIN_KAFKA_CA_FILE": ""}  # both are secrets
    assert settings(given).spark.master == "k8s://https://kubernetes.default.svc"
    assert settings(given).kafka.security.mechanism == "SCRAM-SHA-512"
