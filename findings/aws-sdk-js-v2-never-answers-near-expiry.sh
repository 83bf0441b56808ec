#!/usr/bin/env bash
# aws-sdk 2.1693.0 (npm), the last version of the AWS SDK for JavaScript v2: if the credentials that IMDS sends have
# expired, or expire within 15 seconds, the promise of the default chain is never settled. Node.js then has nothing
# left to do, and ends with the exit status 0.
#
# It means to use the credentials longer, as in an outage of IMDS, and to log that. By default there is no logger, and
# the TypeError for `logger.warn` is lost. With `AWS.config.logger = console` all is well. Seen:
#   expires in an hour, no logger: key
#   expired, no logger: no answer
#   expires in 5 s, no logger: no answer
#   expired, logger: key
#
# Exit status: 0 if it is still so, 1 if it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{"private": true}' > package.json
npm install --silent --no-audit --no-fund aws-sdk@2.1693.0
cat > program.js <<'JAVASCRIPT'
const http = require("http");
const [seconds, logger] = process.argv.slice(2);
const document = JSON.stringify({
  Code: "Success", AccessKeyId: "ASIAEXAMPLEEXAMPLE12", SecretAccessKey: "secret", Token: "token",
  Expiration: new Date(Date.now() + seconds * 1000).toISOString(),
});
const imds = http.createServer((request, response) => {
  if (request.method === "PUT") response.end("token");
  else response.end(request.url.endsWith("/app") ? document : "app");
});
imds.listen(0, "127.0.0.1", () => {
  process.env.AWS_EC2_METADATA_SERVICE_ENDPOINT = `http://127.0.0.1:${imds.address().port}/`;
  const AWS = require("aws-sdk");
  if (logger) AWS.config.logger = { log() {}, warn() {} };
  const chain = new AWS.CredentialProviderChain();
  const end = (answer) => { console.log(answer); process.exit(); };
  chain.resolvePromise().then((credentials) => end(credentials.accessKeyId ? "key" : "none"), () => end("error"));
  setTimeout(() => end("no answer"), 5000);
});
JAVASCRIPT
run() { echo "$1: $(env -i PATH="$PATH" HOME="$folder" node program.js "$2" "${3-}" 2> /dev/null)"; }
seen=$(run "expires in an hour, no logger" 3600; run "expired, no logger" -3600
    run "expires in 5 s, no logger" 5; run "expired, logger" -3600 logger)
echo "$seen"
[ "$seen" = 'expires in an hour, no logger: key
expired, no logger: no answer
expires in 5 s, no logger: no answer
expired, logger: key' ]
