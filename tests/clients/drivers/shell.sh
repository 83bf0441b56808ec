#!/bin/sh
# An example client for imds-conformance in shell, to copy. It does what most scripts do: it requests a token,
# a role and a document each time, holds nothing and retries nothing.
base=${AWS_EC2_METADATA_SERVICE_ENDPOINT:?is to be set}

# ask PATH [OPTION...]: prints the body of a successful response. An error goes to standard error.
ask() {
    path=$1
    shift
    curl --silent --show-error --fail --noproxy '*' --max-time 2 "$@" "${base%/}/latest/$path"
}

# field NAME: prints the value of a field of the document.
field() {
    printf '%s' "$document" | tr -d '\n' | sed -n 's/.*"'"$1"'" *: *"\([^"]*\)".*/\1/p'
}

get() {
    token=$(ask api/token --request PUT --header 'X-aws-ec2-metadata-token-ttl-seconds: 21600') ||
        { echo "error no token"; return; }
    roles=meta-data/iam/security-credentials/
    role=$(ask "$roles" --header "X-aws-ec2-metadata-token: $token") ||
        { echo "error no role"; return; }
    document=$(ask "$roles$role" --header "X-aws-ec2-metadata-token: $token") ||
        { echo "error no document"; return; }
    key=$(field AccessKeyId)
    if [ -n "$key" ]; then
        echo "credentials $key $(field Expiration)"
    else
        echo "error no access key in the document"
    fi
}

echo ready
while read -r question _; do
    case $question in
        get) get ;;
        *) echo "error unsupported $question" ;;
    esac
done
