#!/usr/bin/env bash
# Tests that unmodified clients get credentials through `ec2-role-credentials process` and
# `ec2-role-credentials serve`, also if the default profile has others, and see no error during an outage
# of IMDS.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
python_with awscli==1.46.3 awscrt==0.38.1 boto3==1.44.5 minio==7.2.20 obstore==0.12.1
client=through-host-node node_with @aws-sdk/credential-providers@3.1173.0 aws-sdk@2.1693.0
build
command=$PWD/target/debug/ec2-role-credentials
home=$clients/$client
rm -rf "$home/cache"
cat > "$home/config" <<CONFIG
[profile process]
region = eu-central-1
credential_process = "$command" process --keep --cache "$home/cache" --timeout 0.5 --attempts 1
CONFIG
cat > "$home/credentials" <<CREDENTIALS
[default]
aws_access_key_id = AKIADEFAULTPROFILE00
aws_secret_access_key = secret
CREDENTIALS
# Reports the access key ID that the default chain of each version of the SDK finds.
cat > "$modules/../keys.mjs" <<'JAVASCRIPT'
import { createRequire } from "node:module";
const require = createRequire(import.meta.url);
const { fromNodeProviderChain } = require("@aws-sdk/credential-providers");
process.env.AWS_SDK_JS_SUPPRESS_MAINTENANCE_MODE_MESSAGE = "1";
const AWS = require("aws-sdk");
console.log((await fromNodeProviderChain()()).accessKeyId);
console.log((await new AWS.CredentialProviderChain().resolvePromise()).accessKeyId);
JAVASCRIPT
# Less than boto3's refresh window, so that it asks again each time.
emulated '
instance.iam = { role = "the-role", lifetime = "9m", rotation = "9m" }
' env AWS_CONFIG_FILE="$home/config" AWS_SHARED_CREDENTIALS_FILE="$home/credentials" AWS_DEFAULT_REGION=eu-central-1 \
    "$command" serve --cache "$home/cache" --timeout 0.5 --attempts 1 -- \
    "$python" - "$home/bin/aws" "$modules/../keys.mjs" <<'PYTHON'
import datetime, os, re, subprocess, sys, urllib.request
import awscrt.auth, awscrt.io, boto3, botocore, minio.credentials, obstore, obstore.store

admin = os.environ["IMDS_EMULATOR_ADMIN_URL"] + "/__admin/"


def api(method, path):
    urllib.request.urlopen(urllib.request.Request(admin + path, method=method)).read()


def aws(*arguments):
    # This signs a URL and sends nothing.
    command = [sys.argv[1], "s3", "presign", "s3://bucket/key", *arguments]
    url = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return re.search("ASIA[A-Z0-9]{16}", url)[0]


def node():
    keys = subprocess.run(["node", sys.argv[2]], check=True, stdout=subprocess.PIPE, text=True).stdout
    [key] = set(keys.split())
    return key


def crt():
    bootstrap = awscrt.io.ClientBootstrap.get_or_create_static_default()
    chain = awscrt.auth.AwsCredentialsProvider.new_default_chain(bootstrap)
    return chain.get_credentials().result(60).access_key_id


def store():
    # This sends nothing but the request for credentials.
    bucket = obstore.store.S3Store("bucket", region="eu-central-1")
    url = obstore.sign(bucket, "GET", "key", datetime.timedelta(minutes=1))
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
    "awscrt through serve": crt,
    "JavaScript v2 and v3 through serve": node,
    "minio-py through serve": lambda: minio.credentials.IamAwsProvider().retrieve().access_key,
    "obstore through serve": store,
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
