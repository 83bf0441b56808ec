#!/usr/bin/env bash
# apt-transport-s3 2.1.0 (Debian 12): the credentials of an instance's role cannot be used, because
# the method stops with a TypeError after it has read the name of the role.
#
# It decodes the name twice. The requests before that are correct, with a token. Keys in
# /etc/apt/s3auth.conf or in the environment are not affected. Seen:
#   PUT /latest/api/token 200
#   GET /latest/dynamic/instance-identity/document 200
#   GET /latest/meta-data/iam/security-credentials/ 200
#   TypeError: decoding str is not supported
#
# The address of IMDS is compiled in, so the script gives it to a server in a network namespace of
# its own (unshare of util-linux, ip of iproute2; no root needed).
#
# Exit status: 0 if it is still so, 1 if it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get download --quiet=2 apt-transport-s3=2.1.0-1 python3-configobj python3-six 2> /dev/null
for package in *.deb; do dpkg --extract "$package" .; done
cat > imds.py <<'PYTHON'
import http.server, subprocess, threading

def loopback():
    commands = "ip link set lo up; ip address add 169.254.169.254/32 dev lo"
    subprocess.run(commands, shell=True, check=True)

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
import os, subprocess
import imds

answers = {
    "/latest/dynamic/instance-identity/document": b'{"region": "us-east-1"}',
    "/latest/meta-data/iam/security-credentials/": b"app",
    "/latest/meta-data/iam/security-credentials/app": b"""{
        "Code": "Success", "AccessKeyId": "ASIAEXAMPLEEXAMPLE12", "SecretAccessKey": "secret",
        "Token": "token", "Expiration": "2099-01-01T00:00:00Z"}""",
}
seen = []

def answer(request):
    if request.command == "PUT":
        status, body = 200, b"token"
    elif request.headers.get("X-aws-ec2-metadata-token") != "token":
        status, body = 401, b""
    else:
        status, body = (200, answers[request.path]) if request.path in answers else (404, b"")
    seen.append(f"{request.command} {request.path} {status}")
    return status, body

imds.loopback()
imds.serve(answer)
environment = {"PYTHONPATH": os.path.abspath("usr/lib/python3/dist-packages")}
command = ["/usr/bin/python3", "usr/lib/apt/methods/s3"]
result = subprocess.run(command, env=environment, input="", capture_output=True, text=True)
seen.append((result.stderr.splitlines() or ["no error"])[-1])
print(*seen, f"exit status {result.returncode}", sep="\n")
expected = [
    "PUT /latest/api/token 200",
    "GET /latest/dynamic/instance-identity/document 200",
    "GET /latest/meta-data/iam/security-credentials/ 200",
    "TypeError: decoding str is not supported",
]
raise SystemExit(seen != expected or result.returncode != 1)
PYTHON
env -i PATH="$PATH" HOME="$folder" unshare --user --map-root-user --net python3 program.py
