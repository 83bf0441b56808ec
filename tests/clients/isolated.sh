#!/usr/bin/env bash
# Programs that have the address of IMDS compiled in, unmodified and without configuration, get what
# they ask for in an isolated network. What a program prints is checked, and what it asked for.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
# The second line has what cloud-init needs, which is a Debian package.
python_with ansible-core==2.19.14 boto3==1.44.5 ec2-metadata==3.0.0 newrelic==14.1.0 opentelemetry-sdk-extension-aws==2.1.0 \
    configobj jinja2 jsonpatch jsonschema oauthlib pyyaml requests \
    s3cmd==2.4.0 sentry-sdk==2.75.0 urllib3==2.8.0
home=$clients/$client
drivers=$PWD/tests/clients/drivers

# without NAME: says that a program does not run.
without() {
    echo "$client: without $1, which cannot be installed here"
}

# ansible_with COLLECTION: unpacks a collection of the package `ansible`, which is large.
ansible_with() {
    [ ! -e "$home/collections" ] || return 0
    "$python" -m pip download --quiet --disable-pip-version-check --no-deps --dest "$home" ansible==12.3.0 || return 1
    "$python" - "$home" "$1" <<'PYTHON'
import glob, os, sys, zipfile

home, collection = sys.argv[1:]
[wheel] = glob.glob(home + "/ansible-*.whl")
with zipfile.ZipFile(wheel) as files:
    names = [name for name in files.namelist() if name.startswith(f"ansible_collections/{collection}/")]
    files.extractall(home + "/collections", names)
os.remove(wheel)
PYTHON
}

programs=()
for program in cloud-init restic; do
    if debian_with "$program" "$program"; then programs+=("$program"); else without "$program"; fi
done
# It needs libraries of the system.
if debian_with pgbackrest pgbackrest && "$home/pgbackrest/usr/bin/pgbackrest" version > /dev/null 2>&1; then
    programs+=(pgbackrest)
else
    without pgbackrest
fi
if ruby_with facter ruby-hocon ruby-thor; then programs+=(facter); else without facter; fi
if ansible_with amazon/aws; then programs+=(ansible); else without "ansible's ec2_metadata_facts"; fi
build
emulator=$PWD/target/debug/imds-emulator

if ! "$emulator" run --isolated -- true 2> "$home/refused"; then
    cat "$home/refused"
    echo "$client: not run, because a command cannot be isolated here"
    exit 77
fi

# isolated NAME PATH SCRIPT [OPTION...]: runs a script as `sh -c` does, with options of `run`. It must
# succeed, and have asked for PATH, with tokens only.
isolated() {
    local name=$1 path=$2 script=$3
    shift 3
    # shellcheck disable=SC2016
    local verify='"$CTL" ctl verify no_imdsv1 "$EXPECTED"'
    local asked="{\"min_requests\": {\"min\": 1, \"of\": {\"path\": \"$path\", \"status\": 200}}}"
    env -i PATH="$PATH" HOME=/nonexistent CTL="$emulator" EXPECTED="$asked" \
        BIN="$(dirname "$python")" CLIENT="$home" RUBY="${ruby:-}" S3="$drivers/s3.py" \
        "$emulator" --role app run --isolated "$@" -- sh -c "{ $script"$'\n'"} && $verify" \
        > "$home/output" 2>&1 || {
        echo "$client: $name failed:"
        cat "$home/output"
        exit 1
    }
    echo "$client: $name asked for $path"
}

# installed_program NAME
installed_program() {
    [[ " ${programs[*]} " == *" $1 "* ]]
}

document=/latest/dynamic/instance-identity/document
role=/latest/meta-data/iam/security-credentials/app
isolated ec2-metadata "$document" \
    '"$BIN/python" -c "from ec2_metadata import ec2_metadata as m; assert m.region == \"us-east-1\""'
isolated opentelemetry "$document" '"$BIN/python" -c "
from opentelemetry.sdk.extension.aws.resource.ec2 import AwsEc2ResourceDetector
found = AwsEc2ResourceDetector().detect().attributes
assert found[\"host.type\"] == \"t3.micro\", found
"'
isolated sentry-sdk "$document" '"$BIN/python" -c "
from sentry_sdk.integrations.cloud_resource_context import CloudResourceContextIntegration
found = CloudResourceContextIntegration._get_cloud_resource_context()
assert found[\"cloud.availability_zone\"] == \"us-east-1a\", found
"'
isolated newrelic "$document" '"$BIN/python" -c "
from newrelic.common.utilization import AWSUtilization
found = AWSUtilization.detect()
assert found[\"instanceType\"] == \"t3.micro\", found
"'
isolated s3cmd "$role" '"$BIN/python" -B "$S3" s3cmd sh -c '\''
    "$BIN/s3cmd" --host="$S3_HOST:$S3_PORT" --host-bucket="$S3_HOST:$S3_PORT" --no-ssl ls s3://s3cmd'\'
if installed_program restic; then
    isolated restic "$role" '"$BIN/python" -B "$S3" restic sh -c '\''
        AWS_REGION=us-east-1 RESTIC_PASSWORD=password "$CLIENT/restic/usr/bin/restic" \
            --repo "s3:http://$S3_HOST:$S3_PORT/restic" snapshots --no-lock --no-cache'\'
fi
if installed_program pgbackrest; then
    # It speaks to S3 over TLS only.
    openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=s3 -days 30 \
        -keyout "$home/key.pem" -out "$home/certificate.pem" 2> /dev/null
    cat "$home/key.pem" >> "$home/certificate.pem"
    isolated pgbackrest "$role" '"$BIN/python" -B "$S3" pgbackrest --certificate "$CLIENT/certificate.pem" sh -c '\''
        "$CLIENT/pgbackrest/usr/bin/pgbackrest" repo-ls --config=/dev/null --log-level-file=off \
            --repo1-type=s3 --repo1-path=/ --repo1-s3-bucket=pgbackrest --repo1-s3-region=us-east-1 \
            --repo1-s3-endpoint=s3.us-east-1.amazonaws.com --repo1-s3-uri-style=path \
            --repo1-s3-key-type=auto --repo1-storage-host="$S3_HOST" --repo1-storage-port="$S3_PORT" \
            --no-repo1-storage-verify-tls --io-timeout=5'\'
fi
if installed_program facter; then
    isolated facter /latest/meta-data/placement/region '
        found=$("$RUBY" "$CLIENT/ruby/usr/bin/facter" ec2_metadata.placement.region cloud.provider) &&
        [ "$found" = "cloud.provider => aws
ec2_metadata.placement.region => us-east-1" ] || { echo "$found"; false; }'
fi
if installed_program ansible; then
    isolated ansible "$document" '
        found=$(HOME="$CLIENT/ansible" LC_ALL=C.UTF-8 ANSIBLE_COLLECTIONS_PATH="$CLIENT/collections" \
            "$BIN/ansible" localhost --connection local --extra-vars "ansible_python_interpreter=$BIN/python" \
            --module-name amazon.aws.ec2_metadata_facts) &&
        case $found in *"\"ansible_ec2_placement_region\": \"us-east-1\""*) ;; *) echo "$found"; false ;; esac'
fi
if installed_program cloud-init; then
    # In a container, cloud-init does not look for EC2, so that it is told that this is none.
    mkdir -p "$home/virtualization"
    cat > "$home/virtualization/systemd-detect-virt" <<'SH'
#!/bin/sh
case "$*" in *--container*) exit 1 ;; *) echo amazon ;; esac
SH
    chmod +x "$home/virtualization/systemd-detect-virt"
    rm -rf "$home/run"
    isolated cloud-init /2021-03-23/meta-data/placement/availability-zone '
        export PATH="$CLIENT/virtualization:$PATH" &&
        PATH_RUN="$CLIENT/run" PATH_ETC_CLOUD="$CLIENT/run" PATH_VAR_LIB_CLOUD="$CLIENT/run" \
            sh "$CLIENT/cloud-init/usr/lib/cloud-init/ds-identify" &&
        grep "^datasource_list: \[ Ec2, None \]$" "$CLIENT/run/cloud-init/cloud.cfg" &&
        PYTHONPATH="$CLIENT/cloud-init/usr/lib/python3/dist-packages" "$BIN/python" -c "
import os, sys
from cloudinit import helpers
from cloudinit.sources.DataSourceEc2 import DataSourceEc2
paths = helpers.Paths({\"cloud_dir\": sys.argv[1], \"run_dir\": sys.argv[1] + \"/cloud-init\"})
source = DataSourceEc2({}, None, paths)
assert os.getuid() == 0
assert source.get_data()
assert source.cloud_name == \"aws\", source.cloud_name
assert source.metadata_address == \"http://169.254.169.254\", source.metadata_address
assert source.region == \"us-east-1\", source.region
" "$CLIENT/run"' --map-root
fi

# boto3 on an instance and in a container on it, over IPv4 and IPv6. Responses with a token are dropped
# on their way to the container if the hop limit is 1, so that boto3 gives up after its timeout.
hops() {
    local expected=$1
    shift
    env -i PATH="$PATH" HOME=/nonexistent BIN="$(dirname "$python")" \
        "$emulator" --role app "$@" run --isolated --map-root -- emulator/tests/container.sh sh -c '
            for mode in IPv4 IPv6; do
                AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE=$mode "$BIN/python" -c "
import boto3, time
began = time.monotonic()
found = boto3.Session().get_credentials()
print(found.method if found else \"nothing\", \"at once\" if time.monotonic() - began < 1 else \"after a timeout\")"
            done' > "$home/output" 2>&1 || true
    if grep --quiet "not found\|Unknown device type" "$home/output"; then
        echo "$client: without the hop limit, because the system has no veth or no iproute2"
    elif [ "$(< "$home/output")" != "$expected" ]; then
        echo "$client: boto3 with the options $*:"
        cat "$home/output"
        exit 1
    else
        echo "$client: boto3 on an instance and in a container, with the options $*: $(paste -sd , "$home/output")"
    fi
}
credentials="iam-role at once"
nothing="nothing after a timeout"
hops "$(printf '%s\n' "$credentials" "$credentials" "$nothing" "$nothing")" --set metadata-options.HttpPutResponseHopLimit=1
hops "$(printf '%s\n' "$credentials" "$credentials" "$credentials" "$credentials")" --set metadata-options.HttpPutResponseHopLimit=2
