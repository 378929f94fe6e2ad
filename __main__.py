import sys

sys.path.append(sys.path.pop(0))  # a folder of the user's named infra must not stand before ours
import infra.__main__  # noqa: F401
