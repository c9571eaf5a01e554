"""The first line, and what must be read before the rest: the verdict, what to do, and who moved the gate."""

from __future__ import annotations

from mainline.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    IntegrityError,
    Interrupted,
    MainlineError,
    ParityError,
    RecordError,
    SourceError,
    StorageError,
    TrainingError,
)
from mainline.records import Check
from mainline.report.blocks import Alert, Block, Code, Headline, Section, Strong, Text
from mainline.report.facts import Facts
from mainline.report.parameters import control_changes
from mainline.review import Gate, LockState

GOOD, UNSURE, BAD = "✅", "⚠", "⛔"
ACCEPT = "accept-hold"  # the label by which a person accepts
COMPARE = "compare"  # leaves a note as a stage does, but is the gate's
# Of a stage: its exit code in words.
CODES: dict[int, str] = {
    kind.exit_code: words
    for kind, words in (
        (DataError, "the data is not acceptable"),
        (SourceError, "the source does not answer"),
        (ConfigError, "params.yaml is wrong"),
        (TrainingError, "training gave no usable model"),
        (CheckpointError, "damaged or foreign checkpoint"),
        (IntegrityError, "a file is not the one its record names"),
        (RecordError, "a record is missing or malformed"),
        (ParityError, "the exported model is not the trained one"),
        (StorageError, "DVC, its cache or its remote failed"),
        (Interrupted, "stopped by a signal, its state is saved"),
        (MainlineError, "an error of its own"),
    )
}


# What helps, by the word of the first line, where that is all it depends on.
LOGGED = "Its message is in the job's log; the same command here is "
TODO: dict[str, tuple[Text, ...]] = {
    "Data validation failed": (
        (
            "Correct the source, or the expectation if the data is right, then run ",
            Code("mainline run"),
            ".",
        ),
    ),
    "The pipeline failed": ((LOGGED, Code("mainline run"), "."),),
    "The comparison failed": ((LOGGED, Code("mainline gate"), "."),),
    "No verdict": (
        (
            "Run ",
            Code("mainline gate"),
            ", then ",
            Code("mainline report"),
            "; if it crashed, its log says why.",
        ),
    ),
}
ACCEPTING: tuple[Text, ...] = (
    (
        "A person decides. To accept: set the label ",
        Code(ACCEPT),
        ", then close and reopen the pull request.",
    ),
    ("Elsewhere: ", Code("mainline gate --accept-hold"), "."),
    ("To be certain instead: a longer test window (data.test_months) narrows the interval.",),
)
BLOCKED: Text = ("This cannot be accepted by hand: the candidate must change, or main its gate.",)


def headline(facts: Facts) -> Headline:
    """The first thing that went wrong on the way, else the gate's verdict with the number that decided."""
    if critical := failures(facts):
        told = f"{plural(len(critical), 'critical expectation')} broken, first {_first(critical[0])}"
        return Headline(BAD, "Data validation failed", told, "bad")
    stages = {stage: code for stage, code in facts.failed.items() if stage != COMPARE}
    if stages and not _settled(facts):
        stage, code = next(iter(stages.items()))
        return Headline(BAD, "The pipeline failed", f"stage {stage}, {_exit(code)}", "bad")
    lock = facts.lock_here
    if lock is not None and lock.state != "current":
        return _lock(lock)
    if facts.verdict is not None:
        return _gate(facts.verdict)
    if COMPARE in facts.failed:
        return Headline(BAD, "The comparison failed", _exit(facts.failed[COMPARE]), "bad")
    if facts.gate is not None:
        return Headline(UNSURE, "No verdict", "the gate judged another dvc.lock than this one", "unsure")
    return Headline(
        UNSURE, "No verdict", "the gate has left no record: it did not run, or it crashed", "unsure"
    )


def top(facts: Facts) -> Section:
    """Below the first line: changes of the policy, then what a person can do. Never left out."""
    blocks: list[Block] = []
    if changes := control_changes(facts):
        lead: Text = (
            Strong("This pull request changes the policy that judges it"),
            " or the release (before → after):",
        )
        items = tuple(
            (Code(c.key), ": ", Code(_value(c.before)), " → ", Code(_value(c.after))) for c in changes
        )
        blocks.append(Alert("WARNING", (lead, *items)))
    if todo := _todo(facts):
        blocks.append(Alert("NOTE", todo))
    return Section("", 100, tuple(blocks))


def _exit(code: int) -> str:
    return f"exit code {code}: {CODES.get(code, 'it crashed')}"


def failures(facts: Facts) -> list[Check]:
    """Every critical expectation that does not hold."""
    return [
        check
        for record in facts.validations
        if record.status == "failed"
        for batch in record.batches
        for check in batch.failures
        if check.severity == "critical"
    ]


def _gate(gate: Gate) -> Headline:
    reason = gate.reason or "no reason was recorded"
    if not any(character.isdigit() for character in reason):
        deciding = next((rule for rule in gate.rules if rule.outcome == gate.verdict), None)
        if deciding is not None and deciding.observed is not None:
            limit = "" if deciding.limit is None else f", limit {deciding.limit:.6g}"
            reason = f"{reason} ({deciding.name} {deciding.observed:.6g}{limit})"
    if gate.verdict == "promote":
        return Headline(GOOD, "Promote", reason, "good")
    if gate.verdict == "hold":
        accepted = gate.accepted
        return Headline(
            GOOD if accepted else UNSURE,
            "Held, accepted by a person" if accepted else "Hold",
            reason,
            "good" if accepted else "unsure",
        )
    return Headline(BAD, "Block", reason, "bad")


def _lock(lock: LockState) -> Headline:
    if lock.state == "stale":
        stages = ", ".join(stage.stage for stage in lock.stale[:8])
        what = f"{plural(len(lock.stale), 'stage')} must run again: {stages}"
        return Headline(UNSURE, "The lock is stale", what if lock.stale else lock.problem, "unsure")
    word = "not pushed yet" if lock.unpushed else "missing or damaged on the remote"
    missing = f"{plural(len(lock.missing), 'object')} {word}"
    if lock.missing:
        missing += f", first {lock.missing[0].path}"
    return Headline(BAD, "The lock is broken", lock.problem or missing, "bad")


def _todo(facts: Facts) -> tuple[Text, ...]:
    """What helps, by what stands in the first line."""
    word = headline(facts).word
    lock = facts.lock_here
    match word:
        case "The lock is stale":
            return _run_again(lock)
        case "The lock is broken":
            return _push_again(lock)
        case "Hold":
            return (*ACCEPTING, *_besides(facts))
        case "Block" if facts.verdict is not None and facts.verdict.basis == "nothing":
            return (("Run ", Code("mainline run"), ", which makes the model of what is here."),)
        case "Block":
            return (BLOCKED, *_besides(facts))
        case _:
            return TODO.get(word, ())


def _run_again(lock: LockState | None) -> tuple[Text, ...]:
    """The command, then why each stage must run."""
    how = (" and commit dvc.lock; continuous integration does so itself.",)
    reasons = tuple(
        (Code(stage.stage), ": ", "; ".join(stage.reasons) or "no reason was recorded")
        for stage in (lock.stale if lock else [])
    )
    return (("Run ", Code("mainline run --pull"), *how), *reasons)


def _push_again(lock: LockState | None) -> tuple[Text, ...]:
    """The command, then each object that is gone."""
    missing = lock.missing if lock else []
    listed: tuple[Text, ...] = tuple(
        (
            Code(f"{item.path}/{item.file}" if item.file else item.path),
            f" is {item.told}, md5 ",
            Code(item.md5),
        )
        for item in missing
    )
    damaged = any(item.state == "damaged" for item in missing)
    first: Text = ("Delete what is damaged from the remote first. ",) if damaged else ()
    return ((*first, "Run ", Code("mainline push"), " where the data is."), *listed)


def _besides(facts: Facts) -> tuple[Text, ...]:
    """The other rules that do not promote; the first line has one."""
    gate = facts.verdict
    if gate is None:
        return ()
    others = [rule for rule in gate.rules if rule.outcome != "promote" and rule.text != gate.reason]
    return tuple(("Also ", Strong(rule.outcome), f": {rule.text}") for rule in others)


def _settled(facts: Facts) -> bool:
    """A current lock, or a gate that judged this very lock, came after the failure."""
    lock = facts.lock_here
    return facts.verdict is not None if lock is None else lock.state == "current"


def _first(check: Check) -> str:
    where = f" of {check.column}" if check.column else ""
    return f"{check.expectation}{where}: {check.observed}"


def plural(number: int, noun: str) -> str:
    """`1 stage`, `2 stages`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _value(text: str | None) -> str:
    return "(not there)" if text is None else text
