#!/usr/bin/env bash
# The last version of the AWS SDK for JavaScript v2 gets credentials from the emulator, although
# AWS_EC2_METADATA_DISABLED is set in the environment: for this SDK every value means "disabled", so
# `imds-emulator run` removes the variable.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
node_with aws-sdk@2.1693.0
cat > "$clients/$client/client.cjs" <<'JAVASCRIPT'
const AWS = require("aws-sdk");

new AWS.CredentialProviderChain().resolve((error, credentials) => {
  if (error) throw error;
  if (!/^ASIA[A-Z0-9]{16}$/.test(credentials.accessKeyId)) throw new Error(credentials.accessKeyId);
  console.log(`aws-sdk ${AWS.VERSION}: credentials`);
});
JAVASCRIPT
build
env -i PATH="$PATH" HOME=/nonexistent AWS_SDK_JS_SUPPRESS_MAINTENANCE_MODE_MESSAGE=1 \
    AWS_EC2_METADATA_DISABLED=false \
    target/debug/imds-emulator run -- node "$clients/$client/client.cjs"
