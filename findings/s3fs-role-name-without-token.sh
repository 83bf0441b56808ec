#!/usr/bin/env bash
# s3fs 1.90 (Debian 12): with `iam_role=auto`, it asks for the name of the role without a token,
# though it gets a token for the credentials. An instance that requires tokens answers with 401.
# s3fs then stops, with exit status 0.
#
# If the option names the role, s3fs gets the credentials there. Seen, as the requests:
#   auto, tokens required   GET security-credentials/ 401
#   auto, tokens optional   GET security-credentials/ 200, PUT 200, GET security-credentials/app 200
#   app, tokens required    PUT 200, GET security-credentials/app 200
#
# The address of IMDS is compiled in, so the script gives it to a server in a network namespace of
# its own (unshare of util-linux, ip of iproute2). It mounts in a mount namespace of its own, for
# which it must be able to open /dev/fuse. The bucket is a server that answers every request with
# 403.
#
# Exit status: 0 if it is still so, 1 if it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get download --quiet=2 s3fs=1.90-1 libfuse2 2> /dev/null
for package in *.deb; do dpkg --extract "$package" .; done
mkdir mnt
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
import glob, os, subprocess, sys
import imds

role, tokens = sys.argv[1:]
root = "/latest/meta-data/iam/"
answers = {
    root + "security-credentials/": b"app",
    root + "security-credentials/app": b"""{
        "Code": "Success", "AccessKeyId": "ASIAEXAMPLEEXAMPLE12", "SecretAccessKey": "secret",
        "Token": "token", "Expiration": "2099-01-01T00:00:00Z"}""",
}
seen = []

def answer(request):
    if request.command == "PUT":
        seen.append("PUT 200")
        return 200, b"token"
    status, body = (200, answers[request.path]) if request.path in answers else (404, b"")
    if tokens == "required" and request.headers.get("X-aws-ec2-metadata-token") != "token":
        status, body = 401, b""
    seen.append(f"GET {request.path.removeprefix(root)} {status}")
    return status, body

imds.loopback()
imds.serve(answer)
imds.serve(lambda request: (403, b""), "127.0.0.1", 9900)
options = f"iam_role={role},url=http://127.0.0.1:9900,use_path_request_style,retries=1"
libraries = glob.glob(os.path.abspath("lib/*-linux-gnu"))
result = subprocess.run(
    ["usr/bin/s3fs", "bucket", "mnt", "-f", "-o", options],
    env={"PATH": "/usr/bin:/bin", "LD_LIBRARY_PATH": ":".join(libraries)},
    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60,
)
print(f"{role}, tokens {tokens}:", ", ".join(seen))
credentials = ["PUT 200", "GET security-credentials/app 200"]
expected = {
    ("auto", "required"): ["GET security-credentials/ 401"],
    ("auto", "optional"): ["GET security-credentials/ 200", *credentials],
    ("app", "required"): credentials,
}[role, tokens]
message = "could not load IAM role name from meta data"
failed = message in result.stdout
if failed:
    print(f"  exit status {result.returncode}, {message}")
refused = (role, tokens) == ("auto", "required")
raise SystemExit(seen != expected or failed != refused or failed and result.returncode != 0)
PYTHON
for arguments in "auto required" "auto optional" "app required"; do
    env -i PATH="$PATH" HOME="$folder" \
        unshare --user --map-root-user --net --mount --pid --fork --kill-child \
        python3 program.py $arguments
done
