"""A stand-in for the serving program: same flags, same health routes, no model. Found first through PYTHONPATH."""

import argparse
import http.server
import os
import signal
import sys
import threading

parser = argparse.ArgumentParser()
for flag in ("endpoint", "work", "host", "port", "workers", "backend", "threads", "queue-rows", "max-batch-rows"):
    parser.add_argument(f"--{flag}", required=True)
parser.add_argument("--drain-seconds", required=True, type=float)
parser.add_argument("--cache", required=True)
options = parser.parse_args()


class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        ready = self.path == "/healthz" or not os.path.exists(os.environ.get("STANDIN_NOT_READY", "/nowhere"))
        self.send_response(200 if ready else 503)
        self.end_headers()
        self.wfile.write(options.workers.encode())

    def log_message(self, *_: object) -> None:
        pass


if os.path.exists(os.environ.get("STANDIN_BROKEN", "/nowhere")):
    sys.exit("the model cannot be read: broken on purpose")
http.server.ThreadingHTTPServer.allow_reuse_address = True
server = http.server.ThreadingHTTPServer((options.host, int(options.port)), Health)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
print(f"listening on {options.port}", flush=True)
server.serve_forever(poll_interval=0.02)
