"""Make the Pulumi engine before the suites begin, so that none of them pays for it. Kept in the user's cache for the next run."""

import sys

from skylift.engine import BuildProgress, find_pulumi


def show(progress: BuildProgress) -> None:
    count = f" {progress.done}/{progress.total}" if progress.total else ""
    if not progress.total or progress.done % 100 == 0:
        print(f"{progress.stage}{count}", flush=True)


if __name__ == "__main__":
    tool = find_pulumi(progress=show)
    print(f"pulumi {tool.version} ({tool.source})", file=sys.stderr)
