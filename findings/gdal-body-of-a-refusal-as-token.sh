#!/usr/bin/env bash
# GDAL 3.10.3 (in rasterio 1.4.4, PyPI): if IMDS refuses a token with 403, the body of the refusal is sent as the
# token of the next request.
#
# One opening of a file in /vsis3/ asks six times, each time with a token request whose TTL is 10 s. A refusal with an
# empty body, as EC2 sends it, makes it ask without a token.
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
venv/bin/python -m pip install --quiet --disable-pip-version-check rasterio==1.4.4
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
import imds, rasterio

requests = []

def answer(request):
    requests.append((request.command, request.headers.get("X-aws-ec2-metadata-token")))
    if request.command == "PUT":
        return 403, b"<html>no tokens here</html>"
    return 401, b""

imds.loopback()
imds.serve(answer)
options = dict(AWS_S3_ENDPOINT="127.0.0.1:9", AWS_HTTPS="NO", CPL_AWS_AUTODETECT_EC2="NO")
try:
    with rasterio.Env(**options):
        rasterio.open("/vsis3/bucket/file.tif")
except rasterio.errors.RasterioIOError as error:
    print(error)
print("GDAL", rasterio.__gdal_version__, requests)
expected = [("PUT", None), ("GET", "<html>no tokens here</html>")] * 6
raise SystemExit(requests != expected)
PYTHON
env -i PATH="$PATH" HOME="$folder" unshare --user --map-root-user --net venv/bin/python program.py
