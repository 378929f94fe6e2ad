"""wrk (https://github.com/wg/wrk) in a closed loop: each connection asks again as soon as it was answered."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import tempfile
from pathlib import Path

from benchmarks.serving_bench.asking import Ask
from benchmarks.serving_bench.load.outcome import Outcome

MARK = "figures "

SCRIPT = """\
local file = io.open({body}, "rb")
wrk.method = "POST"
wrk.path = {path}
wrk.body = file:read("*a")
file:close()
{headers}
function done(summary, latency)
  local e = summary.errors
  io.write(string.format('{mark}{{"requests":%d,"seconds":%.6f,"p50":%.3f,"p99":%.3f,"status":%d,"broken":%d}}\\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    e.status, e.connect + e.read + e.write + e.timeout))
end
"""


def is_there() -> bool:
    return shutil.which("wrk") is not None


def run(port: int, ask: Ask, connections: int, seconds: float, *, is_secure: bool = False) -> Outcome:
    """Ask for so long; one thread asks."""
    with tempfile.TemporaryDirectory() as scratch:
        body, script = Path(scratch) / "body", Path(scratch) / "ask.lua"
        body.write_bytes(ask.body)
        script.write_text(lua(ask, body))
        command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "30s"]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        url = f"{'https' if is_secure else 'http'}://127.0.0.1:{port}"
        done = subprocess.run([*command, "-s", str(script), url], capture_output=True, text=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise RuntimeError(f"wrk ended with {done.returncode}: {done.stderr.strip()[:300]}")
    spent = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return read(done.stdout, spent)


def lua(ask: Ask, body: Path) -> str:
    """The script that makes wrk send this request."""
    headers = "\n".join(f"wrk.headers[{_text(name)}] = {_text(value)}" for name, value in ask.headers.items())
    return SCRIPT.format(body=_text(str(body)), path=_text(ask.path), headers=headers, mark=MARK)


def read(said: str, client_cpu: float = 0.0) -> Outcome:
    """What wrk printed."""
    found = json.loads(next(line for line in said.splitlines() if line.startswith(MARK)).removeprefix(MARK))
    good = found["requests"] - found["status"]
    return Outcome(good, found["status"] + found["broken"], found["seconds"], found["p50"], found["p99"], client_cpu)


def _text(plain: str) -> str:
    """A string of Lua, which reads the escapes that JSON writes for ASCII."""
    return json.dumps(plain)
