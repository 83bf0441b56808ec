// A driver of imds-conformance for the AWS SDKs for JavaScript. It creates one client of the SDK, as a
// long-running program does, and reports its credentials over the line protocol.
//
// Arguments: the folder with the packages, and the source of the credentials, a key of `sources`.

import { createRequire } from "node:module";
import { resolve } from "node:path";
import { createInterface } from "node:readline";

const [folder = ".", source = "default"] = process.argv.slice(2);
const require = createRequire(resolve(folder, "package.json"));

const sources = {
  // The default provider chain, which ends with IMDS, of a client of version 3.
  default: () => ofClient(undefined),
  // `fromInstanceMetadata()` in a client of version 3.
  imds: () => ofClient(require("@smithy/credential-provider-imds").fromInstanceMetadata()),
  // The default provider chain alone, which holds credentials itself.
  chain: () => require("@aws-sdk/credential-provider-node").defaultProvider(),
  // `fromInstanceMetadata()` alone, of old and of new versions.
  "old-imds": () => held("@aws-sdk"),
  "smithy-imds": () => held("@smithy"),
  // The client for metadata of version 3. It holds no credentials.
  "metadata-service": () => async () => {
    const path = "/latest/meta-data/iam/security-credentials/";
    const role = await read(path);
    const { AccessKeyId, Expiration } = JSON.parse(await read(path + role.trim()));
    if (AccessKeyId === undefined) throw new Error("no AccessKeyId");
    return { accessKeyId: AccessKeyId, expiration: new Date(Expiration) };
  },
  // Version 2.
  v2: () => {
    const { Config } = require("aws-sdk");
    const config = new Config({ region: "us-east-1" });
    return () =>
      new Promise((done, fail) => {
        config.getCredentials((error, found) => {
          if (error) fail(error);
          else done({ accessKeyId: found.accessKeyId, expiration: found.expireTime });
        });
      });
  },
};

function ofClient(credentials) {
  const { STSClient } = require("@aws-sdk/client-sts");
  // What the client does for each request.
  return new STSClient({ region: "us-east-1", credentials }).config.credentials;
}

// Holds the credentials of `fromInstanceMetadata()` as clients do.
function held(scope) {
  const { fromInstanceMetadata } = require(`${scope}/credential-provider-imds`);
  const { memoize } = require(`${scope}/property-provider`);
  const expires = ({ expiration }) => expiration !== undefined;
  const isDue = (found) => expires(found) && found.expiration - Date.now() < 300_000;
  return memoize(fromInstanceMetadata(), isDue, expires);
}

const failed = (error) => `error ${error?.name}: ${error?.message}`.replace(/\s+/g, " ");

let provider;

async function get() {
  try {
    provider ??= sources[source]();
    const { accessKeyId, expiration } = await provider();
    return `credentials ${accessKeyId} ${expiration?.toISOString() ?? ""}`;
  } catch (error) {
    return failed(error);
  }
}

let service;

async function read(path) {
  const { MetadataService } = require("@aws-sdk/ec2-metadata-service");
  service ??= new MetadataService();
  return service.request(path, {});
}

async function metadata(path) {
  try {
    const value = await read(`/latest/meta-data/${path}`);
    return `value ${value.replaceAll("\\", "\\\\").replaceAll("\n", "\\n")}`;
  } catch (error) {
    return failed(error);
  }
}

// The metadata client is a package of its own.
const reads = ["default", "imds", "metadata-service"].includes(source);
console.log(reads ? "ready concurrent metadata" : "ready concurrent");
for await (const line of createInterface({ input: process.stdin })) {
  const [question, argument] = line.split(" ");
  if (question === "get") {
    const callers = Array.from({ length: Number(argument ?? 1) }, get);
    console.log((await Promise.all(callers)).join("\n"));
  } else if (question === "metadata" && reads) {
    console.log(await metadata(argument));
  } else {
    console.log(`error unsupported ${question}`);
  }
}
// Exits even if the SDK has tasks in the background.
process.exit();
