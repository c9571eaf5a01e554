"""A real Prometheus with our rules scrapes the real service and a real node_exporter; Alertmanager hears it.

Of our files only addresses, pauses and `for` are changed. Grafana cannot be had here: its queries are asked
as it would ask them.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from mainline import exposition
from mainline.policy import release
from mainline.records import Manifest
from serving import build, schemas
from serving.metrics import trained_until
from serving.process import Running, running
from tests.imports import ROOT
from tests.mainline.test_exposition import column, drift, watch, window
from tests.ports import free_port
from usecase.schema import FEATURES

PROGRAMS = {
    name: shutil.which(name) for name in ("prometheus", "prometheus-node-exporter", "prometheus-alertmanager")
}
pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("prometheus"),
    pytest.mark.skipif(
        None in PROGRAMS.values(), reason=f"not all of {', '.join(PROGRAMS)} (Debian) are here"
    ),
]
HERE = ROOT / "monitoring/prometheus"
DASHBOARD = json.loads((ROOT / "monitoring/grafana/mainline.json").read_text())
MODEL = release().model
UNTIL = "2013-10-31"
ROW = schemas.example(FEATURES)
NUMBER = FEATURES.numeric[0].name
TEXT = [one.name for one in FEATURES.categorical[:1]]  # a fork may have none
BINARY = FEATURES.task == "binary"
ROWS, REFUSED, FAILED = (
    600,
    25,
    10,
)  # 12 requests of 50 rows; every second row has a null, every tenth is unknown
LIMIT = 60.0  # seconds
# Panels that may be empty, and why.
EMPTY = {
    "Shift of the probabilities": "needs a day of history",
    "Out of range": "nothing was sent that is",
} | ({} if BINARY else dict.fromkeys(("Probabilities", "Mean probability"), "of a binary task only")) | (
    {} if TEXT else {"Unknown categories": "there are no categories"}
)  # fmt: skip


@dataclass
class Watched:
    """A Prometheus, what was answered by the service in namespace `production`, and Alertmanager."""

    url: str
    alertmanager: str
    probabilities: list[float]

    def ask(self, query: str, **more: Any) -> list[dict[str, Any]]:
        """Instant, or over a range when `start` is given. Raises AssertionError with Prometheus' words."""
        path = "query_range" if "start" in more else "query"
        form = urllib.parse.urlencode({"query": query, **more}).encode()
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{path}", form, timeout=30) as answer:
                return json.load(answer)["data"]["result"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{query}: {error.read().decode()}") from None

    def number(self, query: str) -> float:
        """The only one, once it is there."""
        found = until(lambda: self.ask(query), f"{query} has no result")
        assert len(found) == 1, f"{query}: {found}"
        return float(found[0]["value"][1])

    def alerts(self, name: str) -> list[dict[str, str]]:
        query = f'ALERTS{{alertname="{name}", alertstate="firing"}}'
        return [one["metric"] for one in self.ask(query)]


def until(found: Callable[[], Any], words: str) -> Any:
    """What `found` gives once it is true."""
    ends = time.monotonic() + LIMIT
    while not (result := found()):
        assert time.monotonic() < ends, words
        time.sleep(0.2)
    return result


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("prometheus")
    bento = Path(build.build(ROOT, "v0.0.1", folder / "bento")["path"])
    full = folder / "full"
    full.mkdir()
    (full / "predictions.jsonl").symlink_to("/dev/full")
    (folder / "watch").mkdir()
    columns = [column(NUMBER), *(column(name) for name in TEXT)]
    newest = window(columns, target=column(FEATURES.target.name))
    told = drift(columns, model=MODEL, until=UNTIL, recent=[newest])
    (folder / "watch/watch.prom").write_text(
        exposition.text(watch(MODEL, until=UNTIL), told, datetime.now(UTC))
    )
    with contextlib.ExitStack() as stack:

        def service(log: Path) -> Running:
            return stack.enter_context(running("--bento", str(bento), extra={"SERVING_LOG_PATH": str(log)}))

        good, failing = service(folder / "log"), service(full)
        exporter, hub = free_port(), free_port()
        stack.enter_context(
            _program("prometheus-node-exporter", folder, exporter, "--collector.disable-defaults",
                     "--collector.textfile", f"--collector.textfile.directory={folder}/watch")
        )  # fmt: skip
        stack.enter_context(
            _program("prometheus-alertmanager", folder, hub, f"--config.file={HERE}/alertmanager.yml",
                     f"--storage.path={folder}/alertmanager", "--cluster.listen-address=")
        )  # fmt: skip
        _configure(
            folder, {"production": good.port, "staging": failing.port, "gone": free_port()}, exporter, hub
        )
        port = free_port()
        stack.enter_context(
            _program("prometheus", folder, port, f"--config.file={folder}/prometheus.yml",
                     f"--storage.tsdb.path={folder}/data")
        )  # fmt: skip
        made = Watched(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{hub}", [])
        until(lambda: _answers(f"{made.url}/-/ready"), "Prometheus is not ready")
        # A counter that Prometheus did not see at 0 has not increased.
        until(lambda: len(made.ask("serving_rows_total offset 1s")) == 2, "nothing was scraped")
        made.probabilities = _traffic(good, failing)
        until(
            lambda: made.ask(f'serving_rows_total{{namespace="production"}} == {ROWS}'),
            "the rows are not there",
        )
        until(
            lambda: made.ask(f'serving_rows_total{{namespace="production"}} offset 3s == {ROWS}'), "nor later"
        )
        yield made


def _traffic(good: Running, failing: Running) -> list[float]:
    found = []
    for start in range(0, ROWS, 50):
        rows = [
            ROW | ({NUMBER: None} if k % 2 else {}) | (dict.fromkeys(TEXT, "?!") if k % 10 == 0 else {})
            for k in range(start, start + 50)
        ]
        status, answer = good.predict(rows)
        assert status == 200
        found += [one.get("probability", 0.0) for one in answer["predictions"]]
    assert {good.predict([])[0] for _ in range(REFUSED)} == {400}
    assert {failing.predict([ROW])[0] for _ in range(FAILED)} == {503}
    return found


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


@contextlib.contextmanager
def _program(name: str, folder: Path, port: int, *arguments: str) -> Iterator[None]:
    log = folder / f"{name}.log"
    command = [str(PROGRAMS[name]), *arguments, f"--web.listen-address=127.0.0.1:{port}"]
    with log.open("wb") as file, subprocess.Popen(command, stdout=file, stderr=file) as it:
        try:
            yield
        except BaseException:
            print(log.read_text()[-2000:])
            raise
        finally:
            it.terminate()


def _configure(folder: Path, services: dict[str, int], exporter: int, alertmanager: int) -> None:
    """Our files with the addresses of this machine, every second, and without waiting."""
    config = yaml.safe_load((HERE / "prometheus.yml").read_text())
    config["global"] |= {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    jobs = {job["job_name"]: job for job in config["scrape_configs"]}
    assert set(jobs) == {"service", "watch", "prometheus"}
    jobs["service"]["static_configs"] = [
        {"targets": [f"127.0.0.1:{port}"], "labels": {"namespace": name}} for name, port in services.items()
    ]
    jobs["watch"]["static_configs"] = [{"targets": [f"127.0.0.1:{exporter}"]}]
    jobs["watch"]["scrape_interval"] = "1s"
    config["scrape_configs"] = [jobs["service"], jobs["watch"]]
    config["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": [f"127.0.0.1:{alertmanager}"]}]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    rules = re.sub(r"^ +(for|interval): \w+\n", "", (HERE / "rules.yml").read_text(), flags=re.MULTILINE)
    (folder / "rules.yml").write_text(rules)


def test_the_recorded_figures_are_those_of_what_was_sent(watched: Watched) -> None:
    production = '{namespace="production"}'
    share = f'namespace="production", model="{MODEL}"'
    assert watched.number(f"job:serving_errors:ratio1h{production}") == 0
    assert watched.number('job:serving_errors:ratio1h{namespace="staging"}') == 1
    assert watched.number(f"job:serving_refused:ratio30m{production}") == pytest.approx(
        REFUSED / (REFUSED + 12)
    )
    assert watched.number(f'job:serving_odd_values:share1h{{{share}, kind="null", column="{NUMBER}"}}') == (
        pytest.approx(0.5)
    )
    assert (
        watched.number(f'job:serving_odd_values:expected{{{share}, kind="null", column="{NUMBER}"}}') == 0.01
    )
    for name in TEXT:
        query = f'job:serving_odd_values:share1h{{{share}, kind="unknown", column="{name}"}}'
        assert watched.number(query) == pytest.approx(0.1)
    assert 0.9 * ROWS < watched.number(f"job:serving_rows:increase1h{production}") < 1.5 * ROWS
    assert 0 < watched.number(f"job:serving_request_seconds:p99_10m{production}") < 5


@pytest.mark.skipif(not BINARY, reason="the use case is not binary")
def test_the_recorded_probabilities_are_those_that_were_answered(watched: Watched) -> None:
    told = watched.probabilities
    mean = watched.number('job:serving_probability:mean1h{namespace="production"}')
    assert mean == pytest.approx(sum(told) / len(told), rel=1e-6)
    for line in watched.ask('job:serving_probability:cdf1d{namespace="production"}'):
        edge = float(line["metric"]["le"])
        assert float(line["value"][1]) == pytest.approx(sum(p <= edge for p in told) / len(told))


def test_the_age_of_the_model_is_from_its_window_to_the_watchs_day(watched: Watched) -> None:
    end = trained_until(Manifest.read(ROOT / Manifest.location).windows)
    if end is None:
        pytest.skip("the model has no training window")
    day = datetime.fromisoformat(UNTIL).replace(tzinfo=UTC).timestamp() + 86_400
    assert watched.number('job:serving_model:age_seconds{namespace="production"}') == day - end


def test_what_is_wrong_is_alerted_and_nothing_else(watched: Watched) -> None:
    expected = {
        "ModelDown": "gone", "ModelInstanceDown": "gone", "ModelErrorBudgetFast": "staging",
        "ModelErrorBudgetSlow": "staging", "ModelUnlogged": "staging", "ModelRefuses": "production",
        "ModelInputsOdd": "production",
    }  # fmt: skip
    for name, namespace in expected.items():
        found = until(lambda name=name: watched.alerts(name), f"{name} does not fire")
        assert {one["namespace"] for one in found} == {namespace}, name
    (odd,) = watched.alerts("ModelInputsOdd")
    assert (odd["column"], odd["kind"]) == (NUMBER, "null"), "of unknown ones nobody knows yet what to expect"
    assert watched.alerts("WatchAsksForRetraining")
    for name in (
        "WatchMissing",
        "WatchNotRun",
        "WatchFoundAFault",
        "WatchCannotTell",
        "ModelPredictionsShifted",
    ):
        assert not watched.alerts(name), name


def test_alertmanager_hears_them_with_their_words_and_shows_what_is_not_explained_by_another(
    watched: Watched,
) -> None:
    def heard() -> dict[str, dict[str, Any]]:
        with urllib.request.urlopen(f"{watched.alertmanager}/api/v2/alerts", timeout=10) as answer:
            return {one["labels"]["alertname"]: one for one in json.load(answer)}

    names = {"ModelDown", "ModelErrorBudgetSlow", "ModelInputsOdd", "ModelUnlogged", "WatchAsksForRetraining"}
    until(lambda: names <= heard().keys(), "Alertmanager does not hear all")
    found = until(
        lambda: (a := heard())["ModelErrorBudgetSlow"]["status"]["inhibitedBy"] and a, "nothing is inhibited"
    )
    assert found["ModelInstanceDown"]["status"]["inhibitedBy"]
    assert found["ModelErrorBudgetFast"]["status"]["state"] == "active"
    assert [one["name"] for one in found["ModelUnlogged"]["receivers"]] == ["page"]
    assert [one["name"] for one in found["WatchAsksForRetraining"]["receivers"]] == ["ticket"]
    notes = found["WatchAsksForRetraining"]["annotations"]
    assert notes["description"] == f"{MODEL}: 2 findings ask for it; the pull request says which."
    assert notes["runbook_url"].startswith("https://github.com/your-org/your-fork/blob/main/monitoring/")
    assert f"{NUMBER} is null in 49% more" in found["ModelInputsOdd"]["annotations"]["description"]
    for one in found.values():
        assert "error" not in one["annotations"]["description"], "a template that Prometheus cannot expand"


def _substituted(query: str) -> str:
    values = {
        "job": "service", "namespace": "production|staging", "model": ".*", "figure": "log_loss",
        "__rate_interval": "1m", "__interval": "15s", "__range": "15m",
    }  # fmt: skip
    made = re.sub(r"\$\{?(\w+)\}?", lambda found: values[found[1]], query)
    assert "$" not in made
    return made


@pytest.mark.parametrize(
    "panel", [p for p in DASHBOARD["panels"] if p["type"] != "row"], ids=lambda p: p["title"]
)
def test_each_query_of_the_dashboard_has_an_answer(watched: Watched, panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        query = _substituted(target["expr"])
        if target["instant"]:
            found = watched.ask(query)
        else:
            now = time.time()
            found = watched.ask(query, start=now - 120, end=now, step=5)
        if panel["title"] not in EMPTY:
            found = found or until(
                lambda query=query: watched.ask(query), f"{panel['title']}: {query} has no series"
            )
        for name in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]):
            named = name in ("namespace",) or all(name in one["metric"] for one in found)
            assert named, f"{panel['title']}: the legend asks for {name}"


def test_the_variables_of_the_dashboard_have_values(watched: Watched) -> None:
    for variable in DASHBOARD["templating"]["list"][1:]:
        series, label = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"]).groups()
        query = urllib.parse.urlencode({"match[]": series})
        with urllib.request.urlopen(
            f"{watched.url}/api/v1/label/{label}/values?{query}", timeout=10
        ) as answer:
            values = json.load(answer)["data"]
        assert values, variable["name"]
        if variable["name"] == "figure":
            assert variable["current"]["value"] in values


def test_the_releases_on_the_dashboard_can_be_asked_for(watched: Watched) -> None:
    for annotation in DASHBOARD["annotations"]["list"]:
        watched.ask(_substituted(annotation["expr"]))
