#!/usr/bin/env bash
# @aws-sdk/credential-provider-node 3.972.97 (npm), the default chain of the AWS SDK for JavaScript 3: if IMDS
# fails when credentials have expired, the chain returns an error. Version 3.451.0 returned the expired
# credentials, which AWS may still accept in an outage of IMDS (static stability).
#
# The provider of IMDS still extends what it holds. But the chain now creates it anew for each refresh,
# so it holds nothing. Seen, with an IMDS that answers the second token request with 500:
#   3.451.0: ASIAEXAMPLEEXAMPLE12, ASIAEXAMPLEEXAMPLE12
#   3.972.97: ASIAEXAMPLEEXAMPLE12, CredentialsProviderError
#
# Exit status: 0 if it is still so, 1 if it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat > program.js <<'JAVASCRIPT'
const http = require("http");
const { defaultProvider } = require("@aws-sdk/credential-provider-node");

let outage = false;
const imds = http.createServer((request, response) => {
  if (outage) response.statusCode = 500;
  const list = request.url.endsWith("/security-credentials/");
  const credentials = JSON.stringify({
    Code: "Success",
    AccessKeyId: "ASIAEXAMPLEEXAMPLE12",
    SecretAccessKey: "secret",
    Token: "token",
    Expiration: new Date(Date.now() + 1000).toISOString(),
  });
  response.end(outage ? "" : request.method === "PUT" ? "token" : list ? "app" : credentials);
});
imds.listen(0, "127.0.0.1", async () => {
  process.env.AWS_EC2_METADATA_SERVICE_ENDPOINT = `http://127.0.0.1:${imds.address().port}`;
  const provider = defaultProvider();
  const ask = () => provider().then(({ accessKeyId }) => accessKeyId, ({ name }) => name);
  const before = await ask();
  outage = true;
  await new Promise((done) => setTimeout(done, 1500));
  console.log(`${before}, ${await ask()}`);
  process.exit();
});
JAVASCRIPT
seen=
for version in 3.451.0 3.972.97; do
    mkdir "$version"
    echo '{"private": true}' > "$version/package.json"
    npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$version" \
        "@aws-sdk/credential-provider-node@$version"
    cp program.js "$version"
    seen+="$version: $(env -i PATH="$PATH" HOME="$folder" node "$version/program.js" 2> "$folder/warnings")"$'\n'
done
printf '%s' "$seen"
[ "$seen" = '3.451.0: ASIAEXAMPLEEXAMPLE12, ASIAEXAMPLEEXAMPLE12
3.972.97: ASIAEXAMPLEEXAMPLE12, CredentialsProviderError
' ]
