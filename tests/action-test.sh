#!/usr/bin/env bash
# Tests the script of the GitHub Action outside GitHub, with the commands of this workspace, which must be
# built: what it runs, reports and refuses.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
PATH=$PWD/target/debug:$PATH
export AWS_EC2_METADATA_SERVICE_ENDPOINT=http://127.0.0.1:9

# action STATUS TEXT VARIABLE=VALUE...: runs the action with these inputs. It must exit with this
# status, and its output must contain the text.
action() {
    local expected=$1 text=$2 status=0
    shift 2
    rm -rf "$work/runner" && mkdir "$work/runner"
    env RUNNER_TEMP="$work/runner" GITHUB_OUTPUT="$work/runner/output" GITHUB_STEP_SUMMARY="$work/runner/summary" "$@" \
        tests/action.sh > "$work/log" 2>&1 || status=$?
    if [ "$status" != "$expected" ] || ! grep -qF -- "$text" "$work/log"; then
        echo "tests/action.sh with $*: status $status and this output, not $expected and \"$text\":" >&2
        cat "$work/log" >&2
        exit 1
    fi
}

token='curl -sSf -X PUT -H "X-aws-ec2-metadata-token-ttl-seconds: 60" "${AWS_EC2_METADATA_SERVICE_ENDPOINT}latest/api/token"'
action 0 "requests" "IMDS_RUN=$token"
grep -q "^report=$work/runner/imds-report.json$" "$work/runner/output"
python3 -m json.tool "$work/runner/imds-report.json" > /dev/null
action 7 "" IMDS_RUN='exit 7'
action 1 "FAILS  every request has a token" IMDS_ARGUMENTS='--http-tokens optional' IMDS_VERIFY=$'no_imdsv1\n' \
    IMDS_RUN='curl -sS "${AWS_EC2_METADATA_SERVICE_ENDPOINT}latest/meta-data/"'
action 0 "passed" IMDS_CLIENT=native IMDS_ARGUMENTS=requested-first
grep -q native "$work/runner/summary"
action 2 "\`client\` and \`run\` are both given" IMDS_CLIENT=native IMDS_RUN=true
action 2 "neither \`client\` nor \`run\` is given"
action 2 'accepted: true, false' IMDS_RUN=true IMDS_ISOLATED=yes
action 2 "\`verify\` belongs to \`run\`" IMDS_CLIENT=native IMDS_VERIFY=no_imdsv1
echo "the script of the action: passed"
