"""The spool's format and its locks: what was written whole is read whole, whatever happened to the rest."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.tracking.spool import Session, State, Writer, decode, encode, locked, sessions

VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.text(), st.floats(allow_nan=False))
EVENTS = st.lists(st.dictionaries(st.text(), VALUES, max_size=3), max_size=5)


@given(EVENTS, st.data())
def test_any_cut_leaves_the_lines_before_it(events: list[dict], data: st.DataObject) -> None:
    lines = [encode(event) for event in events]
    content = b"".join(lines)
    cut = data.draw(st.integers(0, len(content)))
    whole = sum(len(b"".join(lines[: index + 1])) <= cut for index in range(len(lines)))
    read, taken, damaged = decode(content[:cut])
    assert read == events[:whole]
    assert taken == len(b"".join(lines[:whole]))
    assert damaged == 0


@given(EVENTS.filter(bool), st.data())
def test_a_flipped_byte_costs_its_line_only(events: list[dict], data: st.DataObject) -> None:
    lines = [encode(event) for event in events]
    hurt = data.draw(st.integers(0, len(lines) - 1))
    place = data.draw(st.integers(0, len(lines[hurt]) - 2))
    byte = lines[hurt][place] ^ 0x80  # never a newline
    lines[hurt] = lines[hurt][:place] + bytes([byte]) + lines[hurt][place + 1 :]
    read, taken, damaged = decode(b"".join(lines))
    assert read == events[:hurt] + events[hurt + 1 :]
    assert damaged == 1
    assert taken == len(b"".join(lines))


def test_nan_and_infinity_survive() -> None:
    (event,), _, _ = decode(encode({"values": {"a": float("nan"), "b": float("inf")}}))
    assert event["values"]["a"] != event["values"]["a"]
    assert event["values"]["b"] == float("inf")


def test_threads_do_not_mix_their_lines(tmp_path: Path) -> None:
    writer = Writer(tmp_path)

    def write(thread: int) -> None:
        for step in range(200):
            writer.append("metrics", thread=thread, step=step)

    threads = [threading.Thread(target=write, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    events, _, damaged = Session(writer.folder).read(0)
    assert damaged == 0
    assert sorted((event["thread"], event["step"]) for event in events) == [
        (thread, step) for thread in range(4) for step in range(200)
    ]


def test_a_session_is_abandoned_when_its_writer_is_closed(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    (session,) = sessions(tmp_path)
    assert not session.abandoned()
    writer.close()
    writer.append("metrics")  # too late: dropped, not raised
    assert session.abandoned()
    assert session.read(0)[0] == []


def test_a_session_is_abandoned_when_its_process_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib, time; from pipeline.tracking.spool import Writer\n"
        "w = Writer(pathlib.Path(sys.argv[1])); w.append('start'); print(flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        (session,) = sessions(tmp_path)
        assert not session.abandoned()
        process.kill()
        process.wait()
    assert session.abandoned()
    assert [event["kind"] for event in session.read(0)[0]] == ["start"]


def test_kept_files_are_copies(tmp_path: Path) -> None:
    original = tmp_path / "plot.svg"
    original.write_text("before")
    folder = tmp_path / "plots"
    folder.mkdir()
    (folder / "a.svg").write_text("a")
    writer = Writer(tmp_path / "spool")
    kept = writer.folder / writer.keep(original)
    original.write_text("after")
    assert kept.read_text() == "before"
    assert (writer.folder / writer.keep(folder) / "a.svg").read_text() == "a"


def test_sessions_are_in_order_of_their_start(tmp_path: Path) -> None:
    folders = [Writer(tmp_path).folder for _ in range(5)]
    assert [session.folder for session in sessions(tmp_path)] == folders


def test_state_round_trip_and_damage(tmp_path: Path) -> None:
    session = Session(tmp_path)
    assert session.state() == State()
    state = State(target="t", run_id="r", created=True, offset=7)
    session.save(state)
    assert session.state() == state
    for damage in ("", "{", "[]", '{"other": 1}'):
        (tmp_path / "state.json").write_text(damage)
        assert session.state() == State(), damage


@pytest.mark.parametrize("free", [True, False])
def test_a_lock_is_held_by_one(tmp_path: Path, free: bool) -> None:
    path = tmp_path / "folder" / "lock"
    with locked(path, 0) as first:
        assert first
        if not free:
            with locked(path, 0.1) as second:
                assert not second
    with locked(path, 0) as again:
        assert again
