// The package of the component, with the AWS SDK for JavaScript v3.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { afterEach, beforeEach, test } from "node:test";
import { GetCallerIdentityCommand, STSClient } from "@aws-sdk/client-sts";
import { emulatorPerTest } from "@imds-credentials/emulator";
import { Ec2Role, Ec2RoleError, credentials, fromEc2Role } from "@imds-credentials/ec2-role";

const imds = emulatorPerTest({ role: "web-server" }, { beforeEach, afterEach });

test("a client of the SDK signs with the credentials", async (t) => {
  const signed = [];
  const server = createServer((request, response) => {
    signed.push(request.headers);
    response.setHeader("content-type", "text/xml");
    response.end(
      "<GetCallerIdentityResponse><GetCallerIdentityResult><Account>123456789012</Account>" +
        "</GetCallerIdentityResult></GetCallerIdentityResponse>",
    );
  }).listen(0, "127.0.0.1");
  t.after(() => server.close());
  await once(server, "listening");
  const client = new STSClient({
    region: "us-east-1",
    endpoint: `http://127.0.0.1:${server.address().port}`,
    credentials: fromEc2Role(),
  });
  const { Account } = await client.send(new GetCallerIdentityCommand({}));
  client.destroy();
  assert.equal(Account, "123456789012");
  assert.match(signed[0].authorization, /Credential=ASIA[A-Z0-9]{16}\/\d{8}\/us-east-1\/sts\//);
  assert.match(signed[0]["x-amz-security-token"], /^IQoJ/);
  await imds().verify("no_imdsv1", { max_token_puts: 1 }, { requests: { number: 3 } });
});

test("credentials are held, and refreshed when they expire", async () => {
  await imds().instance({ iam: { lifetime: "6s", rotation: "3s", lead: "0s" } });
  await imds().rotateCredentials();
  const role = new Ec2Role();
  const [first, same] = await Promise.all([role.credentials(), role.credentials()]);
  assert.deepEqual(Object.keys(first).sort(), ["accessKeyId", "expiration", "secretAccessKey", "sessionToken"]);
  assert.deepEqual(first, same);
  assert(first.expiration > new Date() && first.expiration <= Date.now() + 6_000);
  let second = first;
  for (const end = Date.now() + 20_000; second.accessKeyId === first.accessKeyId; ) {
    assert(Date.now() < end, "no rotation within 20 s");
    await new Promise((resolve) => setTimeout(resolve, 100));
    second = await role.credentials();
  }
  assert(second.expiration > first.expiration);
  const status = await role.status();
  assert.equal(status.roleName, "web-server");
  assert.equal(status.imdsVersion, "v2");
  assert.deepEqual(status.expires, second.expiration);
  assert.equal(status.requests.token, 1);
  await role.close();
});

test("a call does not block this thread", async (t) => {
  await imds().fault("slow", "latency", { latency: "500ms" }, { match: { path: "/latest/api/token" } });
  const role = new Ec2Role({ readTimeout: 10_000, operationTimeout: 30_000 });
  t.after(() => role.close());
  let ticks = 0;
  const timer = setInterval(() => (ticks += 1), 20);
  t.after(() => clearInterval(timer));
  await role.credentials();
  assert(ticks >= 5, `${ticks}`);
});

test("metadata comes through the same client", async () => {
  const role = new Ec2Role();
  assert.equal(await role.metadata("placement/availability-zone"), "us-east-1a");
  assert.equal(await role.region(), "us-east-1");
  assert.equal((await role.identityDocument()).accountId, "123456789012");
  assert.match(await role.dynamicData("instance-identity/document"), /"region"/);
  assert.match((await role.iamInfo()).instanceProfileArn, /^arn:aws:iam::/);
  await assert.rejects(role.userData(), { reason: "not-found", status: 404 });
  await imds().instance({ "user-data": "text" });
  assert.equal(Buffer.from(await role.userData()).toString(), "text");
  await role.close();
});

test("rejected and forgotten credentials are requested again", async () => {
  const role = new Ec2Role();
  const { accessKeyId } = await role.credentials();
  await role.reject("ASIAOTHER");
  await role.credentials();
  assert.equal((await role.status()).refreshes, 1);
  await role.reject(accessKeyId);
  await role.credentials();
  await role.invalidate();
  await role.credentials();
  assert.equal((await role.status()).refreshes, 3);
  await role.close();
});

test("errors say what failed, why, and what is accepted", async () => {
  const failure = async (options, prepare = async () => {}) => {
    await prepare();
    const role = new Ec2Role({ attempts: 1, ...options });
    const error = await role.credentials().then(
      () => assert.fail("credentials"),
      (error) => error,
    );
    await role.close();
    assert(error instanceof Ec2RoleError);
    return error;
  };
  const outage = await failure({}, () => imds().fault("outage", "status", { code: 503 }));
  assert.equal(outage.message, "token: IMDS answered 503 (throttled, 1 attempt)");
  assert.deepEqual([outage.kind, outage.reason, outage.step, outage.status, outage.attempts, outage.tryNextLink], [
    "failed",
    "throttled",
    "token",
    503,
    1,
    true,
  ]);
  await imds().clearRules();
  assert.equal((await failure({}, () => imds().instance({ iam: false }))).reason, "no-role");
  const invalid = await failure({ tokenTtl: 0 });
  assert.equal(invalid.message, 'the option tokenTtl is "0"; accepted: 1 to 21600 seconds');
  assert.equal(invalid.tryNextLink, false);
  assert.match((await failure({ endpoint: "http://[::1]:1" })).message, /IPv6 addresses.*\(denied/);
  assert.equal((await failure({ disabled: true })).kind, "disabled");

  for (const [options, message] of [
    [{ attempt: 1 }, /^unknown option "attempt"; the options are disabled, endpoint, /],
    [{ attempts: 1.5 }, /^the option attempts is 1\.5; accepted: a whole number, 0 or more$/],
    [{ attempts: 2 ** 32 }, /^the option attempts is 4294967296; /],
    [{ readTimeout: "1s" }, /^the option readTimeout is "1s"; accepted: a whole number of milliseconds, /],
    [{ imdsv1: "always" }, /^the option imdsv1 is "always"; accepted: "never", "on-refusal", "on-any-failure"$/],
    [{ disabled: "false" }, /^the option disabled is "false"; accepted: true or false$/],
  ]) {
    assert.throws(() => new Ec2Role(options), { name: "TypeError", message });
  }
});

test("the environment is read, and options take precedence", async (t) => {
  t.after(() => delete process.env.AWS_EC2_METADATA_DISABLED);
  process.env.AWS_EC2_METADATA_DISABLED = "true";
  await assert.rejects(fromEc2Role()(), { kind: "disabled" });
  assert.match((await fromEc2Role({ disabled: false })()).accessKeyId, /^ASIA/);
});

test("calls fail when the component is closed, and later calls start it again", async () => {
  const role = new Ec2Role();
  const pending = assert.rejects(role.credentials(), { message: "the component was closed" });
  await role.close();
  await pending;
  assert.match((await role.credentials()).accessKeyId, /^ASIA/);
  await role.close();
});

test("neither package keeps a process from exiting", async () => {
  writeFileSync(
    "exits.mjs",
    `import { credentials } from "@imds-credentials/ec2-role";
    import { Emulator } from "@imds-credentials/emulator";
    await Emulator.start();
    console.log((await credentials()).accessKeyId);`,
  );
  const { stdout, status } = spawnSync(process.execPath, ["exits.mjs"], { encoding: "utf8", timeout: 20_000 });
  assert.match(stdout, /^ASIA/);
  assert.equal(status, 0);
});

test("all callers share the credentials of one instance", async () => {
  const [first, second] = await Promise.all([credentials(), credentials()]);
  assert.equal(first.accessKeyId, second.accessKeyId);
  assert.equal(await imds().count(), 3);
});

test("the interfaces of the component can be called directly", async () => {
  const { ec2Role, provider } = await import("@imds-credentials/ec2-role/sync");
  ec2Role.configure({ endpoint: imds().url });
  assert.equal(provider.getCredentials().source, "EC2RoleProvider");
});
