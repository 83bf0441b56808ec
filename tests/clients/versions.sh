#!/usr/bin/env bash
# Runs versions of clients since 2021 through the scenarios of imds-conformance, and writes
# tests/docs/versions.md: what changed with which version. Arguments select families, by default all. The
# sections of the others stay as they are.
#
# Old versions ignore the variable that names another endpoint, so each client runs in an isolated network.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
drivers=$PWD/tests/clients/drivers
log=$clients/$client.log
reports=target/$client
home=$clients/$client
mkdir -p "$home" "$reports"
: > "$log"

# family NAME VERSION[@MONTH]...: runs the versions of a client. The function NAME installs a version into a
# folder, and run_NAME prints the command of its driver there.
family() {
    local name=$1 version folder month
    shift
    [ ${#wanted[@]} = 0 ] || [[ " ${wanted[*]} " = *" $name "* ]] || return 0
    for version in "$@"; do
        month=${version#*@} version=${version%@*}
        [ "$month" != "$version" ] || month=
        folder=$home/$name-$version
        echo "== $name $version" >> "$log"
        if ! [ -e "$folder/installed" ]; then
            rm -rf "$folder"
            mkdir -p "$folder"
            "$name" "$version" "$folder" >> "$log" 2>&1 || { echo "$client: $name $version cannot be installed here"; continue; }
            touch "$folder/installed"
        fi
        local command status=0
        command=$("run_$name" "$folder")
        "$runner" run --isolated --client "$name=$command" --report "json=$reports/$name@$version@$month.json" \
            >> "$log" 2>&1 || status=$?
        rm -f "$reports/$name@$version@$month.none"
        if [ "$status" -gt 1 ]; then
            echo "$client: $name $version gets no credentials (see ${log#"$PWD"/})"
            touch "$reports/$name@$version@$month.none"
            continue
        fi
        # Each version is large.
        [ -n "${KEEP:-}" ] || rm -rf "$folder"
        echo "$client: ran $name $version"
    done
}

# with_python FOLDER PACKAGE...: installs packages for an interpreter for which they are made.
with_python() {
    local folder=$1 python
    shift
    for python in python3 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.9*/bin/python; do
        rm -rf "$folder/venv"
        "$python" -m venv "$folder/venv" &&
            "$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: "$@" && return
    done
    return 1
}

python() {
    printf '%q ' "$1/venv/bin/python" "$drivers/$2" "${@:3}"
}

boto3() { with_python "$2" "boto3==$1"; }
run_boto3() { python "$1" boto3-session.py; }
minio() { with_python "$2" "minio==$1"; }
run_minio() { python "$1" python-packages.py minio; }
awscrt() { with_python "$2" "awscrt==$1"; }
run_awscrt() { python "$1" python-packages.py awscrt; }
obstore() { with_python "$2" "obstore==$1"; }
run_obstore() { python "$1" python-packages.py obstore; }

with_node() {
    local folder=$1
    shift
    echo '{"private": true}' > "$folder/package.json"
    npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$folder" "$@"
}

node_driver() {
    printf '%q ' node "$drivers/javascript.mjs" "$1" "$2"
}

# Its name changed in 2023, and its versions began again.
javascript-imds-aws-sdk() { with_node "$2" "@aws-sdk/credential-provider-imds@$1"; }
run_javascript-imds-aws-sdk() { node_driver "$1" old-imds; }
javascript-imds() { with_node "$2" "@smithy/credential-provider-imds@$1" @smithy/property-provider; }
run_javascript-imds() { node_driver "$1" smithy-imds; }
javascript-chain() { with_node "$2" "@aws-sdk/credential-provider-node@$1"; }
run_javascript-chain() { node_driver "$1" chain; }
javascript-v2() { with_node "$2" "aws-sdk@$1"; }
run_javascript-v2() { node_driver "$1" v2; }

wanted=("$@")
build
runner=$PWD/target/debug/imds-conformance
family boto3 1.17.103@2021-06 1.24.21@2022-06 1.34.11@2023-12 1.39.0@2025-06 1.44.5@2026-11
family awscrt 0.12.6@2021-10 0.16.3@2022-12 0.20.1@2023-12 0.27.4@2025-06 0.38.1@2026-11
# The months of the SDK for JavaScript 3 are those of its changelog. The changelogs of Smithy and of the SDK 2
# have no dates.
family javascript-imds-aws-sdk 3.1.0@2020-12 3.53.0@2022-02 3.370.0@2023-07
family javascript-imds 1.0.2 2.3.0 4.0.6 4.5.2
family javascript-chain 3.1.0@2020-12 3.53.0@2022-02 3.451.0@2023-11 3.692.0@2024-11 3.972.97@2026-11
family javascript-v2 2.824.0 2.1286.0 2.1531.0 2.1693.0
family minio 7.0.4@2021-06 7.1.15@2023-05 7.2.7@2024-04 7.2.20@2025-11
family obstore 0.2.0@2024-10 0.7.0@2025-06 0.8.2@2025-09 0.11.0@2026-06 0.12.1@2026-10
python3 tests/clients/versions.py "$reports"/*@*
