#!/usr/bin/env bash
# sentry-sdk 2.75.0 (PyPI) with CloudResourceContextIntegration: where a connection to 169.254.169.254 opens and
# nothing answers, as behind some proxies and firewalls, `sentry_sdk.init` blocks for 8 s.
#
# It is a token request of 2 s and three attempts to ask Google's metadata service, at the same address, and more of
# the same: no option shortens it. Seen: 8.0 s.
#
# The address of IMDS is compiled in, so the script gives it to a server in a network namespace of its own
# (unshare of util-linux, ip of iproute2; no root needed).
#
# Exit status: 0 if it is still so, 1 if it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check sentry-sdk==2.75.0
cat > imds.py <<'PYTHON'
import http.server, subprocess, threading

def loopback():
    subprocess.run("ip link set lo up; ip address add 169.254.169.254/32 dev lo", shell=True, check=True)

def serve(answer, address="169.254.169.254", port=80):
    """Answers each request with the status and the body that `answer` returns for it."""
    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *arguments):
            pass
        def respond(self):
            status, body = answer(self)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        do_GET = do_HEAD = do_PUT = respond
    server = http.server.ThreadingHTTPServer((address, port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
PYTHON
cat > program.py <<'PYTHON'
import socket, time
import imds, sentry_sdk
from sentry_sdk.integrations.cloud_resource_context import CloudResourceContextIntegration

imds.loopback()
silent = socket.socket()
silent.bind(("169.254.169.254", 80))
silent.listen(100)
began = time.monotonic()
sentry_sdk.init(dsn=None, integrations=[CloudResourceContextIntegration()])
took = time.monotonic() - began
print(f"init took {took:.1f} s")
raise SystemExit(not 7.5 < took < 9)
PYTHON
env -i PATH="$PATH" HOME="$folder" unshare --user --map-root-user --net venv/bin/python program.py
