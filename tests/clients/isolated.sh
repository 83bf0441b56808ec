#!/usr/bin/env bash
# Programs that have the address of IMDS compiled in, unmodified and without configuration, get what
# they ask for in an isolated network.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
python_with ec2-metadata==3.0.0 newrelic==14.1.0 opentelemetry-sdk-extension-aws==2.1.0 \
    s3cmd==2.4.0 sentry-sdk==2.75.0 urllib3==2.8.0
# Debian's package, unpacked and not installed.
restic=$clients/$client/restic
if ! [ -e "$restic" ]; then
    (cd "$clients/$client" && apt-get download --quiet=2 restic 2> /dev/null &&
        dpkg --extract restic_*.deb package && cp package/usr/bin/restic .) ||
        echo "$client: without restic, which cannot be installed here"
fi
build
emulator=$PWD/target/debug/imds-emulator

if ! "$emulator" run --isolated -- true 2> "$clients/$client/refused"; then
    cat "$clients/$client/refused"
    echo "$client: not run, because a command cannot be isolated here"
    exit 77
fi

# isolated NAME PATH SCRIPT: runs a script as `sh -c` does. It must have asked for PATH, with
# tokens only. Its exit status is its own affair, because there is no bucket.
isolated() {
    local name=$1 path=$2
    # shellcheck disable=SC2016
    local verify='"$CTL" ctl verify no_imdsv1 "$EXPECTED"'
    local asked="{\"min_requests\": {\"min\": 1, \"of\": {\"path\": \"$path\", \"status\": 200}}}"
    env -i PATH="$PATH" HOME=/nonexistent CTL="$emulator" EXPECTED="$asked" \
        BIN="$(dirname "$python")" RESTIC="$restic" \
        "$emulator" --role app run --isolated -- sh -c "$3"$'\n'"$verify" > "$clients/$client/output" 2>&1 || {
        echo "$client: $name failed:"
        cat "$clients/$client/output"
        exit 1
    }
    echo "$client: $name asked for $path"
}

document=/latest/dynamic/instance-identity/document
role=/latest/meta-data/iam/security-credentials/app
isolated ec2-metadata "$document" \
    '"$BIN/python" -c "from ec2_metadata import ec2_metadata as m; assert m.region == \"us-east-1\"" || exit'
isolated opentelemetry "$document" '"$BIN/python" -c "
from opentelemetry.sdk.extension.aws.resource.ec2 import AwsEc2ResourceDetector
found = AwsEc2ResourceDetector().detect().attributes
assert found[\"host.type\"] == \"t3.micro\", found
" || exit'
isolated sentry-sdk "$document" '"$BIN/python" -c "
from sentry_sdk.integrations.cloud_resource_context import CloudResourceContextIntegration
found = CloudResourceContextIntegration._get_cloud_resource_context()
assert found[\"cloud.availability_zone\"] == \"us-east-1a\", found
" || exit'
isolated newrelic "$document" '"$BIN/python" -c "
from newrelic.common.utilization import AWSUtilization
found = AWSUtilization.detect()
assert found[\"instanceType\"] == \"t3.micro\", found
" || exit'
isolated s3cmd "$role" '"$BIN/s3cmd" --host=127.0.0.1:9 --host-bucket=127.0.0.1:9 --no-ssl ls'
if [ -e "$restic" ]; then
    isolated restic "$role" 'AWS_REGION=us-east-1 "$RESTIC" --repo s3:http://127.0.0.1:9/bucket snapshots --no-lock --no-cache'
fi
