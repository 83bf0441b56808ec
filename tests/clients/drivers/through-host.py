"""Gets credentials with each client through `ec2-role-credentials process` and `serve`: before an outage
of IMDS, twice during it, and after it.

through-host.py NODE=SCRIPT [AWS2=COMMAND] [RESTIC=COMMAND] [RUBY=COMMAND]: the clients that are not
Python packages.
"""

import concurrent.futures
import datetime
import os
import re
import subprocess
import sys
import urllib.request

import awscrt.auth
import awscrt.io
import boto3
import botocore
import chdb
import daft
import deltalake
import lance
import minio.credentials
import obstore
import obstore.store
import opendal
import polars
import pyarrow.fs
import pyogrio

from s3 import Server

ADMIN = os.environ["IMDS_EMULATOR_ADMIN_URL"] + "/__admin/"
REGION = os.environ["AWS_DEFAULT_REGION"]
BIN = sys.prefix + "/bin/"
commands = dict(argument.split("=", 1) for argument in sys.argv[1:])
s3 = Server()
host = f"127.0.0.1:{s3.server_port}"
endpoint = "http://" + host


def api(method, path):
    urllib.request.urlopen(urllib.request.Request(ADMIN + path, method=method)).read()


def run(*command, **environment):
    environment = {**os.environ, **environment}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    if result.returncode != 0:
        raise RuntimeError(f"{command[0]}: exit status {result.returncode}: {result.stderr[-500:]}")
    return result.stdout


# Clients that show their credentials, or sign a URL without a request.


def aws(command, *arguments):
    url = run(*command, "s3", "presign", "s3://bucket/key", *arguments)
    return re.search("ASIA[A-Z0-9]{16}", url)[0]


def node():
    [key] = set(run("node", commands["NODE"]).split())
    return key


def ruby():
    script = 'require "aws-sdk-core"; puts Aws::CredentialProviderChain.new.resolve.credentials.access_key_id'
    return run(commands["RUBY"], "-e", script, AWS_PROFILE="process").strip()


def crt():
    bootstrap = awscrt.io.ClientBootstrap.get_or_create_static_default()
    chain = awscrt.auth.AwsCredentialsProvider.new_default_chain(bootstrap)
    return chain.get_credentials().result(60).access_key_id


def store():
    bucket = obstore.store.S3Store("bucket", region=REGION)
    url = obstore.sign(bucket, "GET", "key", datetime.timedelta(minutes=1))
    return re.search("ASIA[A-Z0-9]{16}", url)[0]


# Clients that only show their credentials in a request to S3. Each asks for a bucket of its own.


def ask_chdb():
    chdb.query(f"SELECT * FROM s3('{endpoint}/chdb/key', 'CSV', 'a String')")


def ask_daft():
    config = daft.io.S3Config(endpoint_url=endpoint, region_name=REGION, num_tries=1)
    daft.read_parquet("s3://daft/key", io_config=daft.io.IOConfig(s3=config)).collect()


def ask_deltalake():
    options = {"AWS_ENDPOINT_URL": endpoint, "AWS_ALLOW_HTTP": "true", "AWS_REGION": REGION}
    deltalake.DeltaTable("s3://deltalake/table", storage_options=options)


def ask_deltalake_environment():
    script = 'import deltalake; deltalake.DeltaTable("s3://deltalake-environment/table")'
    run(sys.executable, "-c", script, AWS_ENDPOINT_URL=endpoint, AWS_ALLOW_HTTP="true", AWS_REGION=REGION)


def ask_gdal():
    options = {"AWS_S3_ENDPOINT": host, "AWS_HTTPS": "NO", "AWS_VIRTUAL_HOSTING": "FALSE", "AWS_REGION": REGION}
    # GDAL remembers what it has not found.
    pyogrio.set_gdal_config_options({**options, "VSI_CACHE": "FALSE", "CPL_VSIL_CURL_NON_CACHED": "/vsis3/gdal"})
    pyogrio.read_info("/vsis3/gdal/key")


def ask_lance():
    options = {"aws_endpoint": endpoint, "allow_http": "true", "aws_region": REGION}
    lance.dataset("s3://lance/table", storage_options=options)


def ask_opendal():
    opendal.Operator("s3", bucket="opendal", region=REGION, endpoint=endpoint).stat("key")


def ask_polars():
    options = {"endpoint_url": endpoint, "aws_allow_http": "true", "aws_region": REGION}
    polars.scan_parquet("s3://polars/key", storage_options=options).collect()


def ask_pyarrow():
    options = {"region": REGION, "endpoint_override": host, "scheme": "http"}
    pyarrow.fs.S3FileSystem(**options).get_file_info("pyarrow/key")


def ask_rclone():
    remote = f":s3,provider=Other,env_auth=true,region={REGION},endpoint='{endpoint}':rclone"
    run(BIN + "rclone", "lsf", remote, "--config=", "--retries=1", "--low-level-retries=1")


def ask_restic():
    run(
        *(commands["RESTIC"], f"--repo=s3:{endpoint}/restic", "--no-cache", "--no-lock", "snapshots"),
        AWS_REGION=REGION,
        RESTIC_PASSWORD="password",
    )


def ask_s5cmd():
    run(BIN + "s5cmd", "--retry-count=0", f"--endpoint-url={endpoint}", "ls", "s3://s5cmd/")


through_process = boto3.Session(profile_name="process").get_credentials()
through_serve = boto3.Session().get_credentials()
assert through_process.method == "custom-process", through_process.method
assert through_serve.method == "container-role", through_serve.method
aws1 = [BIN + "aws"]
ways = {
    "boto3 through process": lambda: through_process.get_frozen_credentials().access_key,
    "boto3 through serve": lambda: through_serve.get_frozen_credentials().access_key,
    "AWS CLI 1 through process": lambda: aws(aws1, "--profile", "process"),
    "AWS CLI 1 through serve": lambda: aws(aws1),
    "awscrt through serve": crt,
    "JavaScript v2 and v3 through serve": node,
    "minio-py through serve": lambda: minio.credentials.IamAwsProvider().retrieve().access_key,
    "obstore through serve": store,
}
asking = {
    "chdb": ask_chdb,
    "daft": ask_daft,
    "deltalake": ask_deltalake,
    "deltalake-environment": ask_deltalake_environment,
    "gdal": ask_gdal,
    "lance": ask_lance,
    "opendal": ask_opendal,
    "polars": ask_polars,
    "pyarrow": ask_pyarrow,
    "rclone": ask_rclone,
    "s5cmd": ask_s5cmd,
}
if "RESTIC" in commands:
    asking["restic"] = ask_restic
for bucket, ask in asking.items():
    ways[f"{bucket} through serve"] = lambda bucket=bucket, ask=ask: s3.key(bucket, ask)
if "AWS2" in commands:
    ways["AWS CLI 2 through serve"] = lambda: aws([commands["AWS2"]])
if "RUBY" in commands:
    ways["Ruby through process"] = ruby


def keys():
    # In threads, because most of the time they wait for processes.
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        asked = {name: pool.submit(get) for name, get in ways.items()}
        return {name: key.result() for name, key in asked.items()}


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
