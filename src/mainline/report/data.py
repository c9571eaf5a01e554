"""The data diff: rows and months, columns, shares of nulls, and the columns whose distribution moved most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mainline import datadiff
from mainline.datadiff import Mover, Nulls, TableDiff
from mainline.profile import OTHER
from mainline.report.blocks import Block, Bullets, Code, Details, Paragraph, Section, Strong, Table, Text
from mainline.report.facts import Facts

MONTHS = 3  # that are listed one by one; more become a range
NOT_FOLDED = 8  # movers
CONSEQUENCE = "data/"  # outputs that are data


def section(facts: Facts) -> Section:
    """What differs from the base's data, by the profiles that Git keeps of both."""
    if facts.profile is None:
        return _only(
            "There is no profile of the candidate's data: reports/profile.json is missing or unreadable."
        )
    if facts.base.profile is None:
        rows = ", ".join(
            f"{name} {sum(t.months.values()):,} rows" for name, t in facts.profile.tables.items()
        )
        return _only(f"The base has no profile of its data, so nothing can be compared. Here: {rows}.")
    found = [table for table in datadiff.diff(facts.base.profile, facts.profile) if table.changed]
    if not found:
        return _only(_unchanged(facts))
    movers = sorted(
        ((table.name, mover) for table in found for mover in table.movers),
        key=lambda pair: (-pair[1].shift, pair[0], pair[1].column),
    )
    blocks: list[Block] = [_sizes(found), *_schema(found), *_missing(found)]
    if movers:
        blocks += [_movers(movers[:NOT_FOLDED], "Columns that moved most"), Paragraph((_EXPLAINED,))]
        if len(movers) > NOT_FOLDED:
            fold = _movers(movers[NOT_FOLDED:], "Further columns that moved")
            blocks.append(Details(f"{len(movers) - NOT_FOLDED} more columns moved", (fold,)))
    elif not any(table.too_few for table in found):
        told = f"No column's distribution moved by {datadiff.SHIFT:.0%} of the rows or more."
        blocks.append(Paragraph((told,)))
    return Section("Data", 80, (*blocks, *_too_few(found)))


def _too_few(tables: Sequence[TableDiff]) -> list[Block]:
    """Insufficient data is said, and is never "no drift"."""
    names = [(table.name, column) for table in tables for column in table.too_few]
    if not names:
        return []
    text: Text = tuple(piece for table, column in names[:8] for piece in (", ", Code(f"{table} {column}")))[
        1:
    ]
    more = f" and {len(names) - 8:,} more" if len(names) > 8 else ""
    return [Paragraph((Strong("Too few values"), " to say whether they moved: ", *text, more, "."))]


_EXPLAINED = (
    "Moved: the least share of the rows that must have changed to turn one distribution into the other. "
    f"Shown from {datadiff.SHIFT:.0%}; keys and times are left out."
)


def _only(words: str) -> Section:
    return Section("Data", 80, (Paragraph((words,)),))


def _unchanged(facts: Facts) -> str:
    mine, theirs = (
        {path: md5 for path, md5 in outputs.items() if path.startswith(CONSEQUENCE)}
        for outputs in (facts.outputs, facts.base.outputs)
    )
    if mine and mine == theirs:
        return "The data is the same, to the byte."
    return "The data looks the same: rows, columns, nulls and distributions."


def _sizes(tables: Sequence[TableDiff]) -> Table:
    rows = tuple(
        ((Code(t.name),), (_rows(t.rows[0]),), (_rows(t.rows[1]),), (_growth(t.rows),), (_months(t.months),))
        for t in tables
    )
    header = ("table", "rows before", "rows after", "change", "months")
    return Table("Rows and months by table", header, rows)


def _rows(count: int | None) -> str:
    return "no such table" if count is None else f"{count:,}"


def _growth(rows: tuple[int | None, int | None]) -> str:
    before, after = rows
    if before is None or after is None:
        return "new" if before is None else "gone"
    if before == after:
        return "none"
    change = f"{after - before:+,}" + (f" ({after / before - 1:+.1%})" if before else "")
    return change.replace("-", "−")


def _months(months: Mapping[str, tuple[int | None, int | None]]) -> str:
    parts = [
        _list("added", [m for m, (before, _) in months.items() if before is None]),
        _list("removed", [m for m, (_, after) in months.items() if after is None]),
        _list("other rows in", [m for m, pair in months.items() if None not in pair]),
    ]
    return "; ".join(part for part in parts if part) or "the same"


def _list(word: str, months: list[str]) -> str:
    if not months:
        return ""
    if len(months) > MONTHS:
        return f"{word} {len(months)} from {months[0]} to {months[-1]}"
    return f"{word} {', '.join(months)}"


def _schema(tables: Sequence[TableDiff]) -> list[Block]:
    items: list[Text] = []
    for table in tables:
        where: Text = (" in ", Code(table.name))
        items += [(Strong("Column added"), *where, ": ", Code(name)) for name in table.added]
        items += [(Strong("Column removed"), *where, ": ", Code(name)) for name in table.removed]
        items += [
            (Strong("Type changed"), *where, ": ", Code(name), " ", Code(before), " → ", Code(after))
            for name, (before, after) in (table.retyped or {}).items()
        ]
    return [Bullets(tuple(items))] if items else []


def _missing(tables: Sequence[TableDiff]) -> list[Block]:
    found = sorted(
        ((table.name, nulls) for table in tables for nulls in table.nulls),
        key=lambda pair: (-abs(pair[1].after - pair[1].before), pair[0], pair[1].column),
    )
    if not found:
        return []
    rows = tuple(_null_row(*pair) for pair in found)
    table = Table(
        "Shares of missing or infinite values that changed", ("column", "is", "before", "after"), rows, 2
    )
    if len(rows) <= NOT_FOLDED:
        return [table]
    first = Table(table.caption, table.header, rows[:NOT_FOLDED], 2)
    rest = Table("Further shares that changed", table.header, rows[NOT_FOLDED:], 2)
    return [first, Details(f"{len(rows) - NOT_FOLDED} more shares of missing values changed", (rest,))]


def _null_row(table: str, nulls: Nulls) -> tuple[Text, ...]:
    kind = "infinite" if nulls.infinite else "missing"
    return (
        (Code(table), " ", Code(nulls.column)),
        (kind,),
        (percent(nulls.before),),
        (percent(nulls.after),),
    )


def percent(share: float) -> str:
    """Enough digits that a few rows are not none: 0.020% is not 0%."""
    if share == 0:
        return "0%"
    return f"{share:.3%}" if share < 0.001 else f"{share:.1%}"


def _movers(movers: Sequence[tuple[str, Mover]], caption: str) -> Table:
    rows = tuple(
        ((Code(table), " ", Code(mover.column)), _what(mover), (percent(mover.shift),))
        for table, mover in movers
    )
    return Table(caption, ("column", "what moved", "moved"), rows, names=2)


def _what(mover: Mover) -> Text:
    """`at most 187: 12.0% → 31.5%; median 340 → 310`, or the values' shares."""
    if (split := mover.split) is not None:
        where = "at most" if split.inclusive else "below"
        text = f"{where} {split.at:.6g}: {percent(split.before)} → {percent(split.after)}"
        before, after = split.medians
        return (text + (f"; median {before:.6g} → {after:.6g}" if before != after else ""),)
    parts: list[Text] = [
        (Code(v.name), f" {_share(v.before)} → {_share(v.after)}") for v in mover.values if v.name != OTHER
    ]
    if not parts:
        return ("rare values",)
    return tuple(piece for i, part in enumerate(parts) for piece in ((", ", *part) if i else part))


def _share(share: float | None) -> str:
    return "rare" if share is None else percent(share)
