#!/usr/bin/env bash
# minio 8.0.7 (npm), the MinIO SDK for JavaScript: `IamAwsProvider` cannot be used on EC2, because
# the access key that it returns is undefined.
#
# IMDS names the key AccessKeyId. The provider reads AccessKeyID, and does not report that this
# member is missing. The first request to S3 then fails in the client. It also asks for the
# credentials with two slashes before the role, which only a server that merges slashes finds. Seen:
#   access key: undefined, secret key: set
#   GET /latest/meta-data/iam/security-credentials//app
#   TypeError: accessKey should be of type "string"
#
# Exit status: 0 if it is still so, 1 if it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{"private": true}' > package.json
npm install --silent --no-audit --no-fund minio@8.0.7
cat > program.js <<'JAVASCRIPT'
const http = require("http");
const { Client, IamAwsProvider } = require("minio");

const credentials = JSON.stringify({
  Code: "Success",
  AccessKeyId: "ASIAEXAMPLEEXAMPLE12",
  SecretAccessKey: "secret",
  Token: "token",
  Expiration: "2099-01-01T00:00:00Z",
});
let last;
const imds = http.createServer((request, response) => {
  last = `${request.method} ${request.url}`;
  const list = request.url.endsWith("/security-credentials/");
  response.end(request.method === "PUT" ? "token" : list ? "app" : credentials);
});
imds.listen(0, "127.0.0.1", async () => {
  const { port } = imds.address();
  const provider = new IamAwsProvider({ customEndpoint: `http://127.0.0.1:${port}` });
  const found = await provider.getCredentials();
  const secret = found.getSecretKey() === "secret" ? "set" : "not set";
  console.log(`access key: ${found.getAccessKey()}, secret key: ${secret}`);
  console.log(last);
  const client = new Client({
    endPoint: "127.0.0.1",
    port,
    useSSL: false,
    region: "us-east-1",
    credentialsProvider: provider,
  });
  await client.bucketExists("bucket").then(console.log, (error) => console.log(`${error}`));
  process.exit();
});
JAVASCRIPT
seen=$(env -i PATH="$PATH" HOME="$folder" node program.js)
echo "$seen"
[ "$seen" = 'access key: undefined, secret key: set
GET /latest/meta-data/iam/security-credentials//app
TypeError: accessKey should be of type "string"' ]
