#!/usr/bin/env bash
# boto3 and botocore 1.44.5 (PyPI): credentials of IMDS that are valid for less than 17 minutes are used after
# they have expired, although IMDS is healthy and has newer ones.
#
# botocore takes a short lifetime for an outage of IMDS, and prolongs the credentials by itself: to 17 to 25
# minutes from now, at random. It asks IMDS again 15 minutes before that. Seen, with an IMDS whose credentials
# differ at every request, in 24 sessions that read their credentials twice, 4 s apart:
#   valid for 3 s: 0 sessions have other credentials at the second read
#   valid for 1 h: 0 sessions have other credentials at the second read
#
# Exit status: 0 if it is still so, 1 if it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check boto3==1.44.5 botocore==1.44.5
cat > program.py <<'PYTHON'
import datetime, http.server, json, os, threading, time

import boto3

def imds(seconds):
    """Starts a server whose credentials are valid for so long."""
    given = []
    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self):
            body = "app"
            if self.command == "PUT":
                body = "token"
            elif self.path.endswith("/app"):
                given.append(f"KEY-{len(given) + 1}")
                end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
                body = json.dumps({
                    "Code": "Success", "AccessKeyId": given[-1], "SecretAccessKey": "secret", "Token": "token",
                    "Expiration": end.strftime("%Y-%m-%dT%H:%M:%SZ"),
                })
            self.send_response(200)
            self.send_header("X-aws-ec2-metadata-token-ttl-seconds", "21600")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())
        do_GET = do_PUT = answer
        def log_message(self, *arguments): pass
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    os.environ["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = f"http://127.0.0.1:{server.server_port}/"

def others(seconds):
    """The number of sessions whose second read, after 4 s, gives another key."""
    imds(seconds)
    sessions = [boto3.Session().get_credentials() for _ in range(24)]
    first = [session.get_frozen_credentials().access_key for session in sessions]
    time.sleep(4)
    return sum(session.get_frozen_credentials().access_key != key for session, key in zip(sessions, first))

for name, seconds in [("3 s", 3), ("1 h", 3600)]:
    print(f"valid for {name}: {others(seconds)} sessions have other credentials at the second read")
PYTHON
seen=$(env -i PATH="$PATH" HOME="$folder" venv/bin/python program.py)
echo "$seen"
[ "$seen" = 'valid for 3 s: 0 sessions have other credentials at the second read
valid for 1 h: 0 sessions have other credentials at the second read' ]
