#!/usr/bin/env bash
# The report's page in a browser: it loads without an error, its cells open, and it fits, wide and narrow,
# light and dark. With SCREENSHOTS=FOLDER, pictures of it are put there. The page is made here, or is the
# argument; something must have failed in it.
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
    # Clients that do well, less well, and not at all.
    page=$work/page.html
    cargo build --quiet --package imds-conformance
    target/debug/imds-conformance run stability throttling token reject transport \
        --client component --client aws-config \
        --client "made-up=sh -c 'echo ready; while read q; do echo credentials ASIAOUTOFTHINAIR0000; done'" \
        --report "html=$page" || [ $? = 1 ]
fi
cp tests/clients/report-page.mjs "$work/"
BROWSER=$browser node "$work/report-page.mjs" "$page"
