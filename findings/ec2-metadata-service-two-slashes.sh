#!/usr/bin/env bash
# @aws-sdk/ec2-metadata-service 3.1161.0 (npm), the metadata client of the AWS SDK for JavaScript
# v3: a path written as its README writes it is requested with two slashes at the start.
#
# The client appends the path to the path of the endpoint, which is "/" even if the endpoint has
# none. A server or proxy that compares paths exactly answers with 404. Without its first slash, the
# path is requested correctly. The token request has one slash in both cases. Seen:
#   /latest/meta-data/instance-id: GET //latest/meta-data/instance-id, 404
#   latest/meta-data/instance-id: GET /latest/meta-data/instance-id, i-1
#
# Exit status: 0 if it is still so, 1 if it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{"private": true}' > package.json
npm install --silent --no-audit --no-fund @aws-sdk/ec2-metadata-service@3.1161.0
cat > program.js <<'JAVASCRIPT'
const http = require("http");
const { MetadataService } = require("@aws-sdk/ec2-metadata-service");

let last;
const imds = http.createServer((request, response) => {
  last = `${request.method} ${request.url}`;
  const known = ["PUT /latest/api/token", "GET /latest/meta-data/instance-id"].includes(last);
  response.statusCode = known ? 200 : 404;
  response.end(request.method === "PUT" ? "token" : "i-1");
});
imds.listen(0, "127.0.0.1", async () => {
  const service = new MetadataService({ endpoint: `http://127.0.0.1:${imds.address().port}` });
  for (const path of ["/latest/meta-data/instance-id", "latest/meta-data/instance-id"]) {
    const status = (error) => error.$metadata.httpStatusCode;
    const found = await service.request(path, {}).catch(status);
    console.log(`${path}: ${last}, ${found}`);
  }
  process.exit();
});
JAVASCRIPT
seen=$(env -i PATH="$PATH" HOME="$folder" node program.js)
echo "$seen"
[ "$seen" = '/latest/meta-data/instance-id: GET //latest/meta-data/instance-id, 404
latest/meta-data/instance-id: GET /latest/meta-data/instance-id, i-1' ]
