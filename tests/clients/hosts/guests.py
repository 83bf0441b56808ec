"""Composed guests in three hosts, in the emulator's isolated network: `python guests.py WASMTIME EXAMPLES LANGUAGE...`.

Every signature must be the one that botocore makes, with the same credentials and at the same time. If the instance
has no role, every guest must give the component's error.
"""

import ast
import datetime
import json
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from unittest import mock

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

BUCKET, REGION, TIME = "a-bucket", "eu-central-1", 1_790_000_000
IMDS = "http://169.254.169.254/latest/"
NO_ROLE = "the instance has no role: IMDS has no role list"

wasmtime, examples, *languages = sys.argv[1:]
hosts = Path(examples) / "hosts"


def imds(path, method="GET", **headers):
    headers = {f"X-aws-ec2-metadata-{name.replace('_', '-')}": value for name, value in headers.items()}
    request = urllib.request.Request(IMDS + path, method=method, headers=headers)
    with urllib.request.urlopen(request) as answer:
        return answer.read().decode()


def role_credentials():
    token = imds("api/token", "PUT", token_ttl_seconds="60")
    try:
        role = imds("meta-data/iam/security-credentials/", token=token)
    except urllib.error.HTTPError as error:
        assert error.code == 404, error
        return None
    found = json.loads(imds(f"meta-data/iam/security-credentials/{role}", token=token))
    return Credentials(found["AccessKeyId"], found["SecretAccessKey"], found["Token"])


def expected(date):
    """The headers as botocore makes them."""
    host = f"{BUCKET}.s3.{REGION}.amazonaws.com"
    request = AWSRequest("GET", f"https://{host}/")
    at = datetime.datetime.strptime(date, "%Y%m%dT%H%M%SZ")
    with mock.patch("botocore.auth.get_current_datetime", lambda: at):
        S3SigV4Auth(credentials, "s3", REGION).add_auth(request)
    return {"host": host} | {name.lower(): value for name, value in request.headers.items()}


def run(*command, cwd=None):
    return subprocess.run(command, capture_output=True, text=True, timeout=240, cwd=cwd)


def command_line(component):
    """What the function gives in wasmtime's command line. The exit status is 0 also where that is an error."""
    call = f'sign("{BUCKET}", "{REGION}", {TIME})'
    result = run(wasmtime, "run", "-S", "http", "--invoke", call, str(component))
    assert result.returncode == 0, result.stderr
    # As in `ok([("host", "…"), …])` and `err("…")`.
    kind, value = result.stdout.strip().removesuffix(")").split("(", 1)
    value = ast.literal_eval(value)
    return ("error", value) if kind == "err" else ("ok", dict(value))


def program(*command):
    result = run(*command, BUCKET, REGION, cwd=hosts)
    if result.returncode != 0 and result.stderr.startswith("error: "):
        return "error", result.stderr.removeprefix("error: ").strip()
    assert result.returncode == 0, result.stderr
    return "ok", dict(line.split(": ", 1) for line in result.stdout.splitlines())


credentials = role_credentials()
for language in languages:
    component = f"../{language}/build/composed.wasm"
    results = {
        "wasmtime": command_line(hosts / component),
        "wasmtime-py": program(sys.executable, "sign.py", component),
        "Node.js": program("node", "sign.mjs", f"out/{language}/composed.js"),
    }
    for host, (kind, value) in results.items():
        where = f"{language} in {host}"
        if credentials is None:
            assert (kind, value) == ("error", NO_ROLE), (where, kind, value)
        else:
            assert kind == "ok", (where, value)
            # Without the values, among which are secrets.
            assert value == expected(value["x-amz-date"]), (where, value.keys())
    if credentials is not None:
        assert results["wasmtime"][1]["x-amz-date"] == "20260921T141320Z"
    told = "gives the component's error" if credentials is None else "signs as botocore does"
    print(f"{language}: {told}, in {', '.join(results)}")
