#!/usr/bin/env bash
# The GitHub Action of ../action.yml, which passes its inputs in IMDS_* variables. Outside GitHub, the
# test tests/action-test.sh runs it.
#
# The commands are those in PATH, else those of the release whose tag is the action's, else they are
# compiled from the action's sources.
set -euo pipefail

error() {
    echo "::error title=IMDS::$1"
    exit 2
}

# install COMMAND FOLDER: provides a command whose package is in this folder of the repository.
install() {
    command -v "$1" > /dev/null && return
    local target url work
    case $(uname -s)-$(uname -m) in
        Linux-x86_64) target=x86_64-unknown-linux-musl ;;
        Linux-aarch64) target=aarch64-unknown-linux-musl ;;
        *) target= ;;
    esac
    work=${RUNNER_TEMP:-$(mktemp -d)}/imds
    mkdir -p "$work/bin"
    PATH=$work/bin:$PATH
    url=${GITHUB_SERVER_URL:-https://github.com}/${IMDS_REPOSITORY:-}/releases/download/${IMDS_REF:-}
    # A branch or a commit has no release.
    if [ -n "$target" ] && [[ ${IMDS_REF:-} == v* ]] &&
        curl -fsSL --retry 3 -o "$work/commands.tar.gz" "$url/imds-credentials-$target.tar.gz"; then
        tar -xzf "$work/commands.tar.gz" -C "$work/bin" --strip-components 1
    else
        echo "There is no release for this machine at ${IMDS_REF:-this version}: compiling $1"
        cargo install --quiet --locked --path "$(dirname "${BASH_SOURCE[0]}")/../$2" --root "$work"
    fi
    command -v "$1" > /dev/null || error "$1 could not be installed"
}

if [ -n "${IMDS_CLIENT:-}" ] && [ -n "${IMDS_RUN:-}" ]; then
    error "\`client\` and \`run\` are both given; use the action once for each"
fi
# Split into words; quotes have no meaning, as nothing here needs them.
read -ra arguments <<< "$(tr '\n' ' ' <<< "${IMDS_ARGUMENTS:-}")"
case ${IMDS_ISOLATED:-false} in
    true)
        arguments+=(--isolated)
        # Ubuntu forbids user namespaces to ordinary users, unless it is told otherwise.
        if [ -n "${GITHUB_ACTIONS:-}" ] && command -v sudo > /dev/null; then
            sudo -n sysctl -qw kernel.apparmor_restrict_unprivileged_userns=0 2> /dev/null || true
        fi
        ;;
    false) ;;
    *) error "\`isolated\` is \"$IMDS_ISOLATED\"; accepted: true, false" ;;
esac
report=${RUNNER_TEMP:-$(mktemp -d)}/imds-report.json
echo "report=$report" >> "${GITHUB_OUTPUT:-/dev/null}"
summary=${GITHUB_STEP_SUMMARY:-/dev/null}

if [ -n "${IMDS_CLIENT:-}" ]; then
    [ -z "${IMDS_VERIFY:-}" ] || error "\`verify\` belongs to \`run\`; a client is tested with scenarios"
    install imds-conformance tests
    exec imds-conformance run --client "$IMDS_CLIENT" --report text --report "markdown=$summary" \
        --report "json=$report" "${arguments[@]}"
elif [ -n "${IMDS_RUN:-}" ]; then
    install imds-emulator emulator
    while read -r assertion; do
        [ -z "$assertion" ] || arguments+=(--verify "$assertion")
    done <<< "${IMDS_VERIFY:-}"
    exec imds-emulator run --report text --report "json=$report" "${arguments[@]}" -- \
        bash -eo pipefail -c "$IMDS_RUN"
else
    error "neither \`client\` nor \`run\` is given"
fi
