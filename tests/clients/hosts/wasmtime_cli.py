"""Components in the wasmtime command line: `python wasmtime_cli.py WASMTIME PROVIDER CONSUMER HANDLER`.

The consumer and the handler are composed with the provider.
"""

import json
import os
import subprocess
import sys

from serving import requests_of_three, serving

wasmtime, provider, consumer, handler = sys.argv[1:]
IMDS = os.environ["AWS_EC2_METADATA_SERVICE_ENDPOINT"]


def run(*arguments):
    return subprocess.run([wasmtime, *arguments], capture_output=True, text=True, timeout=60)


def invoke(call, component):
    """What a function gives. The exit status is 0 also where that is an error."""
    result = run("run", "-S", "http", "--invoke", call, component)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def refused(why, *arguments):
    result = run(*arguments)
    assert result.returncode != 0 and why in result.stderr, result.stderr


# The provider alone: each process can call one of its functions.
assert invoke(f"configure({{endpoint: some({json.dumps(IMDS)})}})", provider) == "ok"
assert invoke("status()", provider).startswith("{extensions: 0, refreshes: 0, ")
refused("wasi:http/types@0.2.12", "run", "--invoke", "status()", provider)
refused("wasi:cli/run", "run", "-S", "http", provider)
refused("wasi:http/incoming-handler", "serve", "--addr", "127.0.0.1:0", provider)

authority = os.environ["S3_AUTHORITY"]
accepted = invoke(f"get-object({json.dumps(IMDS)}, {json.dumps(authority)})", consumer)
assert accepted == "ok(200)", accepted

SERVE = [wasmtime, "serve", "--addr", "127.0.0.1:0", "-S", "cli"]
SERVE += ["--env", f"AWS_EC2_METADATA_SERVICE_ENDPOINT={IMDS}"]
# By default, an idle instance is dropped after one second.
KEPT = ["--max-instance-reuse-count", "1000", "--idle-instance-timeout", "3600s"]
counts = []
for kept in [], KEPT:
    with serving([*SERVE, *kept, handler], r"Serving HTTP on (\S+)") as url:
        counts.append(requests_of_three(url))
assert counts == [9, 3], counts

version = run("--version").stdout.strip()
print(f"{version}: the composed component's request is accepted; three requests served: {counts[0]} to IMDS,")
print(f"    with the instance kept {counts[1]}")
