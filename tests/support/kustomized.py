"""A folder of manifests as `kubectl kustomize` lays it out, as far as deploy/kubernetes uses it.

kubectl is not on every machine that runs the tests. Where it is, a test compares the two.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

Manifest = dict[str, Any]
_KNOWN = {
    "apiVersion",
    "kind",
    "namespace",
    "resources",
    "images",
    "labels",
    "configMapGenerator",
    "generatorOptions",
}
_WITHOUT_NAMESPACE = {"Namespace"}


def rendered(folder: Path) -> list[Manifest]:
    """Return every object that the folder's Kustomization makes, by kind and name."""
    asked = yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8"))
    assert asked.keys() <= _KNOWN, f"not rendered here: {sorted(asked.keys() - _KNOWN)}"
    objects = [*_read(folder, asked["resources"]), *_config_maps(folder, asked["configMapGenerator"])]
    for found in objects:
        _place(found, asked["namespace"])
        for labels in asked["labels"]:
            _label(found, labels["pairs"])
        for image in asked["images"]:
            _tag(found, image)
    return sorted(objects, key=lambda found: (found["kind"], found["metadata"]["name"]))


def _read(folder: Path, names: list[str]) -> Iterator[Manifest]:
    for name in names:
        yield from yaml.safe_load_all((folder / name).read_text(encoding="utf-8"))


def _config_maps(folder: Path, generators: list[Manifest]) -> Iterator[Manifest]:
    for made in generators:
        data = {}
        for name in made.get("envs", []):
            lines = (folder / name).read_text(encoding="utf-8").splitlines()
            data |= dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
        for line in made.get("files", []):
            key, _, name = line.partition("=")
            data[key] = (folder / name).read_text(encoding="utf-8")
        yield {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": made["name"]}, "data": data}


def _place(found: Manifest, namespace: str) -> None:
    if found["kind"] not in _WITHOUT_NAMESPACE:
        found["metadata"]["namespace"] = namespace
    for subject in found.get("subjects", []):
        subject["namespace"] = namespace


def _label(found: Manifest, labels: dict[str, str]) -> None:
    for part in (found, found.get("spec", {}).get("template")):
        if part:
            part["metadata"]["labels"] = part["metadata"].get("labels", {}) | labels


def _tag(found: Manifest, image: dict[str, str]) -> None:
    for container in found.get("spec", {}).get("template", {}).get("spec", {}).get("containers", []):
        if container["image"] == image["name"]:
            container["image"] = f"{image['name']}:{image['newTag']}"
