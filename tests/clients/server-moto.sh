#!/usr/bin/env bash
# Runs the server checks against moto. Its failures are findings about moto: the script succeeds if there is a
# score.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
version=5.2.5
python_with "moto[server]==$version"
build
free='import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
port=$("$python" -c "$free")
"$clients/$client/bin/moto_server" -H 127.0.0.1 -p "$port" > "$clients/$client.log" 2>&1 &
moto=$!
trap 'kill "$moto"' EXIT
# moto takes a few seconds to start.
for _ in $(seq 100); do
    (: < "/dev/tcp/127.0.0.1/$port") 2> /dev/null && break
    sleep 0.2
done
name="moto $version"
report=$clients/$client.txt
status=0
target/debug/imds-conformance server --endpoint "http://127.0.0.1:$port" --name "$name" \
    --report "text=$report" --report "json=$clients/$client.json" || status=$?
# 1 means that a check failed.
if [ "$status" -gt 1 ]; then
    echo "$client: no score"
    exit 1
fi
grep "^$name: " "$report"
echo "$client: the details are in $report"
