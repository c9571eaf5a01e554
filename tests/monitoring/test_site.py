"""The page without a browser: what it says, that foreign text stays text, and that it can be read by all."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from datetime import date, timedelta
from functools import cache
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainline.drift import Labels
from mainline.errors import RecordError
from mainline.records import Figure
from mainline.state import Pull, State
from mainline.watching import Finding
from monitoring import site
from monitoring.site import charts, data, heat, markup, page, performance
from monitoring.site.headline import headline
from tests.mainline.test_report_hostile import ATTACKS, poisoned
from tests.monitoring import siting, toys

VOID = {"meta", "link", "line", "rect", "path", "circle", "br"}
STYLE = (Path(site.__file__).parent / "page.css").read_text()


def rides(**changed: Any) -> State:
    """A regression's, whose rows by day end with a day that the axis names."""
    frame = toys.rows("regression", 61, first=date(2013, 10, 1))
    record = toys.measured(frame, toys.labelled(frame, "regression"), "regression")
    assert record.quality
    volume = {str(date(2013, 10, 1) + timedelta(days=number)): 140 for number in range(47)}
    record = record.model_copy(update={"quality": record.quality.model_copy(update={"volume": volume})})
    return siting.state(**{"deciding": "rmse", "drift": record} | changed)


@cache
def shown(name: str = "full") -> str:
    match name:
        case "bare":
            return page.render(siting.bare())
        case "long":
            names = tuple(f"feature_{i:03d}" for i in range(100))
            return page.render(siting.state(drift=siting.drift(40, names)))
        case "one":
            return page.render(siting.state(drift=siting.drift(1)))
        case "rides":
            return page.render(rides(), "rides")
    return page.render(siting.state())


class Reader(HTMLParser):
    """Tags as they are nested. Raises AssertionError where they are not."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), (tag, names)
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID and self.open[-1] != tag:
            return
        assert self.open.pop() == tag, (tag, self.getpos())

    def handle_data(self, content: str) -> None:
        if "style" not in self.open:
            self.text.append(content)


def read(content: str) -> Reader:
    reader = Reader()
    reader.feed(content)
    reader.close()
    assert not reader.open, reader.open
    return reader


def words(content: str) -> str:
    return " ".join(" ".join(read(content).text).split())


@pytest.mark.parametrize("name", ["full", "bare", "long", "one"])
def test_the_markup_is_well_formed_and_names_are_unique(name: str) -> None:
    tags = read(shown(name)).tags
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in tags:
        target = attributes.get("href") or ""
        assert not target.startswith("#") or target[1:] in ids
        assert (attributes.get("aria-labelledby") or ids[0]) in ids


@pytest.mark.parametrize("name", ["full", "bare", "long"])
def test_headings_are_in_order_and_landmarks_are_there(name: str) -> None:
    tags = [tag for tag, _ in read(shown(name)).tags]
    levels = [int(tag[1]) for tag in tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert {tag: tags.count(tag) for tag in ("main", "nav", "header", "footer")} == {
        "main": 1, "nav": 1, "header": 1, "footer": 1
    }  # fmt: skip


@pytest.mark.parametrize("name", ["full", "long"])
def test_tables_and_charts_have_names(name: str) -> None:
    content = shown(name)
    tags = read(content).tags
    assert content.count("<table") == content.count("<caption><span>") == content.count('role="region"')
    assert all(attributes.get("scope") in ("col", "row") for tag, attributes in tags if tag == "th")
    drawn = [attributes for tag, attributes in tags if tag == "svg" and attributes.get("class") != "patterns"]
    assert len(drawn) == 2 * content.count("<figure>") > 0
    assert all(one.get("role") == "img" and one.get("aria-label") for one in drawn)
    assert content.count("<figure>") == content.count("the numbers</summary>")


def test_the_policy_lets_in_only_our_style() -> None:
    content = shown()
    style = re.search(r"<style>(.*?)</style>", content, re.DOTALL)
    assert style
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'" in content
    assert content.index("Content-Security-Policy") < content.index("<style>")


@pytest.mark.parametrize("name", ["full", "bare", "long"])
def test_nothing_comes_from_elsewhere_and_links_are_relative_or_https(name: str) -> None:
    content = shown(name)
    assert not re.search(r"<(script|iframe|object|embed|img|image|use|foreignObject|a [^>]*xlink)\b", content)
    assert not re.search(r" (src|srcset|data|poster|style|on\w+|xlink:href)=", content)
    assert "@import" not in content and "xmlns" not in content.replace(page.ICON, "")
    assert set(re.findall(r"url\(([^)]*)\)", content)) <= {"#hatch", "#dots"}
    for target in re.findall(r'href="([^"]*)"', content):
        good = r"#[a-z]+|https://(github\.com|mlflow\.example\.org)/.*|data_docs/raw/index\.html|drift\.html"
        assert re.fullmatch(good, target) or target.startswith("data:image/svg+xml,"), target


def test_the_same_state_gives_the_same_bytes() -> None:
    assert page.render(siting.state()) == shown()


def test_the_written_state_gives_the_same_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    siting.state().write(tmp_path / "state.json")
    assert site.main(["--state", str(tmp_path / "state.json"), "--out", str(tmp_path / "out")]) == 0
    content = (tmp_path / "out/index.html").read_text(encoding="utf-8")
    assert content == shown()
    assert json.loads(capsys.readouterr().out)["bytes"] == len(content.encode())


# --- what it says


def test_the_page_says_that_production_was_rolled_back() -> None:
    state = siting.rolled_back()
    told = "v2.0.1 is in production since 2013-10-30, after a rollback from v2.1.0; the newest watch looked"
    assert headline(state).sentence.startswith(told)
    why = "rollback from v2.1.0: answers came late"
    assert page.render(state).count(why) == 2, "in the card and in the history"


def test_the_headline_says_what_runs_since_when_and_what_to_do() -> None:
    found = headline(siting.state())
    assert (found.word, found.colour) == ("Retrain", "bad")
    assert found.sentence.startswith("v2.1.0 is in production since 2013-09-11. Up to 2013-10-31: log loss")
    assert found.action == "Decide on pull request 61." and found.pull
    assert '<a href="https://github.com/example/flights/pull/61">Decide on pull request 61.</a>' in shown()


@pytest.mark.parametrize(
    ("verdict", "colour", "action"),
    [
        ("quiet", "good", "Nothing to do."),
        ("watch", "unsure", "Read the findings"),
        ("insufficient", "unsure", "Wait for rows and labels"),
        ("retrain", "bad", "mainline retrain opens"),
    ],
)
def test_each_verdict_has_an_action(verdict: str, colour: str, action: str) -> None:
    found = headline(siting.state(watch=siting.watch(verdict=verdict, findings=[]), pulls=[]))
    assert found.colour == colour and found.action.startswith(action)


def test_broken_input_is_mended_and_not_learned() -> None:
    fault = Finding(
        name="stuck", kind="fault", outcome="retrain", window="newest", column="temp", observed=1.0,
        limit=0.0, text="temp is stuck",
    )  # fmt: skip
    found = headline(siting.state(watch=siting.watch(findings=[fault])))
    assert found.action.startswith("Mend the input") and found.pull is None


def test_a_watch_of_another_version_is_not_believed() -> None:
    found = headline(siting.state(watch=siting.watch(verdict="quiet", release="v2.0.1")))
    assert found.word == "Not watched" and "v2.0.1" in found.sentence and found.colour == "unsure"


def test_nothing_released_yet() -> None:
    assert headline(siting.bare()).word == "No release"
    waiting = siting.bare(now={"staging": siting.state().now["staging"]})
    assert "v2.1.0 is in staging" in headline(waiting).sentence


def test_empty_places_say_so() -> None:
    told = words(shown("bare"))
    for text in (
        "flight-delay has no release yet.", "There is no watch.json", "No month has been watched yet",
        "There is no drift.json", "The forge was not asked: GITHUB_TOKEN is not set.",
        "No version has been made",
    ):  # fmt: skip
        assert text in told


def test_the_cards_hold_the_record() -> None:
    told = words(shown())
    record = siting.release("v2.1.0")
    for text in (
        record.model_sha256[:12],
        record.gate.reason,
        siting.md5("rawv2.1.0")[:7],
        "retrained on the",
    ):
        assert text in told


def test_performance_is_beside_the_recorded_figure_with_its_interval() -> None:
    told = words(shown())
    assert "0.4380" in told or "0.4170 [0.3890, 0.4450]" in told
    assert "0.3639 [0.3339, 0.3939]" in told, "the recorded figure"
    assert "estimated, labels pending" in told and "v2.1.0 on its test rows" in told


def test_figures_have_their_names_and_the_unit_of_the_target() -> None:
    content = shown("rides")
    told = words(content)
    assert "RMSE by month" in told and "MAE by month" in told and "RMSE (rides)" in told
    assert "rides, less is better" in told and "Rmse" not in content and "Mae" not in content
    bare = words(page.render(rides()))
    assert "less is better" in bare and "rides" not in bare and "RMSE (" not in bare
    assert "Log loss by month" in words(page.render(siting.state(), "minutes"))
    assert "minutes" not in page.render(siting.state(), "minutes"), "a log loss is in no unit"


def test_values_expect_no_loss_of_themselves() -> None:
    told = words(performance.section(rides(), "rides"))
    assert "calibration: what a recalibration alone would take off the RMSE (rides)" in told
    assert not any(word in told for word in ("excess", "expected loss", "probabilities"))
    assert "beyond what the probabilities expect" in words(shown())


def test_days_and_counts_are_no_figures() -> None:
    def one(name: str, observed: float, limit: float) -> Finding:
        return Finding(name=name, kind="volume", outcome="watch", window="", column=None, observed=observed,
                       limit=limit, text=name)  # fmt: skip

    found = [one("cooldown", 0, 21), one("freshness", 3.04, 1), one("rows", 12_345, 500), one("loss", 0.5, 0)]
    told = words(page.watch(siting.state(watch=siting.watch(findings=found))))
    for pair in ("– 0 days 21 days", "– 3.04 days 1 day", "– 12,345 500", "– 0.5000 0.0000"):
        assert pair in told, told


def test_no_line_runs_over_months_without_a_figure() -> None:
    def paths(months: list[int]) -> int:
        known = [siting.window(number) for number in months]
        drift = siting.drift(1).model_copy(update={"months": known})
        rows = [performance._row(siting.state(), drift, one, "log_loss") for one in known]
        drawn = charts.svg(charts.performance(rows, [], charts.WIDE, better="less"), "", "wide")
        return sum("L" in path for path in re.findall(r' d="([^"]*)"[^>]*opacity="0.6"', drawn))

    assert (paths([0, 1, 2]), paths([0, 1, 4, 5])) == (1, 2)


def test_without_labels_the_estimate_is_drawn_as_one() -> None:
    none = Labels(joined=0, pending=26_000, late=0, excluded={}, share=0.0)
    months = [siting.window(0, figures={}, against={}, labels=none)]
    state = siting.state(drift=siting.drift(1).model_copy(update={"months": months}))
    assert ">estimate: pending, 0 % of labels<" in page.render(state)


def test_a_partly_labelled_month_is_pending_and_its_estimate_is_drawn() -> None:
    """Thirty of 1,200 labels are no measurement: the check writes figures of them all the same."""
    frame = toys.rows("binary")
    record = toys.measured(frame, toys.labelled(frame.head(30)))
    month = record.months[-1]
    assert month.figures["log_loss"].value is not None and month.estimated is not None
    drawn = performance.section(siting.state(drift=record))
    told = words(drawn)
    assert f"estimate: pending, 2.5 % of labels v1.0.0 {markup.figure(month.estimated)}" in told
    assert "estimated, labels pending" in told and "measured" not in told
    assert markup.number(month.figures["log_loss"].value) not in drawn
    enough = toys.measured(frame, toys.labelled(frame.head(960)))
    assert "measured v1.0.0" in words(performance.section(siting.state(drift=enough)))


def test_figures_of_a_sample_are_said_to_be_such() -> None:
    months = [siting.window(0), siting.window(1, rows=3_500_000, sampled=499_827)]
    state = siting.state(drift=siting.drift(1).model_copy(update={"months": months}))
    assert f"chosen by their keys: {months[1].name} 499,827 of 3,500,000." in words(page.render(state))
    assert "of a sample" not in words(shown())


def test_a_release_leaves_the_months_before_on_the_page() -> None:
    record = siting.released()
    told = words(page.render(siting.state(drift=record)))
    assert [one.name for one in record.months] == ["2013-09", "2013-10", "2013-11"]
    for month in record.months:
        assert f"{month.name} measured" in told and markup.figure(month.figures["log_loss"]) in told
        assert f"{month.name} {month.rows:,} {month.blocks}" in told
    assert "v0.9.0 (1,000), v1.0.0 (200)" in told, "who answered a month that two versions share"
    assert "Distance to v1.0.0's training window, by window" in told
    numbers = re.findall(
        r"<tr><th scope=\"row\">2013-\d\d</th><td.*?</tr>", performance.section(siting.state(drift=record))
    )
    assert all("0.5000 [0.4000, 0.6000]" not in one for one in numbers[:2]), "v0.9.0 promised something else"
    assert "0.5000 [0.4000, 0.6000]" in numbers[2]


def test_a_release_that_has_not_answered_yet_empties_nothing() -> None:
    record = siting.released(until=date(2013, 11, 30))
    told = words(page.render(siting.state(drift=record)))
    assert [one.rows for one in record.recent] == [0, 0, 0]
    assert "Nothing has been answered" not in told and "Every row that can have a label has one." in told
    assert "2013-11 measured v0.9.0" in told


def test_a_column_that_the_version_before_had_not_is_no_null_one() -> None:
    before = siting.window(
        0, ("new",), columns=[siting.column("new", 0, 0, rows=0, distance=None, nulls=0.0)]
    )
    after = siting.window(1, ("new",), columns=[siting.column("new", 0, 0, nulls=0.5, nulls_reference=0.1)])
    found = siting.drift(1).model_copy(update={"months": [before, after], "newest": None})
    assert "new null 10 % – not computed 50 %" in words(data.quality(siting.state(drift=found)))


def test_no_labels_and_no_estimate_draw_nothing() -> None:
    months = [siting.window(0, figures={}, against={}, estimated=None)]
    state = siting.state(drift=siting.drift(1).model_copy(update={"months": months}))
    assert "No labels have come yet" in performance.section(state)


def test_a_version_is_marked_where_it_first_answered() -> None:
    state = siting.state()
    assert state.drift
    marks = performance.marks(state, state.drift.months)
    assert [one["text"] for one in marks] == ["v1.1.0", "v1.2.0", "v2.0.0", "v2.0.1", "v2.1.0"]
    assert marks[0]["at"] == performance.milliseconds("2013-03-12"), "its tag's day, within the month"
    assert performance.milliseconds("1970-01-02") == 86_400_000
    late = siting.state(history=[])
    assert performance.marks(late, state.drift.months)[0]["at"] == performance.milliseconds("2013-03-01")


def test_an_unfinished_month_says_how_far_it_goes() -> None:
    assert performance.month(siting.window(0)) == "2013-03"
    assert performance.month(siting.window(0, last="2013-03-17")) == "2013-03 (to 17)"


def test_a_day_that_is_none_is_an_error_that_names_it() -> None:
    broken = siting.drift(1).model_copy(update={"months": [siting.window(0, last="<31>")]})
    with pytest.raises(RecordError, match="<31>"):
        page.render(siting.state(drift=broken))


def test_the_largest_movers_come_first_and_the_rest_is_folded() -> None:
    content = data.drift(siting.state())
    first, _, rest = content.partition("12 more columns, which moved less")
    assert rest and "mean_delay_3h" in first and "mean_delay_3h" not in rest
    rows = re.findall(r'<tr><th scope="row">(?:<code[^>]*>)?(.*?)(?:</code>)?</th>', first)
    assert rows[:3] == ["the prediction", "the label", "mean_delay_3h"]
    assert len(rows) == 2 + data.MOVERS
    assert "85 more columns" in shown("long") and "the 29 windows before" in shown("long")


def test_a_distance_within_chance_has_no_ground() -> None:
    def point(distance: float | None, noise: float | None) -> heat.Point:
        return data._drift_point(siting.column("x", 0, 0, distance=distance, noise=noise))

    assert point(0.2, 0.25).level == 0 and point(0.2, 0.25).said == "within chance"
    assert [point(value, 0.01).level for value in (0.02, 0.06, 0.15, 0.25, 0.9)] == [1, 2, 3, 4, 5]
    assert point(None, 0.1).shown == "–" and point(0.4, None).level == 5


def test_quality_names_what_grew_beyond_the_training_rows() -> None:
    told = words(data.quality(siting.state()))
    assert "wind_gust null 74 % 76 %" in told and "dest unknown category 0 % 0 %" in told
    assert "14 lines of the log could not be used." in told and "3 lines lack wind_gust" in told
    calm = [siting.window(0, ("origin",))]
    quiet = siting.drift(1).model_copy(update={"months": calm, "newest": None})
    assert "No column has nulls" in words(data.quality(siting.state(drift=quiet)))


def test_a_stuck_column_is_named() -> None:
    newest = siting.window(7, ("a",), name="newest", columns=[siting.column("a", 0, 0, constant=True)])
    state = siting.state(drift=siting.drift().model_copy(update={"newest": newest}))
    assert "Stuck at one value in the newest days: a" in words(data.quality(state))


def test_pending_labels_are_pending_and_never_none() -> None:
    told = words(data.volume(siting.state()))
    assert (
        "9,400 labels are pending, 2,350 of them later than they should be. In 2013-10, 67 % have come."
        in told
    )
    assert "Without any row: 2013-09-18." in told
    labels = Labels(joined=0, pending=500, late=0, excluded={}, share=0.0)
    months = [siting.window(0, labels=labels, rows=500)]
    none = siting.state(drift=siting.drift(1).model_copy(update={"months": months}))
    assert "500 labels are pending" in words(data.volume(none))


def test_zero_rows_are_drawn_as_no_rows() -> None:
    labels = Labels(joined=0, pending=0, late=0, excluded={}, share=None)
    nothing = dict.fromkeys(("excess", "recoverable", "estimated", "score", "target"))
    empty = siting.window(
        0, rows=0, blocks=0, labels=labels, versions={}, figures={}, against={}, columns=[], **nothing
    )
    state = siting.state(drift=siting.drift(1).model_copy(update={"months": [empty], "newest": None}))
    assert "Nothing has been answered in these months." in words(page.render(state))


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_figure_is_short_and_keeps_its_sign(value: float) -> None:
    text = markup.number(value)
    assert len(text) <= 13 and (value >= 0 or text.startswith("−"))


@given(st.text(max_size=30))
def test_a_relative_address_stays_in_the_folder(address: str) -> None:
    found = markup.relative(address)
    assert found in ("", address)
    assert not found or not re.search(r"^/|//|:|\\|[\"'<>\s]", found)
    assert ".." not in found.split("/")


@pytest.mark.parametrize(
    "address", ["javascript:alert(1)", "//evil.example/x", "../../etc", "/etc", "a b", ""]
)
def test_other_addresses_are_no_links(address: str) -> None:
    assert "<a" not in markup.link("x", address).code


# --- foreign text


def hostile(text: str) -> State:
    """`text` in every place that foreign text can reach; days, digests and addresses are of their form."""
    base = siting.state(drift=siting.drift(2, siting.COLUMNS[10:13]))
    assert base.drift and base.watch and base.pulls is not None
    windows = [
        poisoned(one, text).model_copy(
            update={
                "first": one.first, "last": one.last, "figures": one.figures, "against": one.against,
                "columns": [
                    column.model_copy(update={"name": f"{text}{i}"}) for i, column in enumerate(one.columns)
                ],
            }
        )
        for one in base.drift.months
    ]  # fmt: skip
    quality = base.drift.quality
    assert quality
    return base.model_copy(
        update={
            "model": text, "commit": text, "notes": [text], "pulls_note": text,
            "now": {stage: poisoned(one, text) for stage, one in base.now.items()}
            | {text: base.now["staging"]},
            "history": [poisoned(one, text) for one in base.history],
            "versions": [
                one.model_copy(update=dict.fromkeys(("who", "when", "why", "version", "problem"), text))
                for one in base.versions
            ],
            "watch": poisoned(base.watch, text),
            "pulls": [poisoned(one, text) for one in base.pulls],
            "resources": [poisoned(one, text) for one in base.resources],
            "drift": base.drift.model_copy(
                update={
                    "months": windows, "malformed": poisoned(base.drift.malformed, text),
                    "quality": poisoned(quality, text).model_copy(update={"volume": quality.volume}),
                    "reference": base.drift.reference.model_copy(update={"version": text}),
                }
            ),
        }
    )  # fmt: skip


ALLOWED = {
    "html", "head", "meta", "title", "link", "style", "body", "a", "header", "p", "span", "h1", "h2", "h3",
    "nav", "ul", "li", "main", "svg", "defs", "pattern", "rect", "line", "circle", "path", "g", "text",
    "section", "div", "article", "dl", "dt", "dd", "code", "time", "table", "caption", "thead", "tbody",
    "tr", "th", "td",
    "figure", "figcaption", "details", "summary", "footer",
}  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [a for a in ATTACKS if any(c in a for c in "<>\"'&\x00\ud800\u202e\x1b") or "evil" in a or "java" in a],
)
def test_foreign_text_stays_text(text: str) -> None:
    content = page.render(hostile(text))
    content.encode()
    reader = read(content)
    assert {tag for tag, _ in reader.tags} <= ALLOWED
    for tag, attributes in reader.tags:
        assert not any(name.startswith("on") or name == "style" for name in attributes), (tag, attributes)
        target = attributes.get("href") or ""
        assert "javascript" not in target
        assert "evil" not in target or target.startswith("https://") or target == text, "a file beside it"
    assert all(character.isprintable() or character == "\n" for character in content)


@given(st.text(max_size=30))
@settings(max_examples=40, deadline=None)
def test_any_title_is_seen_as_it_is(text: str) -> None:
    pull = Pull(number=1, title=text, url="", state="open", opened="", closed=None)
    content = page.releases.pulls(siting.bare(pulls=[pull]))
    cells = re.findall(r"<td[^>]*>(.*?)</td>", content)
    assert html.unescape(cells[1]) == page.markup.escape.visible(text, page.markup.escape.PROSE)


# --- colours and patterns


def palettes() -> list[dict[str, str]]:
    light, dark = re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL)[:2]
    found = [dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", one)) for one in (light, dark)]
    return [found[0], found[0] | found[1]]


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """WCAG 2.2's ratio."""
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


TEXT = [
    ("text", "ground"), ("soft", "ground"), ("link", "ground"), ("text", "panel"), ("soft", "panel"),
    ("link", "panel"), ("text", "h1"), ("text", "h2"), ("text", "h3"), ("on4", "h4"), ("on5", "h5"),
    ("white", "good"), ("white", "unsure"), ("white", "bad"),
]  # fmt: skip
SHAPES = [("one", "ground"), ("two", "ground"), ("two", "band"), ("one", "band"), ("text", "band")]


@pytest.mark.parametrize("palette", palettes(), ids=["light", "dark"])
def test_text_and_shapes_stand_out(palette: dict[str, str]) -> None:
    colours: dict[str, str] = {**palette, "white": "#ffffff"}
    for one, other in TEXT:
        assert contrast(colours[one], colours[other]) >= 4.5, (one, other)
    for one, other in SHAPES:
        assert contrast(colours[one], colours[other]) >= 3, (one, other)
    steps = [luminance(colours[f"h{i}"]) for i in range(1, 6)]
    assert steps == sorted(steps, reverse=palette["ground"] == "#ffffff"), "also in grey, more is more"


def test_the_drawings_hold_colours_of_the_style_only() -> None:
    for drawn in re.findall(r'<svg class="(?:narrow|wide)".*?</svg>', shown(), re.DOTALL):
        inks = set(re.findall(r' (?:fill|stroke)="([^"]*)"', drawn))
        assert inks <= {*charts.INKS.values(), "none", "transparent"}, inks
    assert 'fill="url(#hatch)"' in shown()


def test_the_narrow_drawing_fits_a_phone() -> None:
    for kind, most in (("narrow", charts.NARROW), ("wide", charts.WIDE)):
        boxes: list[Any] = re.findall(rf'<svg viewBox="0 0 (\d+) (\d+)" class="{kind}"', shown())
        assert boxes and all(int(width) <= most for width, _ in boxes)


def test_one_point_and_undefined_figures_are_drawn() -> None:
    figures = {
        "log_loss": Figure(value=0.4, low=None, high=None),
        "roc_auc": Figure(value=None, low=None, high=None),
    }
    months = [siting.window(0, figures=figures)]
    state = siting.state(drift=siting.drift(1).model_copy(update={"months": months}))
    assert "0.4000" in words(performance.section(state)) and "ROC AUC" not in performance.section(state)
    assert date.fromisoformat(months[0].first)


def test_days_before_the_first_row_are_not_missing_and_what_was_left_out_is_told() -> None:
    found = siting.drift()
    assert found.quality is not None
    changed = {"volume": {"2013-09-01": 0, "2013-09-02": 5}, "after": 7, "contradicting_labels": 2}
    drift = found.model_copy(update={"quality": found.quality.model_copy(update=changed)})
    assert "Without any row" not in words(data.volume(siting.state(drift=drift)))
    told = words(data.quality(siting.state(drift=drift)))
    assert "7 rows lie after the end of the watch." in told
    assert "2 keys have labels that contradict each other; none counts." in told
