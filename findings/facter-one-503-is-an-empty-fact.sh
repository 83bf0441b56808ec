#!/usr/bin/env bash
# facter 4.3.0 (Debian 12): if IMDS answers one request with 503, facts are empty, with exit status 0 and without
# a message. A value that failed is an empty string. After a token that failed, facter asks for no other for
# 100 seconds and sends its requests without one, so that an instance that requires tokens has no fact at all.
#
# Seen, for the facts ec2_metadata.instance-id and ec2_metadata.placement.region:
#   IMDS answers everything          i-1 and us-east-1
#   503 for one GET of instance-id   an empty string and us-east-1
#   503 for the first PUT            no fact: PUT 503, then GET 401 twice, without a token
#
# The address of IMDS is compiled in, so the script gives it to a server in a network namespace of its own
# (unshare of util-linux, ip of iproute2; no root needed). `virt-what` answers what it does on an instance.
#
# Exit status: 0 if it is still so, 1 if it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get download --quiet=2 facter ruby-hocon ruby-thor ruby3.1 libruby3.1 ruby-rubygems rubygems-integration 2> /dev/null
for package in *.deb; do dpkg --extract "$package" .; done
mkdir bin
printf '#!/bin/sh\necho kvm\necho aws\n' > bin/virt-what
chmod +x bin/virt-what
cat > program.py <<'PYTHON'
import glob, http.server, json, os, subprocess, threading

subprocess.run("ip link set lo up; ip address add 169.254.169.254/32 dev lo", shell=True, check=True)
root = "/latest/meta-data/"
tree = {
    root: "instance-id\nplacement/",
    root + "instance-id": "i-1",
    root + "placement/": "region",
    root + "placement/region": "us-east-1",
}
failing = []
seen = []


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *arguments):
        pass

    def respond(self):
        if (self.command, self.path) in failing:
            failing.clear()
            status, body = 503, ""
        elif self.command == "PUT":
            status, body = 200, "token"
        elif self.headers.get("X-aws-ec2-metadata-token") != "token":
            status, body = 401, ""
        else:
            status, body = (200, tree[self.path]) if self.path in tree else (404, "")
        seen.append(f"{self.command} {status}")
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    do_GET = do_PUT = respond


server = http.server.ThreadingHTTPServer(("169.254.169.254", 80), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
[libraries] = glob.glob("usr/lib/*-linux-gnu")
ruby = ["usr/lib/ruby/3.1.0", libraries + "/ruby/3.1.0", "usr/lib/ruby/vendor_ruby"]
environment = {
    "PATH": os.path.abspath("bin") + ":/usr/bin:/bin",
    "HOME": os.getcwd(),
    "LD_LIBRARY_PATH": libraries,
    "RUBYLIB": ":".join(os.path.abspath(folder) for folder in ruby),
    "GEM_PATH": os.path.abspath("usr/share/rubygems-integration/all"),
}


def facts(*failed):
    failing[:] = failed
    seen.clear()
    names = ["ec2_metadata.instance-id", "ec2_metadata.placement.region"]
    command = ["usr/bin/ruby3.1", "usr/bin/facter", "--json", *names]
    result = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    values = json.loads(result.stdout)
    found = [values.get(name) for name in names]
    print(f"{failed or 'no failure'}: {found}, {seen}, {result.stderr!r}")
    return found, result.stderr


expected = [
    (facts(), ["i-1", "us-east-1"]),
    (facts(("GET", root + "instance-id")), ["", "us-east-1"]),
    (facts(("PUT", "/latest/api/token")), [None, None]),
]
raise SystemExit(any(seen != (wanted, "") for seen, wanted in expected))
PYTHON
env -i PATH="$PATH" HOME="$folder" unshare --user --map-root-user --net --pid --fork --mount-proc python3 program.py
