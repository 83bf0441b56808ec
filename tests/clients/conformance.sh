#!/usr/bin/env bash
# Runs the component and unmodified AWS SDKs through the scenarios of imds-conformance. It sets up all the
# clients that it can, and writes the reports to target/conformance. Arguments select scenarios, as for
# `imds-conformance run`. With BLESS=1, it also updates tests/docs/matrix.md.
#
# Exit status: 0 if the component passed every scenario, 1 otherwise. Failures of SDKs are findings.
#
# As root, it installs missing Debian packages: libfaketime, which moves the clocks of clients, and Go with
# its SDK.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
drivers=$PWD/tests/clients/drivers
log=$clients/$client.log
reports=target/$client
mkdir -p "$clients" "$reports"
: > "$log"

built_in=(component component-classic native native-classic aws-config)
measured=("${built_in[@]/#/--client=}")
ran=()
not=()

because() {
    echo "$*" >&3
    exit 1
}

set_up_faketime() {
    compgen -G '/usr/lib/*/faketime/libfaketimeMT.so.1' || [ -e "${LIBFAKETIME:-}" ] ||
        debian libfaketime || because "libfaketime is not installed, so the scenarios that move the clock are not run"
}

set_up_python() {
    python_with boto3==1.44.5 awscli==1.46.3
}

set_up_javascript() {
    command -v node && command -v npm || because "Node.js is not installed"
    node --eval 'process.exitCode = process.versions.node.split(".")[0] < 20 ? 1 : 0' || because "Node.js is older than 20"
    mkdir -p "$clients/javascript"
    cd "$clients/javascript"
    if ! [ -e installed ]; then
        echo '{"private": true}' > package.json
        npm install --no-audit --no-fund --ignore-scripts --save-exact \
            @aws-sdk/client-sts@3.1173.0 @aws-sdk/credential-provider-node@3.972.97 \
            @smithy/credential-provider-imds@4.5.2 @aws-sdk/ec2-metadata-service@3.1164.0 ||
            because "its npm packages cannot be installed"
        touch installed
    fi
}

set_up_go() {
    local sdk=/usr/share/gocode/src/github.com/aws/aws-sdk-go-v2
    command -v go && [ -d $sdk ] || debian golang-go golang-github-aws-aws-sdk-go-v2-dev ||
        because "Debian's packages golang-go and golang-github-aws-aws-sdk-go-v2-dev are not installed"
    mkdir -p "$clients/go"
    # Debian installs the sources of all packages in one tree, without modules.
    env GO111MODULE=off GOPATH=/usr/share/gocode GOFLAGS= GOCACHE="$clients/go/cache" \
        go build -o "$clients/go/driver" "$drivers/go/main.go" || because "it does not compile"
}

# try NAME FUNCTION: runs FUNCTION with its output in the log. If it fails, $why is the reason.
try() {
    echo "== $1" >> "$log"
    why=$(set +e; "$2" 3>&1 >> "$log" 2>&1) && return
    why=${why:-its packages cannot be installed}
    not+=("$1: $why (see ${log#"$PWD"/})")
    return 1
}

# add NAME COMMAND...: adds a client, if it works at all.
add() {
    local name=$1 quoted
    shift
    printf -v quoted '%q ' "$@"
    "$runner" run --client "$name=$quoted" --scenarios "$clients/$client.toml" >> "$log" 2>&1 || {
        if [ $? -gt 1 ]; then
            not+=("$name: it gets no credentials, although IMDS is healthy (see ${log#"$PWD"/})")
            return
        fi
    }
    measured+=(--client "$name=$quoted")
    ran+=("$name")
}

try libfaketime set_up_faketime || true
declare -A installed
for name in python javascript go; do
    if try "$name" "set_up_$name"; then installed[$name]=1; fi
done

build
runner=$PWD/target/debug/imds-conformance
rm -f "$clients/$client.toml"
"$runner" new "$clients/$client.toml" >> "$log" 2>&1

if [ -n "${installed[python]:-}" ]; then
    add boto3 "$clients/$client/bin/python" "$drivers/boto3-session.py"
    add awscli "$drivers/awscli.sh" "$clients/$client/bin/aws"
fi
if [ -n "${installed[javascript]:-}" ]; then
    add javascript node "$drivers/javascript.mjs" "$clients/javascript" default
    add javascript-imds node "$drivers/javascript.mjs" "$clients/javascript" imds
fi
if [ -n "${installed[go]:-}" ]; then
    add go "$clients/go/driver"
fi

status=0
"$runner" run "${measured[@]}" --report text --report "json=$reports/report.json" \
    --report "html=$reports/report.html" --report "junit=$reports/junit.xml" \
    --report "markdown=$reports/matrix.md" "$@" || status=$?
# 1 means that a scenario failed, for any client.
[ "$status" -le 1 ] || exit "$status"

if [ -n "${BLESS:-}" ]; then
    python3 - tests/docs/matrix.md "$reports/matrix.md" <<'PYTHON'
import re, sys

page, matrix = (open(name).read() for name in sys.argv[1:])
begin, end = "<!-- matrix -->", "<!-- end of matrix -->"
text = re.sub(f"{begin}.*{end}", lambda _: f"{begin}\n{matrix}{end}", page, flags=re.S)
open(sys.argv[1], "w").write(text)
PYTHON
fi

echo
printf '%s: ran %s\n' "$client" "${built_in[*]} ${ran[*]}"
[ ${#not[@]} = 0 ] || printf "$client: not run: %s\n" "${not[@]}"
python3 - "$reports/report.json" <<'PYTHON'
import json, sys

with open(sys.argv[1]) as file:
    outcomes = json.load(file)["outcomes"]
ours = ("component", "native")
failed = [o for o in outcomes if o["client"].startswith(ours) and o["verdict"] == "failed"]
for outcome in failed:
    print(f"conformance: {outcome['client']} fails {outcome['scenario']}")
sys.exit(1 if failed else 0)
PYTHON
