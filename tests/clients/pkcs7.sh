#!/usr/bin/env bash
# The Go library that HashiCorp Vault uses verifies the emulator's PKCS #7 signatures, and rejects them if
# the document or the signed attributes were changed, or if another certificate is given.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
library=/usr/share/gocode/src/github.com/fullsailor/pkcs7
{ command -v go && [ -d $library ] || debian golang-go golang-github-fullsailor-pkcs7-dev; } > /dev/null 2>&1 ||
    cannot_install
home=$clients/$client
mkdir -p "$home"
# Debian installs the sources of all packages in one tree, without modules.
env GO111MODULE=off GOPATH=/usr/share/gocode GOFLAGS='' GOCACHE="$home/cache" \
    go build -o "$home/verify" tests/clients/drivers/pkcs7/main.go
build
emulator=$PWD/target/debug/imds-emulator
for key in dsa dsa2048 rsa2048; do
    "$emulator" --seed "$client" certificate "$key" > "$home/$key.pem"
done
# shellcheck disable=SC2016
emulated '
server.seed = "pkcs7"
instance.signatures.dsa2048 = true
' sh -c '
ask() {
    curl --silent --show-error --fail "$@"
}
root=${AWS_EC2_METADATA_SERVICE_ENDPOINT%/}/latest
token=$(ask --request PUT --header "X-aws-ec2-metadata-token-ttl-seconds: 60" "$root/api/token")
for name in document pkcs7 dsa2048 rsa2048; do
    ask --header "X-aws-ec2-metadata-token: $token" "$root/dynamic/instance-identity/$name" > "$0/$name" || exit
done
' "$home"

# changed NAME TEXT OTHER: writes a signature with TEXT replaced by OTHER, in its bytes.
changed() {
    python3 - "$home/$1" "$2" "$3" <<'PYTHON'
import base64, sys

name, text, other = sys.argv[1:]
message = base64.b64decode(open(name).read())
assert message.count(text.encode()) == 1, f"{text} in {name}"
message = message.replace(text.encode(), other.encode())
open(name + ".changed", "wb").write(base64.encodebytes(message))
PYTHON
}

# rejected CERTIFICATE SIGNATURE REASON
rejected() {
    local error
    if error=$("$home/verify" "$home/$1.pem" "$home/$2" 2>&1 > /dev/null) || [[ $error != *"$3"* ]]; then
        echo "$client: $2 with the certificate $1: not rejected because of '$3': ${error:-accepted}"
        exit 1
    fi
}

for pair in dsa:pkcs7 dsa2048:dsa2048 rsa2048:rsa2048; do
    key=${pair%:*} name=${pair#*:}
    "$home/verify" "$home/$key.pem" "$home/$name" | cmp - "$home/document"
    changed "$name" t3.micro t3.large
    rejected "$key" "$name.changed" "Message digest mismatch"
done
rejected rsa2048 pkcs7 "No certificate for signer"
# The signing time: the signature is wrong then, though the document has not changed.
year=$(date -u +%y%m)
changed pkcs7 "$(printf '\x17\x0d%s' "$year")" "$(printf '\x17\x0d%s' 0101)"
rejected dsa pkcs7.changed "the DSA signature is wrong"
changed rsa2048 "$(printf '\x17\x0d%s' "$year")" "$(printf '\x17\x0d%s' 0101)"
rejected rsa2048 rsa2048.changed "verification error"
echo "$client: Go's pkcs7 verifies pkcs7, dsa2048 and rsa2048"
