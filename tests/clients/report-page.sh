#!/usr/bin/env bash
# Tests the HTML reports in a browser: it loads without an error, its cells open, and it fits a wide and a
# narrow window, in light and in dark mode. With SCREENSHOTS=FOLDER, it saves screenshots there. The argument
# is a report with at least one failure; without it, the script creates one.
page=${1:+$(realpath "$1")}
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
find_browser() {
    command -v chromium || command -v chromium-browser || command -v google-chrome
}
if ! find_browser > /dev/null && [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
    { apt-get update && apt-get install -y --no-install-recommends chromium; } > /dev/null 2>&1 || true
fi
browser=$(find_browser) || cannot_install
command -v node > /dev/null || cannot_install
work=$clients/$client
mkdir -p "$work"
if ! [ -e "$work/installed" ]; then
    npm install --silent --no-fund --no-audit --prefix "$work" playwright-core@1.65.1 || cannot_install
    touch "$work/installed"
fi
if [ -z "$page" ]; then
    # Clients that pass everything, some of it, and nothing.
    page=$work/page.html
    build
    target/debug/imds-conformance run stability throttling token reject transport \
        --client component --client aws-config \
        --client "made-up=sh -c 'echo ready; while read q; do echo credentials ASIAOUTOFTHINAIR0000; done'" \
        --report "html=$page" || [ $? = 1 ]
fi
run=$work/run.html
# shellcheck disable=SC2016
target/debug/imds-emulator run --report "html=$run" --verify no_imdsv1 -- \
    sh -c 'curl --silent "${AWS_EC2_METADATA_SERVICE_ENDPOINT}latest/meta-data/instance-id" > /dev/null' \
    2> "$work/verdict" || [ $? = 1 ]
cp tests/clients/report-page.mjs "$work/"
BROWSER=$browser node "$work/report-page.mjs" "$page" "$run"
