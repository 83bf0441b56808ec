"""Plays S3 for one client: it accepts what is signed with the credentials that IMDS has.

`python s3.py COMMAND...` runs a command with the server's host and port in S3_AUTHORITY.
"""

import hashlib
import hmac
import json
import os
import subprocess
import sys
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

IMDS = os.environ["AWS_EC2_METADATA_SERVICE_ENDPOINT"].rstrip("/") + "/latest/"


def imds(path, method="GET", **headers):
    headers = {f"X-aws-ec2-metadata-{name.replace('_', '-')}": value for name, value in headers.items()}
    request = urllib.request.Request(IMDS + path, method=method, headers=headers)
    with urllib.request.urlopen(request) as answer:
        return answer.read().decode()


def role_credentials():
    token = imds("api/token", "PUT", token_ttl_seconds="60")
    role = imds("meta-data/iam/security-credentials/", token=token)
    return json.loads(imds(f"meta-data/iam/security-credentials/{role}", token=token))


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


def is_signed(path, headers):
    """AWS Signature Version 4, as its documentation has it."""
    credentials = role_credentials()
    given = dict(part.strip().split("=", 1) for part in headers["Authorization"].split(" ", 1)[1].split(","))
    key_id, *scope = given["Credential"].split("/")
    names = given["SignedHeaders"].split(";")
    # S3 requires these headers.
    if not {"host", "x-amz-content-sha256", "x-amz-date", "x-amz-security-token"} <= set(names):
        return False
    canonical = [headers[name].strip() for name in names]
    request = "\n".join(
        ["GET", path, "", *map(":".join, zip(names, canonical)), "", ";".join(names), headers["X-Amz-Content-Sha256"]]
    )
    text = "\n".join(["AWS4-HMAC-SHA256", headers["X-Amz-Date"], "/".join(scope), digest(request)])
    key = ("AWS4" + credentials["SecretAccessKey"]).encode()
    for part in [*scope, text]:
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return (
        headers["X-Amz-Content-Sha256"] == digest("")
        and key_id == credentials["AccessKeyId"]
        and headers["X-Amz-Security-Token"] == credentials["Token"]
        and hmac.compare_digest(key.hex(), given["Signature"])
    )


class S3(BaseHTTPRequestHandler):
    def do_GET(self):
        try:
            accepted = is_signed(self.path, self.headers)
        except (AttributeError, KeyError, TypeError, ValueError, IndexError):
            accepted = False
        self.send_response(200 if accepted else 403)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), S3)
threading.Thread(target=server.serve_forever, daemon=True).start()
os.environ["S3_AUTHORITY"] = "127.0.0.1:%d" % server.server_address[1]
sys.exit(subprocess.run(sys.argv[1:]).returncode)
