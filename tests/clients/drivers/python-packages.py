"""Clients of IMDS in Python packages, for imds-conformance, over the line protocol.

python-packages.py CLIENT, where CLIENT is a key of `CLIENTS`. Each client is made once, as in a program
that runs for long. It is left to find IMDS by itself.
"""

import asyncio
import datetime
import os
import re
import sys
import threading


class Threads:
    """A client that blocks: concurrent callers are threads."""

    def __init__(self, get):
        self.get = get

    def answer(self):
        try:
            return answer(*self.get())
        except Exception as error:
            return failed(error)

    def ask(self, callers):
        answers = [None] * callers
        gate = threading.Barrier(callers)

        def ask(caller):
            gate.wait()
            answers[caller] = self.answer()

        threads = [threading.Thread(target=ask, args=(caller,)) for caller in range(callers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return answers


class Tasks:
    """A client that is asynchronous: concurrent callers are tasks."""

    def __init__(self, get):
        self.get = get
        self.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self.loop)

    async def answer(self):
        try:
            return answer(*await self.get())
        except Exception as error:
            return failed(error)

    async def all(self, callers):
        return await asyncio.gather(*(self.answer() for _ in range(callers)))

    def ask(self, callers):
        return self.loop.run_until_complete(self.all(callers))


def answer(key, expires=None):
    if expires is None:
        return f"credentials {key}"
    return f"credentials {key} {expires.astimezone(datetime.timezone.utc).isoformat()}"


def failed(error):
    text = " ".join(str(error).split())
    return f"error {type(error).__name__}: {text}"


def aiobotocore():
    from aiobotocore.session import get_session

    session = get_session()

    async def get():
        credentials = await session.get_credentials()
        if credentials is None:
            raise LookupError("Unable to locate credentials")
        key = (await credentials.get_frozen_credentials()).access_key
        return key, getattr(credentials, "_expiry_time", None)

    return Tasks(get)


def aws_credentials_imds():
    from aws_credentials_imds import Ec2InstanceMetadataProvider
    from smithy_aws_core.identity import AWSCredentialsIdentity

    class Setup:
        """What the chain of a client gives to its providers."""

        http_client = config_file = profile_name = resolver = None

        def add_resolver(self, resolver):
            self.resolver = resolver

    setup = Setup()

    async def get():
        if setup.resolver is None:
            await Ec2InstanceMetadataProvider().setup(AWSCredentialsIdentity, setup)
        if setup.resolver is None:
            raise LookupError("IMDS is disabled")
        found = await setup.resolver.get_identity(properties={})
        return found.access_key_id, found.expiration

    return Tasks(get)


def awscrt():
    from awscrt import auth, io

    group = io.EventLoopGroup(1)
    bootstrap = io.ClientBootstrap(group, io.DefaultHostResolver(group))
    chain = auth.AwsCredentialsProvider.new_default_chain(bootstrap)

    def get():
        found = chain.get_credentials().result(60)
        return found.access_key_id, getattr(found, "expiration", None)

    return Threads(get)


def minio():
    from minio.credentials import IamAwsProvider

    provider = IamAwsProvider()

    def get():
        found = provider.retrieve()
        expires = getattr(found, "expiration", getattr(found, "_expiration", None))
        # It is UTC, without saying so.
        return found.access_key, expires and expires.replace(tzinfo=datetime.timezone.utc)

    return Threads(get)


def obstore():
    import obstore
    from obstore.store import S3Store

    os.environ["AWS_REGION"] = "us-east-1"
    # Old versions take the region from the environment only if they are asked to.
    make = getattr(S3Store, "from_env", S3Store)
    store = make("bucket")

    def get():
        url = obstore.sign(store, "GET", "key", datetime.timedelta(minutes=1))
        return (re.search("ASIA[A-Z0-9]{16}", url)[0],)

    return Threads(get)


# Clients that show their credentials only in a request to S3.


def gdal(server):
    import pyogrio

    options = {"AWS_S3_ENDPOINT": f"127.0.0.1:{server.server_port}", "AWS_HTTPS": "NO", "AWS_REGION": "us-east-1"}
    # GDAL remembers what it has not found.
    forgetful = {"AWS_VIRTUAL_HOSTING": "FALSE", "VSI_CACHE": "FALSE", "CPL_VSIL_CURL_NON_CACHED": "/vsis3/bucket"}
    pyogrio.set_gdal_config_options({**options, **forgetful})
    return lambda: pyogrio.read_info("/vsis3/bucket/key")


def opendal(server):
    import opendal

    endpoint = f"http://127.0.0.1:{server.server_port}"
    operator = opendal.Operator("s3", bucket="bucket", region="us-east-1", endpoint=endpoint)
    return lambda: operator.stat("key")


def pyarrow(server):
    import pyarrow.fs

    options = {"region": "us-east-1", "endpoint_override": f"127.0.0.1:{server.server_port}", "scheme": "http"}
    files = pyarrow.fs.S3FileSystem(**options)
    return lambda: files.get_file_info("bucket/key")


class Signed:
    """A client whose key is seen in its request to S3. It answers one caller at a time."""

    def __init__(self, make):
        from s3 import Server

        self.server = Server()
        self.make = make
        self.request = None

    def ask(self, callers):
        try:
            self.request = self.request or self.make(self.server)
            return [answer(self.server.key("bucket", self.request))]
        except Exception as error:
            return [failed(error.__cause__ or error)]


CLIENTS = {
    "aiobotocore": aiobotocore,
    "aws-credentials-imds": aws_credentials_imds,
    "awscrt": awscrt,
    "gdal": lambda: Signed(gdal),
    "minio": minio,
    "obstore": obstore,
    "opendal": lambda: Signed(opendal),
    "pyarrow": lambda: Signed(pyarrow),
}

client = CLIENTS[sys.argv[1]]()
print("ready" if isinstance(client, Signed) else "ready concurrent", flush=True)
for line in sys.stdin:
    question, *rest = line.split()
    if question == "get":
        print("\n".join(client.ask(int(rest[0]) if rest else 1)), flush=True)
    else:
        print(f"error unsupported {question}", flush=True)
# Exits even if the client has threads in the background.
sys.stdout.flush()
os._exit(0)
