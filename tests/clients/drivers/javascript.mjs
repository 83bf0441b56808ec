// A driver of imds-conformance for the AWS SDK for JavaScript v3. It creates one client of the SDK, as a
// long-running program does, and reports its credentials over the line protocol.
//
// Arguments: the folder with the packages, and the source of the credentials: `default` for the default
// provider chain, which ends with IMDS, or `imds` for `fromInstanceMetadata()`.

import { createRequire } from "node:module";
import { resolve } from "node:path";
import { createInterface } from "node:readline";

const [folder = ".", provider = "default"] = process.argv.slice(2);
const require = createRequire(resolve(folder, "package.json"));
const { STSClient } = require("@aws-sdk/client-sts");
const { MetadataService } = require("@aws-sdk/ec2-metadata-service");
const { fromInstanceMetadata } = require("@smithy/credential-provider-imds");

const failed = (error) => `error ${error?.name}: ${error?.message}`.replace(/\s+/g, " ");

let client;

async function get() {
  try {
    client ??= new STSClient({
      region: "us-east-1",
      credentials: provider === "imds" ? fromInstanceMetadata() : undefined,
    });
    // What the client does for each request.
    const { accessKeyId, expiration } = await client.config.credentials();
    return `credentials ${accessKeyId} ${expiration?.toISOString() ?? ""}`;
  } catch (error) {
    return failed(error);
  }
}

let service;

async function metadata(path) {
  try {
    service ??= new MetadataService();
    const value = await service.request(`/latest/meta-data/${path}`, {});
    return `value ${value.replaceAll("\\", "\\\\").replaceAll("\n", "\\n")}`;
  } catch (error) {
    return failed(error);
  }
}

console.log("ready concurrent metadata");
for await (const line of createInterface({ input: process.stdin })) {
  const [question, argument] = line.split(" ");
  if (question === "get") {
    const callers = Array.from({ length: Number(argument ?? 1) }, get);
    console.log((await Promise.all(callers)).join("\n"));
  } else if (question === "metadata") {
    console.log(await metadata(argument));
  } else {
    console.log(`error unsupported ${question}`);
  }
}
// Exits even if the SDK has tasks in the background.
process.exit();
