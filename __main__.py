import sys

sys.path.append(sys.path.pop(0))  # `infra` is the installed package, whatever a folder beside this file is called
import infra.program  # noqa: E402, F401  reads the stack's settings and declares what exists
