import pytest

from skylift.engine.failures import failure
from skylift.errors import ConflictError, CredentialsError, MachineError, NotFoundError, ProvisionError, SettingsError

CHECK_FAILED = """pulumi-python:dynamic/local:Supervisor resource 'default-supervisor': property port value {8501} has a problem: \
MachineError: port 8501 of 127.0.0.1 is taken by nginx (pid 12)
  hint: set another port"""
RAISED = """Exception calling application: Traceback (most recent call last):
  File "/venv/pulumi/dynamic/__main__.py", line 101, in wrapper
    return fn(self, request, context)
skylift.errors.ProvisionError: the serving process of endpoint 'default' ended at its start:
  no such model
  hint: its log is /x/supervisor.log
"""
CRASHED = """Program failed with an unhandled exception:
Traceback (most recent call last):
  File "/p/__main__.py", line 4, in <module>
    import infra.__main__
ModuleNotFoundError: No module named 'infra'
"""
LOCKED = """error: the stack is currently locked by 1 lock(s). Either wait for the other process(es) to end or delete the lock \
file with `pulumi cancel`.
  file:///p/.pulumi/locks/organization/skylift/local/x.json: created by ada@host-1 (pid 4711) at 2026-11-22T10:00:00Z"""


def test_an_error_of_a_provider_comes_back_as_the_same_kind_with_its_hint() -> None:
    error = failure("local", "up", [CHECK_FAILED], "", "log")
    assert type(error) is MachineError
    assert error.message == "port 8501 of 127.0.0.1 is taken by nginx (pid 12)"
    assert error.hint == "set another port"


def test_so_does_one_that_was_raised_with_all_its_lines_and_no_frame() -> None:
    error = failure("local", "up", [RAISED, "update failed"], "", "log")
    assert type(error) is ProvisionError
    assert error.message == "the serving process of endpoint 'default' ended at its start:\n  no such model"
    assert error.hint == "its log is /x/supervisor.log"


def test_mistakes_of_a_stack_file_reach_the_user_as_they_are() -> None:
    text = "SettingsError: stacks/Pulumi.local.yaml has 2 mistakes:\n  one\n  two\n  hint: mend it"
    error = failure("local", "up", [text], "", "log")
    assert type(error) is SettingsError
    assert error.message == "stacks/Pulumi.local.yaml has 2 mistakes:\n  one\n  two"


def test_a_crash_is_told_by_its_last_line_without_traceback() -> None:
    error = failure("local", "up", [CRASHED], "error: update failed\n", "/log")
    assert error.message == "`up` of stack 'local' failed:\n  ModuleNotFoundError: No module named 'infra'"
    assert "/log" in error.hint


def test_a_lock_names_its_holder() -> None:
    error = failure("local", "up", [], LOCKED, "log")
    assert isinstance(error, ConflictError)
    assert "ada on host-1 (pid 4711)" in error.message
    assert error.details["pid"] == 4711


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("error: no stack named 'local' found", NotFoundError),
        ("error: getting secrets manager: passphrase must be set with PULUMI_CONFIG_PASSPHRASE", CredentialsError),
        ("error: incorrect passphrase", CredentialsError),
        ("error: write /p/.pulumi/x.json: no space left on device", MachineError),
        ("error: open /p/.pulumi/stacks/x.json: permission denied", MachineError),
        ("", ProvisionError),
    ],
)
def test_known_words_of_the_engine_get_their_kind(said: str, kind: type[Exception]) -> None:
    assert type(failure("local", "up", [], said, "log")) is kind
