#!/usr/bin/env bash
# Tests that an unmodified boto3 and an unmodified AWS command line get credentials through
# `ec2-role-credentials process` and `ec2-role-credentials serve`, and see no error during an outage of IMDS.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
python_with awscli==1.46.3 boto3==1.44.5
build
command=$PWD/target/debug/ec2-role-credentials
home=$clients/$client
rm -rf "$home/cache"
cat > "$home/config" <<CONFIG
[profile process]
region = eu-central-1
credential_process = "$command" process --keep --cache "$home/cache" --timeout 0.5 --attempts 1
CONFIG
# Less than boto3's refresh window, so that it asks again each time.
emulated '
instance.iam = { role = "the-role", lifetime = "9m", rotation = "9m" }
' env AWS_CONFIG_FILE="$home/config" AWS_DEFAULT_REGION=eu-central-1 \
    "$command" serve --cache "$home/cache" --timeout 0.5 --attempts 1 -- \
    "$python" - "$home/bin/aws" <<'PYTHON'
import os, re, subprocess, sys, urllib.request
import boto3, botocore

admin = os.environ["IMDS_EMULATOR_ADMIN_URL"] + "/__admin/"


def api(method, path):
    urllib.request.urlopen(urllib.request.Request(admin + path, method=method)).read()


def aws(*arguments):
    # This signs a URL and sends nothing.
    command = [sys.argv[1], "s3", "presign", "s3://bucket/key", *arguments]
    url = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return re.search("ASIA[A-Z0-9]{16}", url)[0]


through_process = boto3.Session(profile_name="process").get_credentials()
through_serve = boto3.Session().get_credentials()
assert through_process.method == "custom-process", through_process.method
assert through_serve.method == "container-role", through_serve.method
ways = {
    "boto3 through process": lambda: through_process.get_frozen_credentials().access_key,
    "boto3 through serve": lambda: through_serve.get_frozen_credentials().access_key,
    "aws through process": lambda: aws("--profile", "process"),
    "aws through serve": lambda: aws(),
}


def keys():
    return {name: get() for name, get in ways.items()}


before = keys()
assert len(set(before.values())) == 1, before
api("POST", "presets/imds-outage")
for _ in range(2):
    assert keys() == before
api("DELETE", "presets/imds-outage")
api("POST", "credentials/rotate")
after = keys()
for name, key in after.items():
    # The server asks IMDS again minutes after a failure, and holds valid credentials until then.
    assert (key == before[name]) == ("serve" in name), (before, after)
print(f"through-host: {', '.join(ways)}: no error (botocore {botocore.__version__})")
PYTHON
