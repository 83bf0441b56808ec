#!/usr/bin/env bash
# tiledb 0.36.1 (PyPI), built on the AWS SDK for C++: if AWS_EC2_METADATA_SERVICE_ENDPOINT is set,
# tiledb asks both that server and 169.254.169.254 for credentials, and signs with those from
# 169.254.169.254.
#
# Where nothing listens at 169.254.169.254, tiledb does not use the credentials from the server that
# the variable names: the request to S3 has no signature. Seen, for the first use of a VFS, as the
# number of requests to each server:
#   169.254.169.254 answers   variable 4, compiled in 7, signed with the key from 169.254.169.254
#   169.254.169.254 refuses   variable 4, compiled in 0, not signed
#
# The script gives 169.254.169.254 to a server in a network namespace of its own (unshare of
# util-linux, ip of iproute2; no root needed).
#
# Exit status: 0 if it is still so, 1 if it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check tiledb==0.36.1
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
import os, re, sys
import imds

requests = {"VARIABLE": 0, "COMPILEDIN": 0}
signatures = []

def named(name):
    credentials = (
        '{"Code": "Success", "AccessKeyId": "%s", "SecretAccessKey": "secret",'
        ' "Token": "token", "Expiration": "2099-01-01T00:00:00Z"}' % name
    )

    def answer(request):
        requests[name] += 1
        if request.command == "PUT":
            return 200, b"token"
        if request.path.endswith("/security-credentials"):
            return 200, b"app"
        if request.path.endswith("/security-credentials/app"):
            return 200, credentials.encode()
        return 200, b"us-east-1a"

    return answer

def bucket(request):
    signature = re.search(r"Credential=(\w+)", request.headers.get("Authorization", ""))
    signatures.append(signature and signature[1])
    return 404, b""

how = sys.argv[1]
imds.loopback()
imds.serve(named("VARIABLE"), "127.0.0.1", 9901)
if how == "answers":
    imds.serve(named("COMPILEDIN"))
imds.serve(bucket, "127.0.0.1", 9902)
os.environ["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = "http://127.0.0.1:9901"
import tiledb

vfs = tiledb.VFS({
    "vfs.s3.endpoint_override": "127.0.0.1:9902",
    "vfs.s3.scheme": "http",
    "vfs.s3.use_virtual_addressing": "false",
    "vfs.s3.region": "us-east-1",
    "vfs.s3.connect_max_tries": "1",
})
vfs.is_file("s3://bucket/key")
print(f"169.254.169.254 {how}: requests {requests}, signed with {signatures}")
expected = (7, ["COMPILEDIN"]) if how == "answers" else (0, [None])
raise SystemExit((requests["COMPILEDIN"], signatures) != expected or requests["VARIABLE"] != 4)
PYTHON
for how in answers refuses; do
    env -i PATH="$PATH" HOME="$folder" \
        unshare --user --map-root-user --net venv/bin/python program.py "$how"
done
