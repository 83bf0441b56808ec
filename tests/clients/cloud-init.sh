#!/usr/bin/env bash
# The EC2 data source of an unmodified cloud-init finds the emulator, chooses a version and reads the
# whole tree, the user data and the identity document.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
# cloud-init is a Debian package, not a Python package, but its dependencies are Python packages.
python_with configobj jinja2 jsonpatch jsonschema oauthlib pyyaml requests
source=$clients/$client/source
debian_with source cloud-init || cannot_install
emulated '
[instance]
user-data = "#cloud-config\nhostname: hello\n"
iam.role = "cloud-role"
placement.availability-zone = "eu-central-1b"
[[instance.public-keys]]
name = "mine"
openssh-key = "ssh-ed25519 AAAAC3Nza"
' env PYTHONPATH="$source/usr/lib/python3/dist-packages" "$python" - "$clients/$client" <<'PYTHON'
import os, sys
from cloudinit import helpers, version
from cloudinit.sources import DataSourceEc2 as ec2

endpoint = os.environ["AWS_EC2_METADATA_SERVICE_ENDPOINT"].rstrip("/")
paths = helpers.Paths({"cloud_dir": sys.argv[1] + "/cloud", "run_dir": sys.argv[1] + "/run"})
config = {"datasource": {"Ec2": {"metadata_urls": [endpoint], "max_wait": 10, "timeout": 5}}}
source = ec2.DataSourceEc2(config, None, paths)
# On an instance, it recognises EC2 from the BIOS.
source._cloud_name = ec2.CloudNames.AWS
found = source.crawl_metadata()

data = found["meta-data"]
assert found["_metadata_api_version"] == "2021-03-23", found["_metadata_api_version"]
assert data["placement"]["availability-zone"] == "eu-central-1b"
# The newline after the key, which EC2 sends too, makes it a list.
assert data["public-keys"]["mine"] == ["ssh-ed25519 AAAAC3Nza mine"], data["public-keys"]
assert data["tags"]["instance"]["Name"] == "emulated"
macs = data["network"]["interfaces"]["macs"]
assert macs[data["mac"]]["local-ipv4s"] == data["local-ipv4"]
assert found["user-data"] == b"#cloud-config\nhostname: hello\n", found["user-data"]
document = found["dynamic"]["instance-identity"]["document"]
assert document["region"] == "eu-central-1"
assert document["instanceId"] == data["instance-id"]
print(f"cloud-init {version.version_string()}: read {len(data)} categories of {data['instance-id']}")
PYTHON
