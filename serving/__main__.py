"""`python -P -m serving`: the supervisor."""

import sys

from serving.supervisor.program import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
