#!/usr/bin/env bash
# An unmodified boto3 gets credentials from the emulator.
#
#   tests/clients/boto3.sh        installs boto3 into target/clients/boto3 first, where it is not there yet
#
# Exit status: 0 if it got them, 1 if not, 77 if boto3 cannot be installed here.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

venv=target/clients/boto3
if ! "$venv/bin/python" -c 'import boto3' 2>/dev/null; then
    if ! { python3 -m venv "$venv" && "$venv/bin/pip" install --quiet --disable-pip-version-check boto3==1.44.5; }; then
        echo "boto3: not run, because it cannot be installed here"
        exit 77
    fi
fi

cargo build --quiet --package imds-emulator
exec 3< <(exec target/debug/imds-emulator --port 0 --role boto3-role)
emulator=$!
trap 'kill "$emulator" 2>/dev/null || true' EXIT
read -r ready <&3
endpoint=$(sed -E 's/.*"metadata":"([^"]+)".*/\1/' <<< "$ready")

# Nothing of the machine's own configuration, and no other source of credentials.
env -i PATH="$PATH" HOME=/nonexistent AWS_EC2_METADATA_SERVICE_ENDPOINT="$endpoint" "$venv/bin/python" - <<'PYTHON'
import boto3

credentials = boto3.Session(region_name="eu-central-1").get_credentials()
assert credentials is not None, "no credentials"
assert credentials.method == "iam-role", credentials.method
frozen = credentials.get_frozen_credentials()
assert frozen.access_key.startswith("ASIA") and len(frozen.access_key) == 20, frozen.access_key
assert len(frozen.secret_key) == 40
assert len(frozen.token) > 500
print(f"boto3 {boto3.__version__}: got credentials {frozen.access_key}")
PYTHON
