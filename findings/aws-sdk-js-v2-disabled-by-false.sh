#!/usr/bin/env bash
# aws-sdk 2.1693.0 (npm), the last version of the AWS SDK for JavaScript v2: any value of AWS_EC2_METADATA_DISABLED
# disables IMDS, "false" included, where the other SDKs compare with "true".
#
# Seen, as the number of requests: false 0, 0 0, no 0, not set 2.
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
let requests = 0;
const imds = http.createServer((request, response) => {
  requests += 1;
  response.statusCode = request.method === "PUT" ? 200 : 404;
  response.end("token");
});
imds.listen(0, "127.0.0.1", () => {
  process.env.AWS_EC2_METADATA_SERVICE_ENDPOINT = `http://127.0.0.1:${imds.address().port}/`;
  const AWS = require("aws-sdk");
  const credentials = new AWS.EC2MetadataCredentials({ httpOptions: { timeout: 2000 }, maxRetries: 0 });
  credentials.refresh(() => {
    console.log(process.env.AWS_EC2_METADATA_DISABLED ?? "not set", requests);
    process.exit();
  });
});
JAVASCRIPT
run() { env -i PATH="$PATH" HOME="$folder" "$@" node program.js 2> /dev/null; }
seen=$(run AWS_EC2_METADATA_DISABLED=false; run AWS_EC2_METADATA_DISABLED=0; run AWS_EC2_METADATA_DISABLED=no; run)
echo "$seen"
[ "$seen" = $'false 0\n0 0\nno 0\nnot set 2' ]
