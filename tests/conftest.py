"""What holds for all tests."""

import os
import signal

import hypothesis

# Tests send Ctrl-C to programs they start. A runner that was itself started in the background hands an ignored SIGINT down to them;
# with a handler here they begin as in a terminal.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Properties are tried on more examples in `.ci/run --all`.
hypothesis.settings.register_profile("usual", deadline=None, max_examples=300)
hypothesis.settings.register_profile("huge", deadline=None, max_examples=5000)
hypothesis.settings.load_profile("huge" if os.environ.get("SKYLIFT_HUGE") else "usual")
