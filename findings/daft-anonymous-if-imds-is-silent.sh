#!/usr/bin/env bash
# daft 0.7.26 (PyPI): whether a file in S3 is read with or without a signature depends on how IMDS fails.
#
# Where nothing listens, or nothing answers, daft reads anonymously, after 0 and 1 s. Where IMDS answers the token
# request with 403, as it does when it is disabled, the read fails. Seen:
#   refused: anonymous
#   silent: anonymous
#   403: error, "failed to load IMDS session token"
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
venv/bin/python -m pip install --quiet --disable-pip-version-check daft==0.7.26
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
import socket, sys
import imds

how = sys.argv[1]
imds.loopback()
if how == "403":
    imds.serve(lambda request: (403, b""))
if how == "silent":
    silent = socket.socket()
    silent.bind(("169.254.169.254", 80))
    silent.listen(100)

seen = []

def bucket(request):
    seen.append("signed" if request.headers.get("Authorization") else "anonymous")
    return 404, b""

imds.serve(bucket, "127.0.0.1", 9900)
import daft
from daft.io import IOConfig, S3Config

config = IOConfig(s3=S3Config(endpoint_url="http://127.0.0.1:9900", region_name="us-east-1"))
try:
    daft.read_csv("s3://bucket/file.csv", io_config=config).collect()
except Exception as error:
    if not seen:
        seen.append("error")
        assert "failed to load IMDS session token" in str(error), error
print(how + ":", seen[0])
raise SystemExit(seen[0] != ("error" if how == "403" else "anonymous"))
PYTHON
for how in refused silent 403; do
    env -i PATH="$PATH" HOME="$folder" \
        unshare --user --map-root-user --net venv/bin/python program.py "$how"
done
