#!/usr/bin/env bash
# Tests that an unmodified boto3 behaves as the table in emulator/docs/clients.md says when IMDS fails. With
# BLESS=1, it updates the table.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
python_with boto3==1.44.5
emulated '
instance.iam.role = "boto3-role"
metadata-options.HttpTokens = "optional"
' env UPDATE="${BLESS:-}" "$python" - emulator/docs/clients.md <<'PYTHON'
import json, logging, os, pathlib, re, socket, sys, time, urllib.request
import botocore.session

logging.disable(logging.CRITICAL)
admin = os.environ["IMDS_EMULATOR_ADMIN_URL"] + "/__admin/"
endpoint = os.environ["AWS_EC2_METADATA_SERVICE_ENDPOINT"]


def api(method, path, body=None):
    request = urllib.request.Request(admin + path, method=method)
    if body is not None:
        request.add_header("Content-Type", "application/json")
        request.data = json.dumps(body).encode()
    with urllib.request.urlopen(request) as answer:
        text = answer.read()
        return json.loads(text) if text else None


def under(rule):
    api("POST", "reset")
    api("POST", "faults", {"name": "the fault", **rule})
    is_down = rule["fault"]["type"] == "down"
    host, port = endpoint.removeprefix("http://").rstrip("/").split(":")
    while is_down:
        try:
            socket.create_connection((host, int(port))).close()
            time.sleep(0.005)
        except ConnectionRefusedError:
            break
    try:
        credentials = botocore.session.Session().get_credentials()
        if credentials is None:
            outcome = "no credentials"
        else:
            outcome = "credentials"
    except Exception:
        outcome = "an error"
    # The emulator needs a moment to notice that a client abandoned a request.
    time.sleep(0.1)
    counts = {m: api("POST", "requests/count", {"method": m})["count"] for m in ("PUT", "GET")}
    api("DELETE", "faults")
    return f"{outcome}; {counts['PUT']} PUT, {counts['GET']} GET"


path = pathlib.Path(sys.argv[1])
was = path.read_text()
lines, rows = [], 0
for line in was.splitlines():
    found = re.match(r"^(\| .*? \| `(\{.*\})` \| )(.*?)( \| .* \|)$", line)
    if found:
        rows += 1
        line = found[1] + under(json.loads(found[2])) + found[4]
    lines.append(line)
now = "\n".join(lines) + "\n"
assert rows >= 8, rows
if os.environ.get("UPDATE"):
    path.write_text(now)
elif now != was:
    differ = [f"is  {n}\nwas {w}" for w, n in zip(was.splitlines(), lines) if w != n]
    sys.exit("boto3 does something else:\n" + "\n".join(differ))
print(f"boto3-faults: {rows} faults, as the table says")
PYTHON
