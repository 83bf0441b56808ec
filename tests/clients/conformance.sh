#!/usr/bin/env bash
# Runs the component and unmodified AWS SDKs through the scenarios of imds-conformance. It sets up all the
# clients that it can, and writes the reports to target/conformance. Arguments select scenarios, as for
# `imds-conformance run`.
#
# CLIENTS=all also runs the clients that CI leaves out, in isolated networks; CLIENTS='awscrt minio' runs
# these alone. With BLESS=1, the script puts the clients that it ran, by default all, into
# tests/docs/matrix.json, and writes tests/docs/matrix.md from it.
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

wanted=${CLIENTS:-${BLESS:+all}}
left_out=" aiobotocore aws-credentials-imds awscrt gdal go-v1 go-v2 metadata-service minio obstore opendal pyarrow ruby "
for name in $wanted; do
    [[ $wanted = all || $left_out = *" $name "* ]] || { echo "conformance: unknown client $name; accepted: all, or of$left_out"; exit 2; }
done
measured=()
ran=()
not=()
# The reports of this run.
written=()
# What each client is, for the matrix.
declare -A about=(
    [component]="the component, as WebAssembly in its host; refresh policy \`windowed\`"
    [component-classic]="the same; refresh policy \`classic\`"
    [native]="the logic of the component alone; refresh policy \`windowed\`"
    [native-classic]="the same; refresh policy \`classic\`"
    [aws-config]="Rust: aws-config 1.13.0, \`ImdsCredentialsProvider\` behind the identity cache that clients have"
)
built_in=(component component-classic native native-classic aws-config)

# is_wanted NAME: whether to run this client.
is_wanted() {
    [[ $wanted = all || " $wanted " = *" $1 "* ]]
}

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

# works NAME OPTION...: whether a client works at all.
works() {
    local name=$1
    shift
    "$runner" run "$@" --scenarios "$clients/$client.toml" >> "$log" 2>&1 || {
        [ $? -le 1 ] || {
            not+=("$name: it gets no credentials, although IMDS is healthy (see ${log#"$PWD"/})")
            return 1
        }
    }
}

# add NAME ABOUT COMMAND...: adds a client, if it works at all.
add() {
    local name=$1 quoted
    about[$name]=$2
    shift 2
    printf -v quoted '%q ' "$@"
    works "$name" --client "$name=$quoted" || return 0
    measured+=(--client "$name=$quoted")
    ran+=("$name")
}

# alone NAME ABOUT COMMAND...: runs a client by itself, in an isolated network, because it has the address
# of IMDS compiled in, or needs an option to find another one.
alone() {
    local name=$1 quoted status=0
    about[$name]=$2
    shift 2
    printf -v quoted '%q ' "$@"
    works "$name" --isolated --client "$name=$quoted" || return 0
    "$runner" run --isolated --client "$name=$quoted" --report "json=$reports/$name.json" \
        "${words[@]}" >> "$log" 2>&1 || status=$?
    [ "$status" -le 1 ] || { not+=("$name: it was not measured (see ${log#"$PWD"/})"); return 0; }
    written+=("$reports/$name.json")
    ran+=("$name")
    echo "$client: ran $name"
}

words=("$@")
[ -z "${BLESS:-}" ] || [ $# = 0 ] || { echo "$client: BLESS=1 needs all scenarios; omit $*"; exit 2; }
try libfaketime set_up_faketime || true
declare -A installed
for name in python javascript go; do
    if try "$name" "set_up_$name"; then installed[$name]=1; fi
done
[ -z "$wanted" ] || [ -n "${INSTALL_ONLY:-}" ] || source tests/clients/conformance-more.sh

build
runner=$PWD/target/debug/imds-conformance
rm -f "$clients/$client.toml"
"$runner" new "$clients/$client.toml" >> "$log" 2>&1

status=0
if [ -z "$wanted" ] || [ "$wanted" = all ]; then
    measured=("${built_in[@]/#/--client=}")
    ran=("${built_in[@]}")
    if [ -n "${installed[python]:-}" ]; then
        add boto3 "Python: boto3 1.44.5, one session for all questions" \
            "$clients/$client/bin/python" "$drivers/boto3-session.py"
        # CI leaves it out, because a process for each question takes as long as all other clients.
        [ -z "$wanted" ] || add awscli "the AWS CLI 1.46.3, one process for each question" \
            "$drivers/awscli.sh" "$clients/$client/bin/aws"
    fi
    if [ -n "${installed[javascript]:-}" ]; then
        add javascript "JavaScript: the default chain of \`@aws-sdk/client-sts\` 3.1173.0" \
            node "$drivers/javascript.mjs" "$clients/javascript" default
        add javascript-imds "JavaScript: \`fromInstanceMetadata()\` of \`@smithy/credential-provider-imds\` 4.5.2" \
            node "$drivers/javascript.mjs" "$clients/javascript" imds
    fi
    if [ -n "${installed[go]:-}" ]; then
        add go "Go: \`config.LoadDefaultConfig\` of aws-sdk-go-v2 1.17 (December 2022, as in Debian 12)" \
            "$clients/go/driver"
    fi
    "$runner" run "${measured[@]}" --report text --report "json=$reports/report.json" \
        --report "html=$reports/report.html" --report "junit=$reports/junit.xml" "$@" || status=$?
    # 1 means that a scenario failed, for any client.
    [ "$status" -le 1 ] || exit "$status"
    written+=("$reports/report.json")
fi
[ -z "$wanted" ] || run_more

if [ -n "${BLESS:-}" ]; then
    for name in "${ran[@]}"; do printf '%s\t%s\n' "$name" "${about[$name]}"; done |
        python3 tests/clients/matrix.py "${written[@]}"
fi

echo
printf '%s: ran %s\n' "$client" "${ran[*]}"
[ ${#not[@]} = 0 ] || printf "$client: not run: %s\n" "${not[@]}"
[[ " ${written[*]} " = *" $reports/report.json "* ]] || exit 0
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
