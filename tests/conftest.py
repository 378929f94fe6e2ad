"""What holds for all tests."""

import signal

# Tests send Ctrl-C to programs they start. A runner that was itself started in the background hands an ignored SIGINT down to them;
# with a handler here they begin as in a terminal.
signal.signal(signal.SIGINT, signal.default_int_handler)
