#!/usr/bin/env bash
# awscrt 0.38.1 (PyPI), the binding of aws-c-auth: one 401 for the document of credentials is final for the call,
# where the SDKs for Go and Python get a new token and ask again.
#
# A token that IMDS revoked (the instance was stopped and started, or moved) costs the caller one error. The next
# call begins with a new token and succeeds. Seen:
#   AWS_AUTH_IMDS_CLIENT_SOURCE_FAILURE
#   ASIAEXAMPLEEXAMPLE12
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
venv/bin/python -m pip install --quiet --disable-pip-version-check awscrt==0.38.1
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
from awscrt.auth import AwsCredentialsProvider
from awscrt.exceptions import AwsCrtError

documents = 0

def answer(request):
    global documents
    if request.command == "PUT":
        return 200, b"token"
    if request.path.endswith("/security-credentials/"):
        return 200, b"app"
    documents += 1
    if documents == 1:
        return 401, b""
    return 200, (b'{"Code": "Success", "AccessKeyId": "ASIAEXAMPLEEXAMPLE12", "SecretAccessKey": "secret",'
                 b' "Token": "token", "Expiration": "2099-01-01T00:00:00Z"}')

imds.loopback()
imds.serve(answer)
provider = AwsCredentialsProvider.new_default_chain()
results = []
for _ in range(2):
    try:
        results.append(provider.get_credentials().result(20).access_key_id)
    except AwsCrtError as error:
        results.append(error.name)
print(results)
raise SystemExit(results != ["AWS_AUTH_IMDS_CLIENT_SOURCE_FAILURE", "ASIAEXAMPLEEXAMPLE12"])
PYTHON
env -i PATH="$PATH" HOME="$folder" unshare --user --map-root-user --net venv/bin/python program.py
