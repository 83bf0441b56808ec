"use strict";

const { command } = require("./lib/command.js");
const { Emulator } = require("./lib/emulator.js");
const { AdminError, EmulatorError, VerificationError } = require("./lib/errors.js");
const { emulatorPerTest } = require("./lib/hooks.js");

module.exports = { AdminError, Emulator, EmulatorError, VerificationError, command, emulatorPerTest };
