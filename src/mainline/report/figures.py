"""The figures: candidate beside champion, every rule of the gate, the baselines, the slices that moved."""

from __future__ import annotations

from mainline.policy import HIGHER_IS_BETTER
from mainline.records import Figure, Metrics
from mainline.report.blocks import Block, Code, Details, Paragraph, Section, Strong, Table, Text
from mainline.report.facts import Facts
from mainline.review import Comparison, SliceChange
from mainline.summary import HEADLINES

TO_ZERO = frozenset(("bias", "gap", "calibration_intercept"))  # best at 0, on neither side
SHOWN = 10  # slices that are not folded


def number(value: float | None) -> str:
    """Four decimals, fewer where the number is large."""
    if value is None:
        return "undefined"
    size = abs(value)
    told = f"{size:.4f}" if size < 1000 else f"{size:,.1f}" if size < 1e9 else f"{size:.6g}"
    return f"−{told}" if value < 0 else told


def signed(value: float | None) -> str:
    if value is None:
        return "undefined"
    return ("+" if value > 0 else "−" if value < 0 else "±") + number(abs(value))


def interval(figure: Figure, *, sign: bool = False) -> str:
    """`0.3839 [0.3523, 0.4123]`; without brackets where there is no interval."""
    show = signed if sign else number
    if figure.value is None or figure.low is None or figure.high is None:
        return show(figure.value)
    return f"{show(figure.value)} [{show(figure.low)}, {show(figure.high)}]"


def judged(name: str, difference: Figure) -> str:
    """Better, worse, or within the noise: the interval lies on one side of 0, or it does not."""
    if difference.low is None or difference.high is None or name in TO_ZERO:
        return ""
    if difference.low <= 0 <= difference.high:
        return "not clearly different"
    return "better" if (difference.low > 0) == (name in HIGHER_IS_BETTER) else "worse"


def nearness(own: Figure | None, theirs: Figure | None, difference: Figure) -> str:
    """Of a figure that is best at 0, by its absolute value; said only when that is certain.

    |own| < |theirs| just when difference and sum have opposite signs. The sum's interval is taken as wide as
    the two add up to, which is too wide at most.
    """
    ends = [
        end for one in (own, theirs, difference) for end in ((one.low, one.high) if one else (None, None))
    ]
    known = [end for end in ends if end is not None]
    if len(known) < len(ends):
        return ""
    low, high, other_low, other_high, least, most = known
    if least <= 0 <= most:
        return "not clearly different"
    least_sum, most_sum = low + other_low, high + other_high
    if least_sum <= 0 <= most_sum:
        return "not clearly nearer to 0"
    return "farther from 0" if (least > 0) == (least_sum > 0) else "nearer to 0"


def section(facts: Facts) -> Section:
    """The headline figures, and everything the gate used, folded."""
    if facts.stale:
        return _of_nothing(facts)
    metrics = facts.metrics
    comparison = facts.verdict.comparison if facts.verdict else None
    if metrics is None and comparison is None:
        missing = "There are no figures: reports/metrics.json is missing or cannot be read."
        return Section("Figures", 90, (Paragraph((missing,)),))
    table = _beside(facts, comparison)
    blocks: list[Block] = [table, *_explained(table), *_told(facts, comparison)]
    if facts.verdict is not None and facts.verdict.rules:
        blocks.append(Details(f"Every rule of the gate ({len(facts.verdict.rules)})", (_rules(facts),)))
    if metrics is not None and metrics.baselines:
        blocks.append(Details("Beside the baselines, on the same rows", (_baselines(metrics),)))
    return Section("Figures", 90, tuple(blocks))


def _of_nothing(facts: Facts) -> Section:
    words = "There are no figures of this yet: the stages that the change concerns have not run."
    gate = facts.verdict
    rules = gate.rules if gate is not None and gate.basis == "nothing" else []
    told = (Details(f"Every rule of the gate ({len(rules)})", (_rules(facts),)),) if rules else ()
    return Section("Figures", 90, (Paragraph((words,)), *told))


def _beside(facts: Facts, comparison: Comparison | None) -> Table:
    task = comparison.task if comparison else facts.metrics.task if facts.metrics else "binary"
    own = comparison.candidate if comparison else facts.metrics.figures if facts.metrics else {}
    theirs, differences = _champion(facts, comparison)
    names = [*HEADLINES[task], *(name for name in differences if name not in HEADLINES[task])]
    rows = []
    for name in (name for name in names if name in own or name in theirs):
        row = [name.replace("_", " "), *(_shown(side.get(name)) for side in (own, theirs))]
        if difference := differences.get(name):
            word = nearness(own.get(name), theirs.get(name), difference) if name in TO_ZERO else ""
            row += [interval(difference, sign=True), word or judged(name, difference)]
        elif differences:
            row += ["not measured", ""]
        rows.append(tuple((cell,) for cell in row))
    header = ["figure", "candidate", _champions_heading(facts, comparison)]
    header += ["difference", "candidate is"] if differences else []
    return Table("Candidate and champion", tuple(header), tuple(rows), stacks=True)


def _explained(table: Table) -> list[Block]:
    if not any(row[0] == ("gap",) for row in table.rows):
        return []
    return [Paragraph(("gap: mean observed minus mean predicted, best at 0.",))]


def _shown(figure: Figure | None) -> str:
    return "none" if figure is None else interval(figure)


def _champion(facts: Facts, comparison: Comparison | None) -> tuple[dict[str, Figure], dict[str, Figure]]:
    if comparison is not None and comparison.champion:
        return comparison.champion, comparison.differences
    if facts.verdict is not None and facts.verdict.basis == "baselines":
        return {}, {}
    return (facts.base.metrics.figures if facts.base.metrics else {}), {}


def _champions_heading(facts: Facts, comparison: Comparison | None) -> str:
    same = comparison is not None and comparison.champion
    return "champion" if same or not facts.base.metrics else "champion, as recorded"


def _told(facts: Facts, comparison: Comparison | None) -> list[Block]:
    """On which rows the table stands."""
    gate = facts.verdict
    if comparison is not None and comparison.champion:
        text = (
            f"Both on the same {comparison.rows:,} test rows in {comparison.blocks:,} blocks"
            f"{_window(facts)}; intervals at {comparison.confidence:.0%} from {comparison.resamples:,} "
            "resamples of whole blocks."
        )
        return [Paragraph((text,))]
    champion = gate.champion.name if gate else ""
    words: dict[str, Text] = {
        "same model": ("The same model and test rows, to the byte, as ", Code(champion), "."),
        "baselines": ("There is no champion yet: the baselines are what must be beaten.",),
        "recorded figures": (
            Strong("The champion could not be scored on these rows"),
            f": {comparison.unreadable if comparison else 'it was not compared'}.",
            " Each model's figures are of its own test window.",
        ),
    }
    found: list[Block] = [Paragraph(words[gate.basis])] if gate is not None and gate.basis in words else []
    if facts.metrics is not None:
        rows, blocks = facts.metrics.rows, facts.metrics.blocks
        text = f"The candidate's figures are of {rows:,} test rows in {blocks:,} blocks{_window(facts)}."
        found.append(Paragraph((text,)))
    return found


def _window(facts: Facts) -> str:
    if facts.features is None:
        return ""
    first, last = facts.features.test.first_month, facts.features.test.last_month
    return f", {first}" if first == last else f", {first} to {last}"


def _rules(facts: Facts) -> Table:
    gate = facts.verdict
    rows = tuple(
        ((Strong(rule.outcome) if rule.outcome != "promote" else "promote",), (rule.name,), (rule.text,))
        for rule in (gate.rules if gate else [])
    )
    return Table("Rules of the gate", ("outcome", "rule", "what was seen"), rows, names=3)


def _baselines(metrics: Metrics) -> Table:
    names = tuple(metrics.baselines)
    rows = tuple(
        (
            (name.replace("_", " "),),
            (interval(metrics.figures[name]),),
            *(_baseline(metrics, baseline, name) for baseline in names),
        )
        for name in HEADLINES[metrics.task]
        if name in metrics.figures
    )
    return Table(
        "Candidate and baselines", ("figure", "candidate", *(n.replace("_", " ") for n in names)), rows
    )


def _baseline(metrics: Metrics, baseline: str, name: str) -> Text:
    figure = metrics.baselines[baseline].get(name)
    return (number(figure.value) if figure else "undefined",)


def slices(facts: Facts) -> Section:
    """The slices whose interval leaves 0, most moved first; all of them folded."""
    if facts.stale:
        return Section("Slices", 50, ())
    comparison = facts.verdict.comparison if facts.verdict else None
    name = deciding(facts)
    label = name.replace("_", " ")
    if comparison is None or not comparison.slices:
        return _recorded_slices(facts, name)
    every = sorted(comparison.slices, key=_size_of_change)
    moved = [one for one in every if judged(name, one.difference) in ("better", "worse")]
    if moved:
        first: Block = _slice_table(moved[:SHOWN], name, "Slices that moved")
    else:
        first = Paragraph((f"No slice certainly moved in {label}.",))
    rest = Details(f"Every slice ({len(every)})", (_slice_table(every, name, "All slices"),))
    level = comparison.slice_confidence or comparison.confidence
    note = Paragraph((f"The {label} of both models on the same rows, intervals at {level:.2%}.",))
    return Section("Slices", 50, (first, note, rest))


def deciding(facts: Facts) -> str:
    """The first of the gate's margins."""
    margins = facts.verdict.policy.get("margins") if facts.verdict else None
    if isinstance(margins, dict) and margins:
        return str(next(iter(margins)))
    return HEADLINES[facts.metrics.task][0] if facts.metrics else "log_loss"


def _size_of_change(one: SliceChange) -> tuple[float, str, str]:
    return (-abs(one.difference.value or 0), one.column, one.value)


def _slice_table(changes: list[SliceChange], name: str, caption: str) -> Table:
    rows = tuple(
        (
            (Code(one.column), " ", Code(one.value)),
            (judged(name, one.difference),),
            (f"{one.rows:,}",),
            (number(one.candidate),),
            (number(one.champion),),
            (interval(one.difference, sign=True),),
        )
        for one in changes
    )
    return Table(
        caption, ("slice", "candidate is", "rows", "candidate", "champion", "difference"), rows, names=2
    )


def _recorded_slices(facts: Facts, name: str) -> Section:
    """Without a comparison: the candidate's own slices, folded."""
    found = [one for one in (facts.metrics.slices if facts.metrics else []) if name in one.figures]
    if not found:
        return Section("Slices", 50, ())
    rows = tuple(
        ((Code(one.column), " ", Code(one.value)), (f"{one.rows:,}",), (interval(one.figures[name]),))
        for one in found
    )
    table = Table("Slices of the candidate", ("slice", "rows", name.replace("_", " ")), rows)
    if facts.verdict is not None and facts.verdict.basis == "same model":
        words = "The model is the same, so no slice moved."
    else:
        words = "There is no champion on the same rows, so none can be said to have moved."
    return Section("Slices", 50, (Paragraph((words,)), Details(f"Every slice ({len(rows)})", (table,))))
