"""Stands in for S3: finds no object, and remembers which access key signed each request.

s3.py BUCKET [--certificate FILE] COMMAND...: runs a command, with the address of the server in S3_HOST
and S3_PORT, and prints with which key it asked for a bucket. With a certificate and its key, as PEM, the
server speaks TLS. Exit status: 0 if the command asked with a key of IMDS.
"""

import http.server
import os
import re
import ssl
import subprocess
import sys
import threading

ERROR = b"<Error><Code>NoSuchKey</Code></Error>"


class Requests(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.rfile.read(int(self.headers.get("content-length") or 0))
        key = re.search("A[KS]IA[A-Z0-9]{16}", self.headers.get("authorization", ""))
        bucket = re.split("[/?]", self.path)[1]
        self.server.keys[bucket] = key and key[0]
        self.send_response(404)
        self.send_header("content-type", "application/xml")
        self.send_header("content-length", str(len(ERROR)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(ERROR)

    do_DELETE = do_HEAD = do_POST = do_PUT = do_GET

    def log_message(self, *arguments):
        pass


class Server(http.server.ThreadingHTTPServer):
    """Serves from a thread, on a free port of 127.0.0.1."""

    def __init__(self, certificate=None):
        super().__init__(("127.0.0.1", 0), Requests)
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.socket = context.wrap_socket(self.socket, server_side=True)
        # The access key ID of the last request for each bucket: `None` for a request without one.
        self.keys = {}
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def key(self, bucket, ask):
        """The access key ID with which `ask` asks for a bucket. That it fails does not matter."""
        self.keys.pop(bucket, None)
        try:
            ask()
        except Exception as error:
            failure = error
        else:
            failure = None
        if not self.keys.get(bucket):
            raise RuntimeError(f"{bucket}: no signed request") from failure
        return self.keys[bucket]


def main():
    bucket, *command = sys.argv[1:]
    certificate = None
    if command[0] == "--certificate":
        _, certificate, *command = command
    server = Server(certificate)
    environment = {"S3_HOST": "127.0.0.1", "S3_PORT": str(server.server_port)}
    # There is no bucket, so that the command fails.
    subprocess.run(command, env={**os.environ, **environment})
    key = server.keys.get(bucket) or "none"
    print(f"{bucket}: asked for with the key {key}")
    return 0 if key.startswith("ASIA") else 1


if __name__ == "__main__":
    sys.exit(main())
