"""The order of the verbs, as Jenkins has them too."""

from tests.workflows.verbs import github_verbs


def test_a_pull_request_of_ours() -> None:
    assert github_verbs("pull_request") == [
        "make lint", "make test", "mainline lock", "mainline run", "mainline run", "mainline push",
        "mainline gate", "mainline report", "mainline comment",
    ]  # fmt: skip


def test_a_fork_is_neither_trained_nor_pushed() -> None:
    verbs = github_verbs("fork")
    assert "mainline push" not in verbs and verbs.count("mainline run") == 1
    assert verbs[-3:] == ["mainline report", "mainline comment", "mainline comment"]  # handed over, posted


def test_main_is_looked_at_and_promoted() -> None:
    assert github_verbs("push") == [
        "make lint", "make test", "make test-ci", "mainline lock", "mainline promote", "mainline deploy",
    ]  # fmt: skip


def test_a_tag_releases_and_builds_nothing() -> None:
    assert github_verbs("tag") == ["mainline release"]


def test_the_clock_starts_the_watch_the_bot_and_the_scoring() -> None:
    assert github_verbs("schedule") == [
        "mainline monitor", "mainline site", "mainline retrain", "mainline score",
    ]  # fmt: skip
