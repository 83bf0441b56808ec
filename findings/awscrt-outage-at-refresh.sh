#!/usr/bin/env bash
# awscrt 0.38.1 (PyPI), the binding of aws-c-auth: a failure of IMDS at a refresh is an error, although the
# credentials that the chain holds are still valid. Version 0.20.1 returned them.
#
# Seen, with credentials that are valid for one more minute, and an IMDS that then answers with 500:
#   0.20.1: ASIAEXAMPLEEXAMPLE12, ASIAEXAMPLEEXAMPLE12
#   0.38.1: ASIAEXAMPLEEXAMPLE12, AWS_AUTH_CREDENTIALS_PROVIDER_IMDS_SOURCE_FAILURE
#
# The address of IMDS is compiled in, so the script gives it to a server in a network namespace of its own
# (unshare of util-linux, ip of iproute2; no root needed).
#
# Exit status: 0 if it is still so, 1 if it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
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
import datetime, time
import imds
from awscrt.auth import AwsCredentialsProvider
from awscrt.exceptions import AwsCrtError
from awscrt.io import ClientBootstrap, DefaultHostResolver, EventLoopGroup

outage = False

def answer(request):
    if outage:
        return 500, b""
    if request.command == "PUT":
        return 200, b"token"
    if request.path.endswith("/security-credentials/"):
        return 200, b"app"
    expires = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=1)
    return 200, (b'{"Code": "Success", "AccessKeyId": "ASIAEXAMPLEEXAMPLE12", "SecretAccessKey": "secret",'
                 b' "Token": "token", "Expiration": "%s"}' % expires.strftime("%Y-%m-%dT%H:%M:%SZ").encode())

imds.loopback()
imds.serve(answer)
group = EventLoopGroup(1)
provider = AwsCredentialsProvider.new_default_chain(ClientBootstrap(group, DefaultHostResolver(group)))
results = []
for _ in range(2):
    try:
        results.append(provider.get_credentials().result(20).access_key_id)
    except AwsCrtError as error:
        results.append(error.name)
    outage = True
    time.sleep(1)
print(", ".join(results))
PYTHON
seen=
for version in 0.20.1 0.38.1; do
    python3 -m venv "$version"
    "$version/bin/python" -m pip install --quiet --disable-pip-version-check "awscrt==$version"
    seen+="$version: $(env -i PATH="$PATH" HOME="$folder" unshare --user --map-root-user --net "$version/bin/python" program.py)"$'\n'
done
printf '%s' "$seen"
[ "$seen" = '0.20.1: ASIAEXAMPLEEXAMPLE12, ASIAEXAMPLEEXAMPLE12
0.38.1: ASIAEXAMPLEEXAMPLE12, AWS_AUTH_CREDENTIALS_PROVIDER_IMDS_SOURCE_FAILURE
' ]
