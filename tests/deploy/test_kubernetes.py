"""The Kubernetes target: the manifests against the API's schemas, and the branch in a real origin."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from mainline.deploy import kubernetes
from mainline.deploy.kubernetes import Kubernetes
from mainline.errors import ConfigError, DeployError, SupersededError
from tests import clones
from tests.clones import git
from tests.deploy.releasing import release
from tests.imports import ROOT

SOURCE = ROOT / kubernetes.SOURCE
ONE, TWO = (f"registry.example.org:5000/team/flights:v1@sha256:{digit * 64}" for digit in "12")
VERSION = "1.33"
OPERATORS = {"ServiceMonitor", "Rollout", "AnalysisTemplate"}  # kinds that the cluster's API does not bring
KUBECTL = shutil.which("kubectl")
needs_kubectl = pytest.mark.skipif(KUBECTL is None, reason="kubectl, which brings kustomize, is not here")


def documents(text: str) -> list[dict[str, Any]]:
    return [one for one in yaml.safe_load_all(text) if one]


def build(folder: Path) -> dict[str, dict[str, Any]]:
    """What kustomize makes of a folder, by kind."""
    done = subprocess.run([str(KUBECTL), "kustomize", str(folder)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "deprecated" not in done.stderr
    return {one["kind"]: one for one in documents(done.stdout)}


def validate(one: dict[str, Any]) -> None:
    if one["kind"] not in OPERATORS | {"Kustomization", "Component"}:
        kubernetes_validate.validate(one, VERSION, strict=True)


@pytest.mark.parametrize("file", sorted(SOURCE.rglob("*.yaml")), ids=lambda f: str(f.relative_to(SOURCE)))
def test_each_manifest_is_what_the_api_takes(file: Path) -> None:
    for one in documents(file.read_text()):
        validate(one)
        for resource in (*one.get("resources", ()), *one.get("components", ())):
            assert (file.parent / resource).exists(), f"{file} names {resource}"


def test_a_wrong_manifest_would_be_seen() -> None:
    one = yaml.safe_load((SOURCE / "base/deployment.yaml").read_text())
    one["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        validate(one)


def check_hardened(deployment: dict[str, Any]) -> None:
    pod = deployment["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }  # fmt: skip
        assert {"startupProbe", "readinessProbe", "livenessProbe", "resources"} <= container.keys()
        assert "memory" in container["resources"]["limits"]
    assert pod["topologySpreadConstraints"]


def test_the_base_is_hardened() -> None:
    check_hardened(yaml.safe_load((SOURCE / "base/deployment.yaml").read_text()))
    account = yaml.safe_load((SOURCE / "base/serviceaccount.yaml").read_text())
    assert account["automountServiceAccountToken"] is False


def test_selectors_meet_the_pods() -> None:
    """Of the files as they are: a selector that meets nothing is valid, and useless."""
    read = {
        one["kind"]: one for file in (SOURCE / "base").glob("*.yaml") for one in documents(file.read_text())
    }
    labels = read["Deployment"]["spec"]["template"]["metadata"]["labels"]
    ports = {p["name"]: p["containerPort"]
             for p in read["Deployment"]["spec"]["template"]["spec"]["containers"][0]["ports"]}  # fmt: skip
    assert read["Service"]["spec"]["selector"].items() <= labels.items()
    assert read["Service"]["spec"]["ports"][0]["targetPort"] in ports
    assert read["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert read["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"].items() <= labels.items()
    assert read["NetworkPolicy"]["spec"]["ingress"][0]["ports"][0]["port"] in ports.values()
    target = read["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
    assert target == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "model"}
    assert "replicas" not in read["Deployment"]["spec"]


@needs_kubectl
@pytest.mark.parametrize("stage", ["staging", "production"])
def test_what_kustomize_makes_of_the_branch(stage: str, tmp_path: Path) -> None:
    shutil.copytree(SOURCE, tmp_path / "k")
    record, _ = release(tmp_path, "v1.3.0", image=ONE)
    (tmp_path / "k" / kubernetes.FILE).write_text(kubernetes.kustomization(record, stage))
    made = build(tmp_path / "k")
    for one in made.values():
        validate(one)
        assert one["metadata"]["annotations"]["mainline.dev/release"] == "v1.3.0"
        assert one["kind"] == "Namespace" or one["metadata"]["namespace"] == f"mainline-{stage}"
    check_hardened(made["Deployment"])
    container = made["Deployment"]["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == f"registry.example.org:5000/team/flights@sha256:{'1' * 64}"
    assert made["Deployment"]["spec"]["selector"] == {"matchLabels": {"app.kubernetes.io/name": "model"}}


@needs_kubectl
def test_the_optional_components_build(tmp_path: Path) -> None:
    shutil.copytree(SOURCE, tmp_path / "k")
    file = tmp_path / "k/overlays/production/kustomization.yaml"
    text = file.read_text().replace("components: []", "components:")
    text, found = re.subn(r"(?m)^#  - (\S+)\s+#.*$", r"  - \1", text)
    assert found == 2
    file.write_text(text)
    made = build(file.parent)
    assert made.keys() >= OPERATORS
    assert made["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["kind"] == "Rollout"
    used = json.dumps(made["Rollout"]["spec"]["strategy"])
    assert made["AnalysisTemplate"]["metadata"]["name"] == "model" and '"templateName": "model"' in used


@pytest.mark.parametrize(
    "image",
    [None, "registry.example.org/team/flights:v1", "flights@sha256:12", "-x@sha256:" + "1" * 64,
     "a b@sha256:" + "1" * 64, "x@sha256:" + "1" * 64 + "\nnewTag: evil"],
)  # fmt: skip
def test_a_record_without_an_images_digest_is_refused(image: str | None, tmp_path: Path) -> None:
    record, _ = release(tmp_path, "v1.3.0")
    record = record.model_copy(update={"image": image})
    for ask in (Kubernetes("staging").plan, lambda r: Kubernetes("staging").deploy(r, {})):
        with pytest.raises(ConfigError, match="image"):
            ask(record)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "work"
    shutil.copytree(SOURCE, made / kubernetes.SOURCE)
    git(made, "init", "--quiet", "--initial-branch=main")
    clones.commit(made, "as it is")
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", "origin.git")
    git(made, "remote", "add", "origin", "../origin.git")
    git(made, "push", "--quiet", "origin", "main")
    return made


def at(root: Path, folder: Path, version: str, image: str):
    """A record of HEAD."""
    record, _ = release(folder, version, image=image)
    return record.model_copy(update={"commit": git(root, "rev-parse", "HEAD")})


def test_the_branch_follows_the_releases_and_repeats_nothing(root: Path, tmp_path: Path) -> None:
    target, origin = Kubernetes("staging", root), tmp_path / "origin.git"
    assert target.current() is None
    before = [
        git(root, "rev-parse", "HEAD"),
        git(root, "status", "--porcelain"),
        git(root, "worktree", "list"),
    ]
    first = at(root, tmp_path, "v1.0.0", ONE)
    second = at(root, tmp_path, "v1.1.0", TWO)
    assert target.deploy(first, {}).changed
    assert not target.deploy(first, {}).changed
    assert git(origin, "rev-list", "--count", "deploy/staging") == "1"
    assert target.deploy(second, {}).changed
    seen = target.current()
    assert (seen.release, seen.digest, seen.commit) == ("v1.1.0", f"sha256:{'2' * 64}", second.commit)
    assert target.deploy(first, {}).release == "v1.0.0"  # a rollback is the same path
    assert git(origin, "rev-list", "--count", "deploy/staging") == "3"
    after = [
        git(root, "rev-parse", "HEAD"),
        git(root, "status", "--porcelain"),
        git(root, "worktree", "list"),
    ]
    assert after == before
    held = git(origin, "ls-tree", "-r", "--name-only", "deploy/staging").splitlines()
    assert {"kustomization.yaml", "base/deployment.yaml", "overlays/staging/kustomization.yaml"} <= set(held)
    assert git(origin, "for-each-ref", "--format=%(refname)", "refs/heads").split() == [
        "refs/heads/deploy/staging", "refs/heads/main",
    ]  # fmt: skip


def test_the_manifests_are_those_of_the_releases_commit(root: Path, tmp_path: Path) -> None:
    """A rollback takes back the manifests too, whatever is checked out."""
    target, held = Kubernetes("production", root), f"{kubernetes.SOURCE}/base/disruption.yaml"
    first = at(root, tmp_path, "v1.0.0", ONE)
    git(root, "rm", "--quiet", held)
    clones.commit(root, "no budget")
    second = at(root, tmp_path, "v1.1.0", TWO)

    def files() -> str:
        return git(tmp_path / "origin.git", "ls-tree", "-r", "--name-only", "deploy/production")

    for record, there in ((first, True), (second, False), (first, True)):
        assert target.deploy(record, {}).changed
        assert ("base/disruption.yaml" in files()) is there


def test_a_commit_without_manifests_is_refused_before_anything_is_pushed(root: Path, tmp_path: Path) -> None:
    target = Kubernetes("staging", root)
    git(root, "rm", "--quiet", "-r", f"{kubernetes.SOURCE}/overlays/staging")
    clones.commit(root, "no overlay")
    here = at(root, tmp_path, "v1.0.0", ONE)
    elsewhere = release(tmp_path, "v1.0.0", image=ONE)[0]  # of a commit that is not here
    for record in (here, elsewhere):
        for ask in (target.plan, lambda one: target.deploy(one, {})):
            with pytest.raises(ConfigError, match="has no serving/deploy/kubernetes/overlays/staging"):
                ask(record)
    assert target.current() is None


def test_another_deployment_that_comes_between_is_not_overwritten(root: Path, tmp_path: Path) -> None:
    target = Kubernetes("staging", root)
    target.deploy(at(root, tmp_path, "v1.0.0", ONE), {})
    other = git(root, "rev-parse", "main")
    hook = root / ".git/hooks/pre-push"  # runs after we looked at the branch, before ours arrives
    hook.write_text(f"#!/bin/sh\ngit -C ../origin.git update-ref refs/heads/deploy/staging {other}\n")
    hook.chmod(0o755)
    second = at(root, tmp_path, "v1.1.0", TWO)
    with pytest.raises(SupersededError, match="deploy/staging moved on"):
        target.deploy(second, {})
    assert git(tmp_path / "origin.git", "rev-parse", "deploy/staging") == other
    with pytest.raises(DeployError, match="not one that this made"):
        target.current()
