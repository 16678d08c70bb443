"""What holds for all commands: what they import, what they end with, what they print for whom."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from modelyard.cli.errors import CommandError, LoginError, TimedOutError, UnknownError, UsageError, code_of, text_of
from modelyard.cli.main import EXIT_CODES, app, main
from modelyard.kube.errors import ForbiddenError, NotFoundError, ServerError, UnauthorizedError

NEVER = {"boto3", "botocore", "kopf", "kubernetes", "pydantic", "rich", "modelyard.decide"}
"""What a command that talks to the cluster alone has no use for; some take longer to import than it takes to run."""


def test_help_imports_nothing_that_a_command_may_need() -> None:
    program = "import sys; from modelyard.cli.main import main; main(['--help']); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not (NEVER | {"urllib3", "yaml", "ssl"}) & set(done.stderr.split())
    assert "rollback" in done.stdout


def test_a_list_imports_no_more_than_it_needs(tmp_path: Path) -> None:
    cluster = {"name": "c", "cluster": {"server": "http://127.0.0.1:9"}}
    context = {"name": "x", "context": {"cluster": "c"}}
    config = {"current-context": "x", "clusters": [cluster], "contexts": [context]}
    (tmp_path / "config").write_text(json.dumps(config))
    words = ["list", "fraud", "-n", "risk", "--kubeconfig", str(tmp_path / "config")]
    program = f"import sys; from modelyard.cli.main import main; print(main({words!r}), *sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    code, *modules = done.stdout.split()
    assert (code, NEVER & set(modules)) == ("1", set()), done.stderr


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("modelyard 0.")


@pytest.mark.parametrize("command", [command.name for command in app.registered_commands])
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    text = capsys.readouterr().out
    assert f"modelyard {command}" in text or f"{command} [OPTIONS]" in text
    assert "None" not in text


def test_the_list_of_commands_is_not_cut_short(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert "..." not in text.split("Commands:")[1]
    assert " ".join(EXIT_CODES.split()) in " ".join(text.split())


@pytest.mark.parametrize(
    "words", [["nonsense"], ["show"], ["show", "a", "b"], ["list", "-o", "xml"], ["wait", "x", "--no"]]
)
def test_what_is_not_understood(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CommandError("x"), 1),
        (UsageError("x"), 2),
        (UnknownError("x"), 3),
        (NotFoundError("x", "y"), 3),
        (LoginError("x"), 4),
        (ForbiddenError("x", "y"), 4),
        (UnauthorizedError("x", "y"), 4),
        (TimedOutError("x"), 5),
        (ServerError("x", "y"), 1),
    ],
)
def test_exit_codes(error: Exception, code: int) -> None:
    assert code_of(error) == code
    assert text_of(error).startswith("x")
