// Signs a request to S3 with credentials that the component imports.
import { getCredentials } from "imds:credentials/provider@0.1.0";
import { Sha256 } from "@aws-crypto/sha256-js";
import { SignatureV4 } from "@smithy/signature-v4";

export async function sign(bucket, region, time) {
  const host = `${bucket}.s3.${region}.amazonaws.com`;
  const signer = new SignatureV4({
    // Called for each request. The component has the credentials in its cache.
    credentials: credentials(),
    region,
    service: "s3",
    sha256: Sha256,
    uriEscapePath: false,
  });
  const request = { method: "GET", protocol: "https:", hostname: host, path: "/", headers: { host } };
  const signed = await signer.sign(request, { signingDate: new Date(time * 1000) });
  return Object.entries(signed.headers);
}

function credentials() {
  try {
    return getCredentials();
  } catch (error) {
    // `payload` is the error of the WIT package. What an exported function throws becomes its error.
    const { tag, val } = error.payload;
    throw val?.message ?? val ?? tag;
  }
}
