"""Hosts of components that answer HTTP requests: they are started and asked, and it is counted what they ask IMDS."""

import contextlib
import json
import os
import re
import subprocess
import threading
import urllib.error
import urllib.request

ADMIN = os.environ["IMDS_EMULATOR_ADMIN_URL"] + "/__admin/"


def admin(method, path, body=None):
    headers = {"Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(ADMIN + path, data, headers, method=method)
    with urllib.request.urlopen(request) as answer:
        return json.loads(answer.read() or "null")


@contextlib.contextmanager
def serving(command, ready):
    """Runs a command whose first line that `ready` matches tells its URL."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, **options) as process:
        try:
            told = []
            for line in process.stdout:
                told.append(line)
                if url := re.search(ready, line):
                    break
            else:
                raise AssertionError("".join(told))
            threading.Thread(target=process.stdout.read, daemon=True).start()
            yield url[1]
        finally:
            process.kill()


def ask(url):
    """The status and the text of a response."""
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return answer.status, answer.read().decode().strip()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode().strip()


def requests_of_three(url):
    """How many requests come to IMDS from three requests to the host."""
    before = admin("POST", "requests/count", {})["count"]
    for _ in range(3):
        status, text = ask(url)
        assert status == 200 and text.startswith("ASIA"), (status, text)
    return admin("POST", "requests/count", {})["count"] - before
