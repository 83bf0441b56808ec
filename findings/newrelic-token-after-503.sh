#!/usr/bin/env bash
# newrelic 14.1.0 (PyPI), the Python agent: if the identity document is answered with 503 once, the agent never
# gets a token again while the process lives, and does not know that it runs on EC2.
#
# It keeps the headers of its last request in the class: after the token came, they are those of a GET. The next
# token request therefore has the old token and no X-aws-ec2-metadata-token-ttl-seconds, which IMDS answers
# with 400. Seen:
#   PUT with TTL 21600, GET 503, None
#   PUT with TTL None, None
#   PUT with TTL None, None
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
venv/bin/python -m pip install --quiet --disable-pip-version-check newrelic==14.1.0
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
import imds
from newrelic.common.utilization import AWSUtilization

ttls = []

def answer(request):
    if request.command == "PUT":
        ttls.append(request.headers.get("X-aws-ec2-metadata-token-ttl-seconds"))
        return (200, b"token") if ttls[-1] else (400, b"")
    if len(ttls) == 1:
        return 503, b""
    return 200, b'{"instanceId": "i-1", "instanceType": "t3.micro", "availabilityZone": "us-east-1a"}'

imds.loopback()
imds.serve(answer)
found = [AWSUtilization.detect() for _ in range(3)]
print("TTLs that the token requests asked for:", ttls)
print("found:", found)
raise SystemExit(ttls != ["21600", None, None] or found != [None, None, None])
PYTHON
env -i PATH="$PATH" HOME="$folder" unshare --user --map-root-user --net venv/bin/python program.py
