#!/usr/bin/env bash
# Runs the server checks against servers of IMDS that can be installed, and writes tests/docs/servers.md.
# Their failures are findings about them. Each listens on 127.0.0.1 only.
#
# FAKECLOUD=PATH adds fakecloud, which `cargo install fakecloud` compiles for half an hour or longer.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
moto=5.2.5
ministack=1.5.33
ectou=1.0.2
python_with "moto[server]==$moto" "ministack==$ministack" "ectou-metadata==$ectou"
build
bin=$clients/$client/bin
reports=target/$client
mkdir -p "$reports"
rm -f "$reports"/*.json
log=$clients/$client.log
: > "$log"

free_port() {
    "$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# wait_for PORT: waits until a server listens.
wait_for() {
    for _ in $(seq 150); do
        (: < "/dev/tcp/127.0.0.1/$1") 2> /dev/null && return
        sleep 0.2
    done
    return 1
}

# serve COMMAND...: starts a server in a process group of its own, with no configuration of this machine.
servers=()
serve() {
    setsid env -i PATH="$PATH" HOME="$clients/$client/home" AWS_ACCESS_KEY_ID=testing AWS_SECRET_ACCESS_KEY=testing \
        AWS_DEFAULT_REGION=us-east-1 "$@" >> "$log" 2>&1 &
    servers+=("$!")
}

stop() {
    for server in "${servers[@]}"; do kill -- "-$server" 2> /dev/null || true; done
    servers=()
}
trap stop EXIT
mkdir -p "$clients/$client/home"

# measure NAME PORT: runs the checks against the server on this port.
measure() {
    local status=0
    wait_for "$2" || { echo "$client: $1 does not listen (see ${log#"$PWD"/})"; return; }
    target/debug/imds-conformance server --endpoint "http://127.0.0.1:$2" --name "$1" \
        --report "json=$reports/${1// /-}.json" || status=$?
    [ "$status" -le 1 ] || echo "$client: $1 was not measured"
}

port=$(free_port)
serve "$bin/moto_server" -H 127.0.0.1 -p "$port"
measure "moto $moto" "$port"

# ectou-metadata gets its credentials from STS, for which moto stands in.
ectou_port=$(free_port)
serve env AWS_ENDPOINT_URL="http://127.0.0.1:$port" AWS_EC2_METADATA_DISABLED=true "$bin/ectou_metadata" \
    --host 127.0.0.1 --port "$ectou_port" --role-arn arn:aws:iam::123456789012:role/app
measure "ectou-metadata $ectou" "$ectou_port"
stop

for required in "" 1; do
    port=$(free_port)
    serve env BIND_HOST=127.0.0.1 GATEWAY_PORT="$port" MINISTACK_IMDS_V2_REQUIRED="$required" "$bin/ministack"
    measure "ministack $ministack${required:+, IMDSv2 only}" "$port"
    stop
done

if [ -n "${FAKECLOUD:-}" ]; then
    port=$(free_port)
    serve "$FAKECLOUD" --addr "127.0.0.1:$port"
    measure "fakecloud $("$FAKECLOUD" --version | sed 's/.* //')" "$port"
    stop
else
    echo "$client: without fakecloud, because FAKECLOUD does not name it"
fi

for dialect in nitro xen; do
    port=$(free_port)
    serve target/debug/imds-emulator --port "$port" --no-admin --set "server.dialect=$dialect"
    measure "imds-emulator, $dialect" "$port"
    stop
done
python3 tests/clients/servers.py "$reports"/*.json
