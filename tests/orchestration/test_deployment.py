"""The configuration files of `deploy/`: each is read by what reads it in production."""

from __future__ import annotations

import importlib
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster._config import process_config, resolve_to_config_type
from dagster._core.instance.ref import InstanceRef
from dagster_aws.s3.compute_log_manager import S3ComputeLogManager

from margin_platform.definitions import definitions
from margin_platform.orchestration import dagster_home
from margin_platform.orchestration.run_coordinator import LaneRunCoordinator
from margin_platform.settings import settings
from resources import emr_serverless
from resources.stream_driver import StreamDriver

DEPLOY = Path(__file__).parents[2] / "deploy"
KUBERNETES = DEPLOY / "dagster-kubernetes.yaml"
COMPOSE = DEPLOY / "dagster" / "dagster.yaml"
SECRETS = ("PASSWORD", "API_KEY", "SECRET_ACCESS_KEY", "TOKEN")
ITS_OWN = {"storage", "run_launcher", "run_monitoring", "compute_logs"}


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> InstanceRef:
    """The file as Dagster reads it: its schema is checked, and a key that it does not know is refused."""
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", "postgresql+psycopg2://margin:secret@db:5432/dagster")
    monkeypatch.setenv("MARGIN_IMAGE", "registry.example/margin:1")
    monkeypatch.setenv("MARGIN_LOG_BUCKET", "margin-logs")
    shutil.copy(KUBERNETES, tmp_path / "dagster.yaml")
    return InstanceRef.from_dir(str(tmp_path))


def test_dagster_takes_the_clusters_file_and_makes_its_parts(cluster: InstanceRef) -> None:
    assert isinstance(cluster.run_coordinator, LaneRunCoordinator)
    logs = cluster.compute_log_manager
    assert isinstance(logs, S3ComputeLogManager)
    assert logs._s3_bucket == "margin-logs"  # from the environment, not the name of the variable
    assert cluster.event_storage_data.module_name.startswith("dagster_postgres")


def test_the_launcher_is_that_of_dagster_k8s(cluster: InstanceRef) -> None:
    launcher = cluster.run_launcher_data
    assert launcher is not None
    assert (launcher.module_name, launcher.class_name) == ("dagster_k8s", "K8sRunLauncher")
    assert {"job_image", "instance_config_map", "dagster_home"} <= launcher.config_dict.keys()


@pytest.mark.nightly  # the client of Kubernetes takes seconds to import
def test_the_launchers_part_is_what_dagster_k8s_asks_for(cluster: InstanceRef) -> None:
    kind = importlib.import_module("dagster_k8s").K8sRunLauncher
    assert cluster.run_launcher_data is not None
    given = cluster.run_launcher_data.config_dict
    checked = process_config(resolve_to_config_type(kind.config_type()), given)
    assert checked.success, checked.errors


def test_a_run_has_the_time_that_its_driver_may_take_to_stop(cluster: InstanceRef) -> None:
    assert cluster.run_launcher_data is not None
    pod = cluster.run_launcher_data.config_dict["run_k8s_config"]["pod_spec_config"]
    assert pod["termination_grace_period_seconds"] > StreamDriver().stop_seconds
    service = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))["services"]["daemon"]
    assert int(service["stop_grace_period"].removesuffix("s")) > StreamDriver().stop_seconds


@pytest.mark.parametrize("file", [KUBERNETES, COMPOSE], ids=["kubernetes", "compose"])
def test_a_deployment_differs_from_the_local_stack_only_where_it_says_so(file: Path, tmp_path: Path) -> None:
    dagster_home.prepare(tmp_path)
    local, there = (
        yaml.safe_load(path.read_text(encoding="utf-8")) for path in (tmp_path / "dagster.yaml", file)
    )
    stores = {"run_storage", "event_log_storage", "schedule_storage"}
    assert {k: v for k, v in local.items() if k not in ITS_OWN | stores} == {
        k: v for k, v in there.items() if k not in ITS_OWN
    }


def test_compose_launches_runs_as_the_local_stack_does(tmp_path: Path) -> None:
    dagster_home.prepare(tmp_path)
    local, there = (
        yaml.safe_load(p.read_text(encoding="utf-8")) for p in (tmp_path / "dagster.yaml", COMPOSE)
    )
    assert there["run_launcher"] == local["run_launcher"]
    jobs = {job.name for job in definitions.get_repository_def().get_all_jobs()}
    assert set(local["run_launcher"]["config"]["giving_way"]) < jobs


def read(file: Path) -> dict[str, str]:
    lines = [
        line for line in file.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")
    ]
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_emr_serverless_is_asked_for_the_streams_with_the_settings_of_the_file() -> None:
    given = read(DEPLOY / "emr-serverless.env")
    job: dict[str, Any] = emr_serverless.request([], settings(given))
    assert job["applicationId"] == given["MARGIN_EMR_APPLICATION"]
    submit = job["jobDriver"]["sparkSubmit"]
    assert submit["entryPoint"] == given["MARGIN_EMR_ENTRY_POINT"]
    for part in (
        f"--jars {given['MARGIN_SPARK_JARS']}",
        f"driverEnv.MARGIN_KAFKA={given['MARGIN_KAFKA']}",
        f"driverEnv.MARGIN_TABLES={given['MARGIN_TABLES']}",
        "spark.executor.memory=4g",
    ):
        assert part in submit["sparkSubmitParameters"]


def test_a_part_with_a_host_name_can_find_itself() -> None:
    """Spark's driver asks for the address of its own host. With the host's network nothing else knows it."""
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))["services"]
    named = {name: part["hostname"] for name, part in services.items() if "hostname" in part}
    assert named.keys() == {"code-server", "daemon", "webserver"}
    assert {name: services[name].get("extra_hosts") for name in named} == {
        name: [f"{host}:127.0.0.1"] for name, host in named.items()
    }


def test_prepare_writes_every_file_that_the_settings_and_the_containers_ask_for(tmp_path: Path) -> None:
    target = tmp_path / "margin"
    subprocess.run([DEPLOY / "prepare", target], check=True)
    asked = {name for name, value in read(target / "settings.env").items() if name.endswith("_FILE")}
    assert {"MARGIN_KAFKA_PASSWORD_FILE", "AWS_SECRET_ACCESS_KEY_FILE"} <= asked
    for name in asked:
        file = target / "program" / Path(read(target / "settings.env")[name]).name
        assert file.read_text(encoding="utf-8"), name
    text = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    folders = re.findall(r"\$\{MARGIN_DEPLOY\}/(\w+):/etc/margin:ro", text)
    assert set(folders) == {path.name for path in target.iterdir() if path.is_dir()}
    secrets = [path for path in target.rglob("*") if path.is_file()]
    assert [path for path in secrets if path.stat().st_mode & 0o077] == []  # for their owner alone
    again = subprocess.run([DEPLOY / "prepare", target], capture_output=True, text=True)
    assert (again.returncode, again.stderr) == (2, f"prepare: DIR: exists already, value {target}\n")


def test_no_file_for_a_deployment_holds_a_secret() -> None:
    files = [path for path in DEPLOY.rglob("*") if path.is_file()]
    assert len(files) > 10
    for file in files:
        text = file.read_text(encoding="utf-8")
        assert not re.search(rf"(?:{'|'.join(SECRETS)})=", text), file
