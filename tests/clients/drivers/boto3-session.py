"""boto3 for imds-conformance: the credentials of a botocore session, over the line protocol.

A session is what each boto3.Session and each of its clients have beneath them, and where they get
credentials from. It is made once, as in a program that runs for long.
"""

import sys
import threading
from datetime import timezone

import botocore.session

session = botocore.session.Session()


def get():
    try:
        credentials = session.get_credentials()
        if credentials is None:
            # boto3 reports no reason: its clients raise NoCredentialsError.
            return "error Unable to locate credentials"
        key = credentials.get_frozen_credentials().access_key
    except Exception as error:
        text = " ".join(str(error).split())
        return f"error {type(error).__name__}: {text}"
    # The SDK has no public name for this.
    expires = getattr(credentials, "_expiry_time", None)
    if expires is None:
        return f"credentials {key}"
    return f"credentials {key} {expires.astimezone(timezone.utc).isoformat()}"


def get_at_once(callers):
    answers = [None] * callers
    gate = threading.Barrier(callers)

    def ask(caller):
        gate.wait()
        answers[caller] = get()

    threads = [threading.Thread(target=ask, args=(caller,)) for caller in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


print("ready concurrent", flush=True)
for line in sys.stdin:
    question, *rest = line.split()
    if question != "get":
        print(f"error unsupported {question}", flush=True)
        continue
    callers = int(rest[0]) if rest else 1
    answers = [get()] if callers == 1 else get_at_once(callers)
    print("\n".join(answers), flush=True)
