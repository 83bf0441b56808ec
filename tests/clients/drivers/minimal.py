import sys, boto3
session = boto3.Session()
print("ready", flush=True)
for question in sys.stdin:
    try:
        key = session.get_credentials().get_frozen_credentials().access_key
        print("credentials", key, flush=True)
    except Exception as error:
        print("error", repr(error), flush=True)
