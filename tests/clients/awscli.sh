#!/usr/bin/env bash
# An unmodified AWS command line gets credentials from the emulator.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
python_with awscli==1.46.3
build
aws=$clients/$client/bin/aws
listed=$(emulated 'instance.iam.role = "cli-role"' "$aws" configure list)
# The columns are the name, the last characters and the source.
for key in access_key secret_key; do
    if ! grep -qE "^ *$key +(: +)?\*+[A-Za-z0-9+/]{4} +(: +)?iam-role" <<< "$listed"; then
        echo "$client: no $key from the role: $listed"
        exit 1
    fi
done
echo "$("$aws" --version): got credentials"
