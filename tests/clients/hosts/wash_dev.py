"""Components in `wash dev`: `python wash_dev.py WASH FOLDER PROVIDER HANDLER COMPOSED`, COMPOSED being the two in one."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

from serving import ask, requests_of_three, serving

wash, folder, provider, handler, composed = sys.argv[1:]
IMDS = os.environ["AWS_EC2_METADATA_SERVICE_ENDPOINT"]
# wash needs a folder for its cache.
os.environ["HOME"] = folder


def dev(component, allowed_hosts, *others):
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = "127.0.0.1:%d" % free.getsockname()[1]
    environment = {"config": {"AWS_EC2_METADATA_SERVICE_ENDPOINT": IMDS}}
    config = {
        # There is nothing to build, but a command is required.
        "build": {"command": "true", "component_path": component},
        "dev": {"address": address, "components": others},
        # Without this list, everything is permitted.
        "workload": {"environment": environment, "allowedHosts": allowed_hosts},
    }
    file = Path(folder, ".wash/config.yaml")
    file.parent.mkdir(parents=True, exist_ok=True)
    # JSON is YAML.
    file.write_text(json.dumps(config))
    return serving([wash, "-C", folder, "dev"], r"listening for HTTP requests address=(\S+)")


with dev(composed, [IMDS]) as url:
    in_one = requests_of_three(url)

with dev(composed, []) as url:
    denied = ask(url)
assert denied == (500, "the host does not allow requests to the endpoint"), denied

# Side by side: only the provider may reach IMDS.
credentials = {"name": "credentials", "file": provider, "allowedHosts": [IMDS]}
with dev(handler, [], credentials) as url:
    side_by_side = requests_of_three(url)

assert (in_one, side_by_side) == (9, 9), (in_one, side_by_side)
version = subprocess.run([wash, "--version"], check=True, capture_output=True, text=True).stdout.strip()
print(f"{version}: in one and side by side, three requests are {in_one} to IMDS; without allowedHosts, none")
