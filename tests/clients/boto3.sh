#!/usr/bin/env bash
# An unmodified boto3 gets credentials and the region from the emulator.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
python_with boto3==1.44.5
emulated '
instance.iam.role = "boto3-role"
instance.placement.availability-zone = "eu-central-1b"
' "$python" - <<'PYTHON'
import boto3, botocore.session, botocore.utils, os

credentials = boto3.Session(region_name="eu-central-1").get_credentials()
assert credentials is not None, "no credentials"
assert credentials.method == "iam-role", credentials.method
frozen = credentials.get_frozen_credentials()
assert frozen.access_key.startswith("ASIA") and len(frozen.access_key) == 20, frozen.access_key
assert len(frozen.secret_key) == 40
assert len(frozen.token) > 500

endpoint = os.environ["AWS_EC2_METADATA_SERVICE_ENDPOINT"]
fetcher = botocore.utils.InstanceMetadataRegionFetcher(base_url=endpoint)
region = fetcher.retrieve_region()
assert region == "eu-central-1", region
print(f"boto3 {boto3.__version__}: got credentials {frozen.access_key} and region {region}")
PYTHON
