"""Starting, recognising and stopping the cluster's programs: never a process that is not ours."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from dev.cluster import processes

SLEEP = ["/bin/sleep", "1000"]


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(processes, "RUN", tmp_path / "run")
    monkeypatch.setattr(processes, "LOG", tmp_path / "log")
    yield tmp_path / "run"
    for name in processes.names():
        processes.stop(name)


def start(*command: str, config: Path | None = None) -> bool:
    return processes.ensure("program", command, config=config, isolated=False)


def pid(run: Path) -> int:
    return int(json.loads((run / "program.pid").read_text())["pid"])


def test_a_running_program_is_not_started_again(own_folders: Path) -> None:
    assert start(*SLEEP)
    first = pid(own_folders)

    assert not start(*SLEEP)
    assert pid(own_folders) == first


def test_a_program_whose_flags_changed_is_started_anew(own_folders: Path) -> None:
    start(*SLEEP)
    first = pid(own_folders)

    assert start("/bin/sleep", "2000")
    assert pid(own_folders) != first
    assert processes._started(first) is None


def test_a_program_is_stopped_in_the_moment_in_which_it_becomes_what_it_is(own_folders: Path) -> None:
    for seconds in range(1000, 1020):  # its command line is empty for some microseconds
        assert start("/bin/sleep", str(seconds))
        first = pid(own_folders)
        processes.stop("program")
        assert processes._started(first) is None


def test_a_program_whose_configuration_changed_is_started_anew(own_folders: Path, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("one")
    start(*SLEEP, config=config)
    first = pid(own_folders)
    assert not start(*SLEEP, config=config)

    config.write_text("two")
    assert start(*SLEEP, config=config)
    assert pid(own_folders) != first


def test_a_program_that_was_killed_is_started_again(own_folders: Path) -> None:
    start(*SLEEP)
    processes._signal(pid(own_folders), processes.signal.SIGKILL)
    processes.wait_until(lambda: not processes.running("program"), what="the kill", seconds=5)

    assert start(*SLEEP)
    assert processes.running("program")


def test_a_pid_that_now_belongs_to_another_program_is_left_alone(own_folders: Path) -> None:
    stranger = subprocess.Popen(["/bin/sleep", "1001"])
    try:
        own_folders.mkdir()
        before = (processes._started(stranger.pid) or 0) - 1
        (own_folders / "program.pid").write_text(json.dumps({"pid": stranger.pid, "started": before, "argv": SLEEP}))

        assert not processes.running("program")
        processes.stop("program")

        assert stranger.poll() is None
        assert processes.names() == []
    finally:
        stranger.kill()
        stranger.wait()


def test_a_half_written_pid_file_counts_as_none(own_folders: Path) -> None:
    own_folders.mkdir()
    (own_folders / "program.pid").write_text('{"pid": 1')

    assert not processes.running("program")
    assert start(*SLEEP)
