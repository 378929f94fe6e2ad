"""What holds for all tests."""

import os
import signal
from pathlib import Path

import hypothesis
import pytest

# Tests send Ctrl-C to programs they start. A runner that was itself started in the background hands an ignored SIGINT down to them;
# with a handler here they begin as in a terminal.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Properties are tried on more examples in `.ci/run --all`.
hypothesis.settings.register_profile("usual", deadline=None, max_examples=300)
hypothesis.settings.register_profile("huge", deadline=None, max_examples=5000)
hypothesis.settings.load_profile("huge" if os.environ.get("SKYLIFT_HUGE") else "usual")


ROOT = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)  # xdist looks for the groups in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Who stays together where tests are shared out to several processes (`-n 2 --dist loadgroup`): those of a file share what its
    fixtures made, those of the real API server share it; each test on the simulated clouds has clouds of its own."""
    for item in items:
        folder, *rest = item.path.relative_to(ROOT).parts
        if folder == "kubernetes":
            item.add_marker(pytest.mark.xdist_group("kubernetes"))
        elif folder != "clouds":
            item.add_marker(pytest.mark.xdist_group("/".join((folder, *rest))))
