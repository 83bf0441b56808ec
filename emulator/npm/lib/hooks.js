"use strict";

const { Emulator } = require("./emulator.js");
const { EmulatorError } = require("./errors.js");

/**
 * Starts an emulator before each test, with the environment of this process pointing AWS SDKs at it.
 * After the test, checks what the test expects of the requests, and stops the emulator.
 */
function emulatorPerTest(options = {}, hooks = globalThis) {
  const { beforeEach, afterEach } = hooks;
  if (typeof beforeEach !== "function" || typeof afterEach !== "function") {
    throw new TypeError(
      "emulatorPerTest: beforeEach and afterEach are not global functions here; import them from node:test " +
        "or vitest, and pass them: emulatorPerTest({}, { beforeEach, afterEach })",
    );
  }
  let present;
  beforeEach(async () => {
    const imds = await Emulator.start(options);
    present = { imds, environment: imds.applyEnv() };
  });
  afterEach(async () => {
    if (!present) {
      return;
    }
    const { imds, environment } = present;
    present = undefined;
    environment.restore();
    await imds.dispose();
  });
  return () => {
    if (!present) {
      throw new EmulatorError(
        "no test is running, so there is no emulator; call this within a test or a later beforeEach",
      );
    }
    return present.imds;
  };
}

module.exports = { emulatorPerTest };
