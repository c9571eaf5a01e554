"""Rules, routes and the dashboard as files: promtool, amtool, cases of each alert, links that lead."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.imports import ROOT

HERE = ROOT / "monitoring/prometheus"
PROMTOOL = shutil.which("promtool")
AMTOOL = shutil.which("amtool")
RULES = [
    rule for group in yaml.safe_load((HERE / "rules.yml").read_text())["groups"] for rule in group["rules"]
]
ALERTS = [rule for rule in RULES if "alert" in rule]
CASES = [yaml.safe_load((HERE / name).read_text()) for name in ("rules_test.yml", "rules_days_test.yml")]
COMPOSE = yaml.safe_load((ROOT / "serving/deploy/compose/compose.yaml").read_text())
DASHBOARD = json.loads((ROOT / "monitoring/grafana/mainline.json").read_text())
PROVISIONING = ROOT / "monitoring/grafana/provisioning"
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool (Debian: prometheus) is not here")


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, cwd=HERE, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@needs_promtool
def test_prometheus_takes_its_configuration_with_the_rules() -> None:
    said = _run(str(PROMTOOL), "check", "config", "--lint=all", "--lint-fatal", "prometheus.yml")
    assert f"{len(RULES)} rules found" in said


@needs_promtool
@pytest.mark.slow
@pytest.mark.parametrize("file", ["rules_test.yml", "rules_days_test.yml"])
def test_each_alert_fires_when_it_must_and_only_then(file: str) -> None:
    _run(str(PROMTOOL), "test", "rules", file)


@pytest.mark.skipif(AMTOOL is None, reason="amtool (Debian: prometheus-alertmanager) is not here")
def test_alertmanager_takes_its_configuration_and_leads_each_severity_somewhere() -> None:
    _run(str(AMTOOL), "check-config", "alertmanager.yml")
    for severity, receiver in (("page", "page"), ("ticket", "ticket"), ("info", "nobody")):
        routed = _run(
            str(AMTOOL), "config", "routes", "test", "--config.file=alertmanager.yml", f"severity={severity}"
        )
        assert routed.strip() == receiver


def test_inhibitions_name_alerts_that_there_are() -> None:
    names = {rule["alert"] for rule in ALERTS}
    for rule in yaml.safe_load((HERE / "alertmanager.yml").read_text())["inhibit_rules"]:
        for matcher in (*rule["source_matchers"], *rule["target_matchers"]):
            for name in re.search(r'"(.*)"', matcher)[1].split("|"):
                assert any(re.fullmatch(name, alert) for alert in names), name


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_each_alert_says_what_how_much_and_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in ("page", "ticket", "info")
    notes = rule["annotations"]
    assert set(notes) == {"summary", "description", "runbook_url"}
    absent = rule["expr"].startswith("absent(")
    assert absent or re.search(r"\$value|value|\d", notes["description"]), "the number is missing"
    page, anchor = re.search(r"/blob/main/(\S+)#(\S+)$", notes["runbook_url"]).groups()
    assert anchor == rule["alert"].lower()
    assert f"\n### {rule['alert']}\n" in (ROOT / page).read_text()


def test_each_runbook_is_of_an_alert_and_says_its_severity() -> None:
    sections = re.split(r"^### ", (HERE / "README.md").read_text(), flags=re.MULTILINE)[1:]
    told = {section.split("\n")[0]: section.split("\n")[1].split(".")[0] for section in sections}
    words = {"page": "Page", "ticket": "Ticket", "info": "Information"}
    assert told == {rule["alert"]: words[rule["labels"]["severity"]] for rule in ALERTS}


def test_each_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    fires, rests = set[str](), set[str]()
    for test in (test for cases in CASES for test in cases["tests"]):
        for case in test.get("alert_rule_test", ()):
            (fires if case["exp_alerts"] else rests).add(case["alertname"])
        for case in test.get("promql_expr_test", ()):
            for pattern in re.findall(r'alertname=~?"([^"]+)"', case["expr"]):
                names = {rule["alert"] for rule in ALERTS if re.fullmatch(pattern, rule["alert"])}
                (fires if any(s["value"] for s in case["exp_samples"]) else rests).update(names)
    names = {rule["alert"] for rule in ALERTS}
    assert fires == names
    # Of the others the same case holds series for which they are silent.
    assert names - rests <= {"ModelInstanceDown", "ModelSlow", "ModelStale"}


def test_each_recorded_figure_is_used() -> None:
    text = (HERE / "rules.yml").read_text() + json.dumps(DASHBOARD)
    for name in {rule["record"] for rule in RULES if "record" in rule}:
        assert len(re.findall(rf"{re.escape(name)}\b", text)) > 1, f"nobody reads {name}"


def test_compose_runs_these_files() -> None:
    mounts = {name: service.get("volumes", ()) for name, service in COMPOSE["services"].items()}
    config = yaml.safe_load((HERE / "prometheus.yml").read_text())
    assert any(
        mount.endswith("prometheus/rules.yml:/etc/prometheus/rules.yml:ro") for mount in mounts["prometheus"]
    )
    targets = [t for job in config["scrape_configs"] for s in job["static_configs"] for t in s["targets"]]
    targets += [t for s in config["alerting"]["alertmanagers"][0]["static_configs"] for t in s["targets"]]
    for host in {target.split(":")[0] for target in targets} - {"localhost"}:
        assert "metrics" in COMPOSE["services"][host]["networks"], f"Prometheus does not reach {host}"
    provider = yaml.safe_load((PROVISIONING / "dashboards.yaml").read_text())["providers"][0]
    assert any(f":{provider['options']['path']}/mainline.json:" in mount for mount in mounts["grafana"])
    source = yaml.safe_load((PROVISIONING / "datasources.yaml").read_text())["datasources"][0]
    assert source["url"] == "http://prometheus:9090"
    assert source["uid"] == DASHBOARD["templating"]["list"][0]["current"]["value"]


def test_panels_have_ids_places_and_a_source_of_their_own() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        mine = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not mine & cells and at["x"] + at["w"] <= 24, f"{panel['title']} lies on another"
        cells |= mine
    assert DASHBOARD["id" if "id" in DASHBOARD else "uid"] == "mainline", (
        "an exported id belongs to one Grafana"
    )


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_each_panel_says_what_it_shows_in_which_unit(panel: dict[str, Any]) -> None:
    assert panel["title"] and panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    sources = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
    assert all(source == {"type": "prometheus", "uid": "${datasource}"} for source in sources)
    assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


def test_each_variable_is_used_and_declared() -> None:
    declared = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    text = json.dumps([DASHBOARD["panels"], DASHBOARD["annotations"]])
    used = set(re.findall(r"\$\{?([a-z]\w*)", text))
    assert used == declared


def test_nothing_names_a_path_of_this_machine() -> None:
    for path in Path(ROOT / "monitoring").glob("*/*.*"):
        if path.parent.name in ("prometheus", "grafana"):
            assert str(ROOT) not in path.read_text()
