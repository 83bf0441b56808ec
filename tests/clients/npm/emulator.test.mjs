// The package of the emulator, as it is installed from a registry.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import http from "node:http";
import { createRequire } from "node:module";
import { test } from "node:test";
import { AdminError, Emulator, EmulatorError, VerificationError, command } from "@imds-credentials/emulator";

const require = createRequire(import.meta.url);

/** Gets the list of roles, with a token of its own if not without. */
async function role(imds, { token = true } = {}) {
  const headers = {};
  if (token) {
    const response = await fetch(`${imds.url}/latest/api/token`, {
      method: "PUT",
      headers: { "X-aws-ec2-metadata-token-ttl-seconds": "60" },
    });
    if (!response.ok) return response.status;
    headers["X-aws-ec2-metadata-token"] = await response.text();
  }
  const response = await fetch(`${imds.url}/latest/meta-data/iam/security-credentials/`, { headers });
  return response.ok ? response.text() : response.status;
}

const isRunning = (pid) => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

const until = async (holds) => {
  for (const end = Date.now() + 20_000; !(await holds()); ) {
    assert(Date.now() < end, "not within 20 s");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
};

test("both module systems get the same classes", () => {
  assert.equal(require("@imds-credentials/emulator").Emulator, Emulator);
});

test("options become the configuration", async () => {
  const imds = await Emulator.start({
    role: "web-server",
    httpTokens: "optional",
    config: { instance: { "instance-type": "m7g.large", architecture: "arm64" } },
    arguments: ["--set", "instance.public=false"],
  });
  assert.equal(await role(imds), "web-server");
  assert.equal(await role(imds, { token: false }), "web-server");
  const instance = await imds.instance();
  assert.equal(instance["instance-type"], "m7g.large");
  assert.equal(instance.public, false);
  await imds.stop();

  const without = await Emulator.start({ role: false });
  assert.equal(await role(without), 404);
  await without.stop();
});

test("an emulator that cannot start says why", async () => {
  await assert.rejects(Emulator.start({ dialect: "zen" }), (error) => {
    assert(error instanceof EmulatorError);
    assert.match(error.message, /^imds-emulator did not start \(exit status 1\): .*zen.*nitro/s);
    return true;
  });
  await assert.rejects(Emulator.start({ config: { instance: { colour: "red" } } }), /colour/);
  await assert.rejects(Emulator.start({ config: "missing.toml" }), /missing\.toml/);
  await assert.rejects(Emulator.start({ config: 7 }), /option config is 7; accepted is an object, or the path/);
  await assert.rejects(Emulator.start({ port: "x" }), /option port is "x"; accepted is a whole number/);
  await assert.rejects(Emulator.start({ colour: "x" }), /unknown option "colour"; the options are role, /);
  await assert.rejects(Emulator.start({ startTimeout: 0 }), /did not start within 0 ms; raise `startTimeout`/);
});

test("a command that is missing is named", async (t) => {
  const before = process.env.IMDS_EMULATOR;
  t.after(() => {
    if (before === undefined) delete process.env.IMDS_EMULATOR;
    else process.env.IMDS_EMULATOR = before;
  });
  process.env.IMDS_EMULATOR = "/nonexistent/imds-emulator";
  await assert.rejects(Emulator.start(), /cannot run \/nonexistent\/imds-emulator: .*ENOENT/);
  delete process.env.IMDS_EMULATOR;
  const { arch } = process;
  t.after(() => Object.defineProperty(process, "arch", { value: arch }));
  Object.defineProperty(process, "arch", { value: "s390x" });
  assert.throws(command, /has no command for \w+-s390x, only for .*; build the command/);
});

test("faults end when they are removed, and at the end of a block", async () => {
  const imds = await Emulator.start();
  const outage = await imds.fault("outage", "status", { code: 503 }, { match: { path: "/latest/api/token" } });
  assert.equal(outage.rule.fault.code, 503);
  assert.equal(await role(imds), 503);
  assert.equal((await imds.rule("outage")).applied, 1);
  await outage.remove();
  await outage.remove();
  assert.equal(await role(imds), "emulated-role");

  const twice = await imds.fault("outage", "empty_response", {}, { when: { count: 2 } });
  await assert.rejects(role(imds));
  await twice[Symbol.asyncDispose]();
  assert.deepEqual(await imds.rules(), []);
  for (const name of ["a b", ".", ".."]) {
    await imds.putRule({ name, fault: { type: "latency" } });
    assert.equal((await imds.rule(name)).rule.name, name);
    await imds.removeRule(name);
  }
  assert.deepEqual(await imds.rules(), []);
  await imds.stop();
});

test("the clock moves", async () => {
  const imds = await Emulator.start();
  const frozen = await imds.freezeClock();
  assert.equal(frozen.running, false);
  const later = await imds.advance("6h");
  assert.equal(later.now - frozen.now, 6 * 3600 * 1000);
  const set = await imds.setClock(new Date("2030-01-02T03:04:05Z"));
  assert.equal(set.now.toISOString(), "2030-01-02T03:04:05.000Z");
  assert.equal((await imds.runClock()).running, true);
  assert.equal((await imds.clock()).running, true);
  await imds.stop();
});

test("the journal tells who sent what, and assertions that do not hold name the requests", async () => {
  const imds = await Emulator.start({ httpTokens: "optional" });
  const followed = imds.follow();
  const next = followed.next();
  await new Promise((resolve) => setTimeout(resolve, 100));
  await role(imds);
  assert.equal((await next).value.method, "PUT");
  await followed.return();
  assert.deepEqual(
    (await imds.journal({ method: "PUT" })).map(({ path, status }) => [path, status]),
    [["/latest/api/token", 200]],
  );
  const report = await imds.verify("no_imdsv1", { max_token_puts: 1 });
  assert.equal(report.holds, true);

  await role(imds, { token: false });
  assert.equal(await imds.count({ imds: "v1" }), 1);
  await assert.rejects(imds.verify({ max_token_puts: 1 }, "no_imdsv1"), (error) => {
    assert(error instanceof VerificationError);
    assert.match(error.message, /^holds  \{"max_token_puts":1\}: /);
    assert.match(error.message, /\nFAILS  no_imdsv1: .*\n {9}#3 .* GET \/latest\/meta-data\/iam\/\S+ 200 v1 token:none "node"/);
    assert.equal(error.report.verdicts[1].exchanges[0].status, 200);
    return true;
  });
  // A request is shown as the command shows it.
  const ctl = spawnSync(command(), ["ctl", "--admin", imds.adminUrl, "verify", "no_imdsv1"], { encoding: "utf8" });
  const line = ctl.stdout.trimEnd().split("\n").at(-1);
  await assert.rejects(imds.verify("no_imdsv1"), ({ message }) => message.endsWith(`\n${line}`));
  await imds.clearJournal();
  assert.deepEqual(await imds.journal(), []);
  await imds.stop();
});

test("what is expected is checked when the emulator is disposed of, which stops it in any case", async () => {
  const imds = await Emulator.start();
  imds.expect({ min_requests: { min: 1 } });
  await assert.rejects(imds[Symbol.asyncDispose](), VerificationError);
  await assert.rejects(imds.clock(), { message: "the emulator was stopped" });
  await imds.stop();
  const held = await Emulator.start();
  held.expect("no_imdsv1");
  await held.dispose();
});

test("the admin API's errors name the field, the value and what is accepted", async () => {
  const imds = await Emulator.start();
  await assert.rejects(imds.fault("x", "status", { code: 7 }), (error) => {
    assert(error instanceof AdminError);
    assert.equal(error.status, 422);
    assert.match(error.message, /^POST \/__admin\/faults: .*code.*7.*200/);
    assert.match(error.detail, /^[^:]*code: /);
    return true;
  });
  await assert.rejects(imds.preset("unknown"), { status: 404 });
  await assert.rejects(imds.advance("soon"), /soon/);
  await imds.stop();
});

test("every operation of the admin API has a method", async (t) => {
  const imds = await Emulator.start();
  const { paths } = await imds.admin("GET", "openapi.json");
  const asked = new Set(["GET /__admin/openapi.json", "GET /__admin/ready"]);
  const known = Object.entries(paths).flatMap(([path, operations]) =>
    Object.keys(operations).filter((key) => key !== "parameters").map((method) => `${method.toUpperCase()} ${path}`),
  );
  const { request } = http;
  t.mock.method(http, "request", (options, ...rest) => {
    const { method, path } = options;
    const template = path.replace(/(faults|presets|scenarios|timeline)\/[^/]+/, "$1/{name}");
    asked.add(`${method} ${template}`);
    return request(options, ...rest);
  });

  const rule = { name: "a", fault: { type: "latency" } };
  await imds.addRule(rule);
  await imds.putRule(rule);
  await imds.rule("a");
  await imds.removeRule("a");
  await imds.setRules([rule]);
  assert.equal((await imds.rules()).length, 1);
  await imds.clearRules();
  assert((await imds.presets()).some(({ name }) => name === "imds-outage"));
  const preset = await imds.preset("imds-outage");
  assert(preset.rules.length > 0);
  await preset.remove();
  await imds.removePreset("imds-outage").catch((error) => assert.equal(error.status, 404));
  await imds.clock();
  await imds.advance("1s");
  await imds.freezeClock();
  await imds.instance();
  assert.equal((await imds.instance({ "instance-type": "m5.large" }))["instance-type"], "m5.large");
  assert.equal((await imds.metadataOptions()).HttpTokens, "required");
  assert.equal((await imds.metadataOptions({ HttpTokens: "optional" })).HttpTokens, "optional");
  await imds.events();
  assert((await imds.events({ "rebalance-recommendation": {} }))["rebalance-recommendation"]);
  await imds.clearEvents();
  await imds.rotateCredentials();
  await imds.revokeTokens();
  await imds.setTimeline([{ name: "step", do: ["rotate_credentials"] }]);
  await imds.takeStep("step");
  assert.equal((await imds.timeline()).length, 1);
  await imds.clearTimeline();
  assert.equal(await imds.scenario("x"), "Started");
  await imds.setScenario("x", "next");
  assert.equal(await imds.scenario("x"), "next");
  await imds.journal();
  await imds.count();
  await imds.verify("no_imdsv1");
  await imds.clearJournal();
  // They are counted in networks of the emulator only.
  await assert.rejects(imds.packets(), { status: 409 });
  await imds.reset();
  assert.equal(await imds.scenario("x"), "Started");
  assert.match(await imds.metrics(), /^# HELP/);
  assert.equal(await imds.health(), "ok");
  const followed = imds.follow();
  const next = followed.next();
  await role(imds);
  await next;
  await followed.return();
  // `journal` finds what `GET` lists.
  asked.add("GET /__admin/requests");
  assert.deepEqual(known.filter((operation) => !asked.has(operation)), []);
  await imds.stop();
});

test("the environment of this process is restored", async () => {
  const imds = await Emulator.start();
  const before = { ...process.env };
  process.env.AWS_PROFILE = "mine";
  const environment = imds.applyEnv();
  assert.equal(process.env.AWS_PROFILE, undefined);
  assert.equal(process.env.AWS_EC2_METADATA_SERVICE_ENDPOINT, `${imds.url}/`);
  environment.restore();
  environment.restore();
  assert.equal(process.env.AWS_PROFILE, "mine");
  delete process.env.AWS_PROFILE;
  assert.deepEqual({ ...process.env }, before);
  const child = spawnSync(process.execPath, ["-p", "[process.env.AWS_PROFILE, process.env.IMDS_EMULATOR_ADMIN_URL]"], {
    encoding: "utf8",
    env: { ...process.env, AWS_PROFILE: "mine", ...imds.env },
  });
  assert.equal(child.stdout.trim(), `[ undefined, '${imds.adminUrl}' ]`);
  await imds.stop();
});

const program = `
const { Emulator } = require("@imds-credentials/emulator");
Emulator.start().then((imds) => {
  console.log(imds.adminUrl);
  if (process.argv[2] === "wait") setInterval(() => {}, 1000);
});`;

for (const how of ["ends by itself", "is killed"]) {
  test(`the emulator does not outlive a process that ${how}`, async (t) => {
    writeFileSync("outlive.cjs", program);
    const child = spawn(process.execPath, ["outlive.cjs", how === "is killed" ? "wait" : ""], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    t.after(() => child.kill("SIGKILL"));
    const [url] = await once(child.stdout.setEncoding("utf8"), "data");
    const lives = () => fetch(`${url.trim()}/__admin/health`).then(() => true, () => false);
    if (how === "is killed") {
      assert.equal(await lives(), true);
      child.kill("SIGKILL");
    }
    await until(() => !isRunning(child.pid) || child.exitCode !== null);
    await until(async () => !(await lives()));
  });
}

test("an emulator that dies is named by the next call", async () => {
  const imds = await Emulator.start();
  process.kill(imds.pid, "SIGKILL");
  await until(() => imds.health().then(() => false, () => true));
  await assert.rejects(imds.health(), /the emulator has exited \(exit status SIGKILL\)/);
  await imds.stop();
});

test("the command runs by its name, with its status and its signals", async (t) => {
  const run = (...arguments_) => spawnSync("npx", ["imds-emulator", ...arguments_], { encoding: "utf8" });
  assert.match(run("--version").stdout, /^imds-emulator \d/);
  assert.equal(run("--nonsense").status, 2);
  assert.equal(run("run", "--", "sh", "-c", "exit 7").status, 7);
  const child = spawn("node_modules/.bin/imds-emulator", ["--port", "0"], { stdio: ["ignore", "pipe", "inherit"] });
  let ended = false;
  child.once("exit", () => (ended = true));
  const [ready] = await once(child.stdout.setEncoding("utf8"), "data");
  const { admin } = JSON.parse(ready);
  t.after(() => child.kill("SIGKILL"));
  child.kill("SIGTERM");
  await until(() => ended);
  assert.equal(child.exitCode, 0);
  await assert.rejects(fetch(`${admin}/__admin/health`));
});
