"""Pure: where the data of the work tree is not that of dvc.lock, and what a run has to do about it first.

After a `git pull` the lock is new and the data old. Where DVC is to do without absent outputs it takes such a
one for absent too, and the stages that read it would run on the old bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mainline.locks import DELETED, DISAGREES, UNNAMED, Item, Stage, Survey, inside, judge


def elsewhere(seen: Survey) -> Survey:
    """As a clone of this commit sees it, that has no data: what DVC keeps and a stage makes is absent.

    What a `.dvc` file names is left: nothing makes it again, so other bytes there are new data.
    """
    made = {out.path for stage in seen.stages if not _source(stage) for out in stage.outs if out.cached}

    def absent(item: Item) -> Item:
        return item.model_copy(update={"seen": DELETED}) if item.seen and inside(item.path, made) else item

    stages = (
        stage.model_copy(
            update={"deps": tuple(map(absent, stage.deps)), "outs": tuple(map(absent, stage.outs))}
        )
        for stage in seen.stages
    )
    return seen.model_copy(update={"stages": tuple(stages)})


def reasons(seen: Survey) -> dict[str, list[str]]:
    """Why each stage must run that must, wherever the data is."""
    return {one.stage: one.reasons for one in judge(elsewhere(seen), "").stale}


def other(seen: Survey, targets: Iterable[str] = ()) -> list[str]:
    """Outputs that are here with other bytes than the lock's, though their stage need not run.

    Of `targets` and what they rest on; of all stages where none is named.
    """
    return [out.path for out in _kept(seen, targets) if out.seen not in ("", DELETED)]


def absent(seen: Survey, targets: Iterable[str] = ()) -> list[str]:
    """Outputs that are not here, though their stage need not run; `targets` as in `other`."""
    return [out.path for out in _kept(seen, targets) if out.seen == DELETED]


def sources(seen: Survey) -> set[str]:
    """Data that no stage makes: what `.dvc` files and frozen stages name."""
    return {out.path for stage in seen.stages if stage.frozen for out in stage.outs}


def makers(seen: Survey, paths: Iterable[str]) -> list[str]:
    """The stages that make these outputs, in the order of dvc.yaml."""
    wanted = set(paths)
    return [stage.name for stage in seen.stages if wanted & {out.path for out in stage.outs}]


def unseen(seen: Survey, targets: Iterable[str] = ()) -> list[str]:
    """Stages that must run, which DVC passes over where it does without absent data."""
    blind = (DISAGREES, UNNAMED)
    why = reasons(seen)
    return [
        stage.name
        for stage in within(seen.stages, targets)
        if any(part in text for text in why.get(stage.name, ()) for part in blind)
    ]


def unproven(seen: Survey, targets: Iterable[str] = ()) -> bool:
    """Whether a stage reads a part of a folder of which nobody has told yet what is in it."""
    names = {stage.name for stage in within(seen.stages, targets)}
    return any(one.partition(": ")[0] in names for one in judge(elsewhere(seen), "").unproven)


def within(stages: tuple[Stage, ...], targets: Iterable[str]) -> list[Stage]:
    """These stages and all that they rest on; all stages where none is named."""
    found = set(targets)
    if not found:
        return list(stages)
    size = -1
    while len(found) != size:
        size = len(found)
        read = [dep.path for stage in stages if stage.name in found for dep in stage.deps]
        found |= {
            stage.name
            for stage in stages
            for out in stage.outs
            if any(inside(path, {out.path}) or inside(out.path, {path}) for path in read)
        }
    return [stage for stage in stages if stage.name in found]


def _kept(seen: Survey, targets: Iterable[str]) -> Iterator[Item]:
    must = reasons(seen).keys() - {stage.name for stage in seen.stages if _source(stage)}
    for stage in within(seen.stages, targets):
        if stage.name not in must:
            yield from (out for out in stage.outs if out.cached and out.md5 is not None)


def _source(stage: Stage) -> bool:
    return stage.name.endswith(".dvc")
