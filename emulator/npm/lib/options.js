"use strict";

const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");

/** The options of `Emulator.start`, and the arguments that each becomes. */
const OPTIONS = {
  role: (role) => (role === false ? ["--no-role"] : ["--role", text("role", role, "a text or false")]),
  httpTokens: (state) => ["--http-tokens", text("httpTokens", state)],
  dialect: (name) => ["--dialect", text("dialect", name)],
  seed: (seed) => ["--seed", text("seed", seed)],
  host: (hosts) => [hosts].flat().flatMap((host) => ["--host", text("host", host)]),
  port: (port) => ["--port", number("port", port)],
  adminPort: (port) => ["--admin-port", number("adminPort", port)],
  arguments: (list) => list.map((argument) => text("arguments", argument)),
  // These do not become arguments here.
  config: () => [],
  startTimeout: (milliseconds) => (number("startTimeout", milliseconds), []),
};

/**
 * The arguments for the command, and a function that deletes the file they name, if there is one. The
 * command reads a configuration that is an object from a file.
 */
function commandArguments(options) {
  const unknown = Object.keys(options).filter((name) => !Object.hasOwn(OPTIONS, name));
  if (unknown.length > 0) {
    const names = Object.keys(OPTIONS).join(", ");
    throw new TypeError(
      `Emulator.start: unknown option ${JSON.stringify(unknown[0])}; the options are ${names}. Keys of the ` +
        "configuration, such as instance, belong into `config`",
    );
  }
  const given = { port: 0, adminPort: 0, ...options };
  const list = Object.entries(given)
    .filter(([, value]) => value !== undefined)
    .flatMap(([name, value]) => OPTIONS[name](value));
  const { config } = options;
  if (config === undefined) {
    return { list, clean() {} };
  }
  if (typeof config === "string") {
    return { list: [...list, "--config", config], clean() {} };
  }
  if (typeof config !== "object" || config === null || Array.isArray(config)) {
    throw invalid("config", config, "an object, or the path of a TOML or JSON file");
  }
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "imds-emulator-"));
  const file = path.join(folder, "config.json");
  fs.writeFileSync(file, JSON.stringify(config));
  return { list: [...list, "--config", file], clean: () => fs.rmSync(folder, { recursive: true }) };
}

function text(name, value, accepted = "a text") {
  if (typeof value !== "string") {
    throw invalid(name, value, accepted);
  }
  return value;
}

function number(name, value) {
  if (!Number.isInteger(value) || value < 0) {
    throw invalid(name, value, "a whole number, 0 or more");
  }
  return String(value);
}

function invalid(name, value, accepted) {
  return new TypeError(`Emulator.start: the option ${name} is ${JSON.stringify(value)}; accepted is ${accepted}`);
}

module.exports = { commandArguments };
