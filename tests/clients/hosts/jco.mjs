// The component in Node.js, transpiled by jco.
import { readFileSync } from "node:fs";
import { ec2Role, provider } from "./out/ec2_role_component.js";

const check = (holds, what) => {
  if (!holds) throw new Error(what);
};

ec2Role.configure({ endpoint: process.env.AWS_EC2_METADATA_SERVICE_ENDPOINT });
const first = provider.getCredentials();
check(first.source === "EC2RoleProvider", first.source);
check(first.secretAccessKey.length === 40, "the secret key");
check(provider.getCredentials().accessKeyId === first.accessKeyId, "the credentials are not held");

// A call blocks the thread. An error is thrown with the WIT error as its `payload`.
const end = Date.now() + 30_000;
let second = first;
while (second.accessKeyId === first.accessKeyId) {
  check(Date.now() < end, "no rotation within 30 s");
  await new Promise((resolve) => setTimeout(resolve, 200));
  second = provider.getCredentials();
}
check(second.expires > first.expires, "the new credentials do not expire later");
const jco = new URL("node_modules/@bytecodealliance/jco/package.json", import.meta.url);
const { version } = JSON.parse(readFileSync(jco));
console.log(`jco ${version}, Node.js ${process.versions.node}: credentials, and a rotation`);
