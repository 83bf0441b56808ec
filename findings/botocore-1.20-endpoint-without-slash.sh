#!/usr/bin/env bash
# botocore 1.20.112 (PyPI; boto3 1.17): AWS_EC2_METADATA_SERVICE_ENDPOINT works only with a final slash, which later
# versions and the other SDKs accept and do not need.
#
# The path is appended to the endpoint as it is. Seen:
#   without: InvalidIMDSEndpointError: Invalid endpoint EC2 Instance Metadata endpoint: http://127.0.0.1:PORTlatest/api/token
#   with: PUT /latest/api/token, GET /latest/meta-data/iam/security-credentials/
#
# Exit status: 0 if it is still so, 1 if it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check botocore==1.20.112
cat > program.py <<'PYTHON'
import http.server, os, threading
import botocore.exceptions, botocore.session

requests = []

class Imds(http.server.BaseHTTPRequestHandler):
    def log_message(self, *arguments):
        pass
    def respond(self):
        requests.append(f"{self.command} {self.path}")
        status, body = (200, b"token") if self.command == "PUT" else (404, b"")
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_GET = do_PUT = respond

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Imds)
threading.Thread(target=server.serve_forever, daemon=True).start()
endpoint = f"http://127.0.0.1:{server.server_port}"

os.environ["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = endpoint
try:
    botocore.session.Session().get_credentials()
    refused = False
except botocore.exceptions.BotoCoreError as error:
    print("without:", type(error).__name__ + ":", error)
    refused = str(error).endswith(endpoint + "latest/api/token") and not requests

os.environ["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = endpoint + "/"
botocore.session.Session().get_credentials()
print("with:", ", ".join(requests))
works = requests == ["PUT /latest/api/token", "GET /latest/meta-data/iam/security-credentials/"]
raise SystemExit(not (refused and works))
PYTHON
env -i PATH="$PATH" HOME="$folder" venv/bin/python program.py
