"""What is wrong with a replay is said before any row is made."""

from __future__ import annotations

import socket

import pytest

from mainline.errors import ConfigError, DataError, ServiceError
from monitoring import replay


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--rows", "-3"], "not above 0"),
        (["--speed", "0"], "not above 0"),
        (["--since", "2013-11-05"], "there is none"),
        (["--since", "2013-13-05", "--fault", "stuck:temp"], "no day"),
        (["--fault", "flip"], "those are not sent"),
        (["--url", "127.0.0.1:3000"], "no address"),
    ],
)
def test_flags_that_mean_nothing_are_refused(flags: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        replay.main(["--months", "2013-11", "--url", "http://127.0.0.1:9", *flags])


def test_nobody_at_the_address_is_said_at_once() -> None:
    with pytest.raises(ServiceError, match="does not answer"):
        replay.main(["--months", "2013-11", "--url", "http://127.0.0.1:9"])


def test_a_month_that_the_source_has_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(DataError):
        replay.main(["--months", "2031-11", "--url", f"http://127.0.0.1:{server.getsockname()[1]}"])
