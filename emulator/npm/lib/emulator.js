"use strict";

const { devNull } = require("node:os");
const admin = require("./admin.js");
const { AdminError, EmulatorError, VerificationError } = require("./errors.js");
const { Running } = require("./process.js");
const { reportText } = require("./report.js");

// Old versions of Node.js have no such symbols, and compilers use these in their place.
const asyncDispose = Symbol.asyncDispose ?? Symbol.for("Symbol.asyncDispose");
const dispose = Symbol.dispose ?? Symbol.for("Symbol.dispose");

/** Variables with which AWS SDKs would not ask IMDS: they disable it, or name another source. */
const REMOVED = [
  "AWS_ACCESS_KEY_ID",
  "AWS_CONTAINER_AUTHORIZATION_TOKEN",
  "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
  "AWS_CONTAINER_CREDENTIALS_FULL_URI",
  "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
  "AWS_CREDENTIAL_EXPIRATION",
  "AWS_DEFAULT_PROFILE",
  "AWS_EC2_METADATA_DISABLED",
  "AWS_PROFILE",
  "AWS_ROLE_ARN",
  "AWS_SECRET_ACCESS_KEY",
  "AWS_SESSION_TOKEN",
  "AWS_WEB_IDENTITY_TOKEN_FILE",
];

class Emulator {
  #running;
  #expected = [];
  #stopped;

  constructor(running) {
    this.#running = running;
  }

  static async start(options = {}) {
    return new Emulator(await Running.start(options));
  }

  get url() {
    return this.#running.ready.metadata;
  }

  get adminUrl() {
    return this.#running.ready.admin;
  }

  get pid() {
    return this.#running.pid;
  }

  get env() {
    return {
      ...Object.fromEntries(REMOVED.map((name) => [name, undefined])),
      AWS_CONFIG_FILE: devNull,
      AWS_SHARED_CREDENTIALS_FILE: devNull,
      AWS_EC2_METADATA_SERVICE_ENDPOINT: `${this.url}/`,
      AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE: this.url.includes("[") ? "IPv6" : "IPv4",
      IMDS_EMULATOR_ADMIN_URL: this.adminUrl,
    };
  }

  applyEnv() {
    const before = Object.keys(this.env).map((name) => [name, process.env[name]]);
    const set = (variables) => {
      for (const [name, value] of variables) {
        if (value === undefined) {
          delete process.env[name];
        } else {
          process.env[name] = value;
        }
      }
    };
    set(Object.entries(this.env));
    const restore = () => set(before.splice(0));
    return { restore, [dispose]: restore };
  }

  // Faults

  fault(name, kind, parameters = {}, { match, when, priority } = {}) {
    return this.addRule({ name, match, when, priority, fault: { type: kind, ...parameters } });
  }

  async addRule(rule) {
    const added = await this.admin("POST", "faults", rule);
    return this.#removable({ rule: added }, () => this.removeRule(added.name));
  }

  putRule(rule) {
    return this.admin("PUT", `faults/${segment(rule.name)}`, rule);
  }

  rules() {
    return this.admin("GET", "faults");
  }

  setRules(rules) {
    return this.admin("PUT", "faults", rules);
  }

  rule(name) {
    return this.admin("GET", `faults/${segment(name)}`);
  }

  removeRule(name) {
    return this.admin("DELETE", `faults/${segment(name)}`);
  }

  clearRules() {
    return this.admin("DELETE", "faults");
  }

  presets() {
    return this.admin("GET", "presets");
  }

  async preset(name) {
    const rules = await this.admin("POST", `presets/${segment(name)}`);
    return this.#removable({ rules }, () => this.removePreset(name));
  }

  removePreset(name) {
    return this.admin("DELETE", `presets/${segment(name)}`);
  }

  // The clock

  async clock() {
    return clock(await this.admin("GET", "clock"));
  }

  async advance(by) {
    return clock(await this.admin("POST", "clock/advance", { by }));
  }

  async setClock(to) {
    return clock(await this.admin("PATCH", "clock", { now: to instanceof Date ? to.toISOString() : to }));
  }

  async freezeClock() {
    return clock(await this.admin("PATCH", "clock", { running: false }));
  }

  async runClock() {
    return clock(await this.admin("PATCH", "clock", { running: true }));
  }

  // The instance

  instance(patch) {
    return this.#shown("instance", patch);
  }

  metadataOptions(patch) {
    return this.#shown("metadata-options", patch);
  }

  events(patch) {
    return this.#shown("events", patch);
  }

  clearEvents() {
    return this.admin("DELETE", "events");
  }

  rotateCredentials() {
    return this.admin("POST", "credentials/rotate");
  }

  revokeTokens() {
    return this.admin("POST", "tokens/revoke");
  }

  // The timeline

  timeline() {
    return this.admin("GET", "timeline");
  }

  setTimeline(steps) {
    return this.admin("PUT", "timeline", steps);
  }

  takeStep(name) {
    return this.admin("POST", `timeline/${segment(name)}`);
  }

  clearTimeline() {
    return this.admin("DELETE", "timeline");
  }

  async scenario(name) {
    return (await this.admin("GET", `scenarios/${segment(name)}/state`)).state;
  }

  async setScenario(name, state) {
    await this.admin("PUT", `scenarios/${segment(name)}/state`, { state });
  }

  // The journal

  async journal(filter = {}) {
    return (await this.admin("POST", "requests/find", filter)).exchanges;
  }

  async count(filter = {}) {
    return (await this.admin("POST", "requests/count", filter)).count;
  }

  follow() {
    return admin.events(this.adminUrl, "requests/stream");
  }

  clearJournal() {
    return this.admin("DELETE", "requests");
  }

  packets() {
    return this.admin("GET", "packets");
  }

  async verify(...assertions) {
    const report = await this.admin("POST", "requests/verify", assertions);
    if (!report.holds) {
      throw new VerificationError(report, reportText(report));
    }
    return report;
  }

  expect(...assertions) {
    this.#expected.push(...assertions);
  }

  // The emulator

  reset() {
    return this.admin("POST", "reset");
  }

  metrics() {
    return this.admin("GET", "metrics");
  }

  async health() {
    return (await this.admin("GET", "health")).status;
  }

  async admin(method, path, body) {
    const before = this.#ended();
    if (before) {
      throw before;
    }
    try {
      return await admin.ask(this.adminUrl, method, path, body);
    } catch (error) {
      if (error instanceof AdminError) {
        throw error;
      }
      // The connection fails before this process learns why.
      await this.#running.endedSoon();
      throw this.#ended() ?? new EmulatorError(`${method} /__admin/${path}: ${error.message}`, { cause: error });
    }
  }

  stop() {
    this.#stopped ??= this.#running.stop();
    return this.#stopped;
  }

  async dispose() {
    try {
      const expected = this.#expected.splice(0);
      if (!this.#stopped && expected.length > 0) {
        await this.verify(...expected);
      }
    } finally {
      await this.stop();
    }
  }

  [asyncDispose]() {
    return this.dispose();
  }

  #shown(path, patch) {
    return patch === undefined ? this.admin("GET", path) : this.admin("PATCH", path, patch);
  }

  /** What was added, and the way to remove it. Something else may have removed it already. */
  #removable(added, remove) {
    const removeOnce = async () => {
      if (this.#stopped) {
        return;
      }
      try {
        await remove();
      } catch (error) {
        if (error.status !== 404) {
          throw error;
        }
      }
    };
    return { ...added, remove: removeOnce, [asyncDispose]: removeOnce };
  }

  #ended() {
    if (this.#stopped) {
      return new EmulatorError("the emulator was stopped");
    }
    const ended = this.#running.ended();
    return (
      ended && new EmulatorError(`the emulator has exited (exit status ${ended.status}): ${ended.stderr || "no message"}`)
    );
  }
}

function clock({ now, running }) {
  return { now: new Date(now), running };
}

/** A name as a segment of a path. */
function segment(name) {
  return encodeURIComponent(name);
}

module.exports = { Emulator };
