// The component for WASI 0.3 in Node.js, transpiled by jco.
import { readFileSync } from "node:fs";
import { ec2Role, provider } from "./out/component.js";

const check = (holds, what) => {
  if (!holds) throw new Error(what);
};

await ec2Role.configure({ endpoint: process.env.AWS_EC2_METADATA_SERVICE_ENDPOINT });
// Calls are concurrent, and one refresh serves all of them.
const all = await Promise.all([1, 2, 3].map(() => provider.getCredentials()));
const [first] = all;
check(first.source === "EC2RoleProvider", first.source);
check(first.secretAccessKey.length === 40, "the secret key");
check(all.every(({ accessKeyId }) => accessKeyId === first.accessKeyId), "they differ");
const { requests } = await ec2Role.status();
check(requests.roleCredentials === 1n, `${requests.roleCredentials} requests`);

const end = Date.now() + 30_000;
let second = first;
while (second.accessKeyId === first.accessKeyId) {
  check(Date.now() < end, "no rotation within 30 s");
  await new Promise((resolve) => setTimeout(resolve, 200));
  second = await provider.getCredentials();
}
check(second.expires > first.expires, "the new credentials do not expire later");

// Nothing listens there, so an error comes soon.
await ec2Role.configure({ endpoint: "http://127.0.0.1:9", attempts: 1 });
const error = await provider.getCredentials().then(
  () => ({ payload: "credentials" }),
  (error) => error,
);
check(error.payload?.val?.reason === "unavailable", `${error.payload?.val?.reason}`);

// The shim cannot send to IPv6 addresses: it looks them up as host names.
await ec2Role.configure({ endpoint: "http://[::1]:1", attempts: 1 });
const refused = await provider.getCredentials().then(
  () => ({ payload: "credentials" }),
  (error) => error,
);
const { reason, message } = refused.payload?.val ?? {};
check(reason === "unavailable" && message.includes("resolve"), `IPv6: ${reason}, ${message}`);

const jco = new URL("node_modules/@bytecodealliance/jco/package.json", import.meta.url);
const { version } = JSON.parse(readFileSync(jco));
console.log(`WASI 0.3: jco ${version}, Node.js ${process.versions.node}: credentials, and a rotation`);
