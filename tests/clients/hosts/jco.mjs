// The component in Node.js, transpiled by jco.
import { readFileSync } from "node:fs";
import { ec2Role, provider } from "./out/ec2-role-credentials.js";

const check = (holds, what) => {
  if (!holds) throw new Error(what);
};

ec2Role.configure({ endpoint: process.env.AWS_EC2_METADATA_SERVICE_ENDPOINT });
const first = provider.getCredentials();
check(first.source === "EC2RoleProvider", first.source);
check(first.secretAccessKey.length === 40, "the secret key");
check(provider.getCredentials().accessKeyId === first.accessKeyId, "the credentials are not held");

// A call blocks the thread.
const end = Date.now() + 30_000;
let second = first;
while (second.accessKeyId === first.accessKeyId) {
  check(Date.now() < end, "no rotation within 30 s");
  await new Promise((resolve) => setTimeout(resolve, 200));
  second = provider.getCredentials();
}
check(second.expires > first.expires, "the new credentials do not expire later");
// An error is thrown with the WIT error as its `payload`.
const failure = (options) => {
  ec2Role.configure({ attempts: 1, ...options });
  try {
    provider.getCredentials();
  } catch (error) {
    return error.payload?.val ?? { message: `${error}` };
  }
  return { message: "credentials" };
};

// The shim cannot send to IPv6 addresses.
const ipv6 = failure({ endpoint: "http://[::1]:1" });
check(ipv6.reason === "denied" && ipv6.attempts === 0, `IPv6: ${ipv6.reason}`);
check(ipv6.message.includes("IPv6 addresses"), ipv6.message);

// In Node.js the connect timeout also limits the wait for the response, so the component hands over one
// that does not end a response before the read timeout does. Durations are BigInt.
const endpoint = process.env.AWS_EC2_METADATA_SERVICE_ENDPOINT;
const admin = `${process.env.IMDS_EMULATOR_ADMIN_URL}/__admin/faults`;
await fetch(admin, {
  method: "POST",
  headers: { "content-type": "application/json" },
  body: JSON.stringify({ name: "late", match: { path: "/latest/api/token" }, fault: { type: "latency", latency: "1500ms" } }),
});
const late = failure({ endpoint, readTimeout: 3_000n });
check(late.message === "credentials", late.message);
const impatient = failure({ endpoint });
check(impatient.reason === "timeout", impatient.message);

const jco = new URL("node_modules/@bytecodealliance/jco/package.json", import.meta.url);
const { version } = JSON.parse(readFileSync(jco));
console.log(`jco ${version}, Node.js ${process.versions.node}: credentials, and a rotation`);
