"use strict";

const { spawn } = require("node:child_process");
const { once } = require("node:events");
// Tests replace the global timers by their own.
const { clearTimeout, setTimeout } = require("node:timers");
const { command } = require("./command.js");
const { EmulatorError } = require("./errors.js");
const { commandArguments } = require("./options.js");

const START_TIMEOUT_MS = 10_000;
const STOP_TIMEOUT_MS = 5_000;
const EXIT_TIMEOUT_MS = 500;

/** A running command. It never outlives this process, and does not keep it from exiting. */
class Running {
  #child;
  #stderr;
  #exited;

  constructor(child, stderr, exited, ready) {
    this.#child = child;
    this.#stderr = stderr;
    this.#exited = exited;
    this.ready = ready;
  }

  static async start(options) {
    const { list, clean } = commandArguments(options);
    try {
      return await Running.#spawn(list, options.startTimeout ?? START_TIMEOUT_MS);
    } finally {
      clean();
    }
  }

  static async #spawn(list, timeout) {
    const path = command();
    // The command stops when the pipe to its standard input is closed, which this process does in any case
    // when it ends.
    const child = spawn(path, [...list, "--stop-with-stdin"], { windowsHide: true });
    const stderr = [];
    child.stderr.setEncoding("utf8").on("data", (text) => stderr.push(text));
    child.stdin.on("error", () => {});
    const exited = new Promise((resolve) => child.once("close", (status, signal) => resolve(signal ?? status)));
    let timer;
    try {
      const ready = await Promise.race([
        line(child.stdout),
        once(child, "error").then(([error]) => {
          throw new EmulatorError(`cannot run ${path}: ${error.message}`);
        }),
        exited.then((status) => {
          throw new EmulatorError(
            `imds-emulator did not start (exit status ${status}): ${message(stderr) || "no message"}`,
          );
        }),
        new Promise((_, reject) => {
          timer = setTimeout(() => {
            reject(
              new EmulatorError(
                `imds-emulator did not start within ${timeout} ms; raise \`startTimeout\`. ${message(stderr)}`.trim(),
              ),
            );
          }, timeout);
        }),
      ]);
      for (const handle of [child, child.stdin, child.stdout, child.stderr]) {
        handle.unref();
      }
      return new Running(child, stderr, exited, JSON.parse(ready));
    } catch (error) {
      child.kill("SIGKILL");
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  get pid() {
    return this.#child.pid;
  }

  /** Why the command does not run, or nothing if it does. */
  ended() {
    const { exitCode, signalCode } = this.#child;
    return exitCode === null && signalCode === null ? undefined : { status: signalCode ?? exitCode, stderr: message(this.#stderr) };
  }

  /** Waits for the end of the command for a while. */
  async endedSoon() {
    let timer;
    const timeout = new Promise((resolve) => (timer = setTimeout(resolve, EXIT_TIMEOUT_MS)));
    await Promise.race([this.#exited, timeout]);
    clearTimeout(timer);
  }

  async stop() {
    this.#child.stdin.end();
    this.#child.ref();
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), STOP_TIMEOUT_MS);
    await this.#exited;
    clearTimeout(timer);
  }
}

/** The first line of a stream. Does not end if the stream has none. */
function line(stream) {
  return new Promise((resolve) => {
    let text = "";
    stream.setEncoding("utf8").on("data", (chunk) => {
      text += chunk;
      if (text.includes("\n")) {
        resolve(text.slice(0, text.indexOf("\n")));
      }
    });
  });
}

function message(stderr) {
  return stderr.join("").trim().replace(/^error: /, "");
}

module.exports = { Running };
