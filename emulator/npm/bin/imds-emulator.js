#!/usr/bin/env node
"use strict";

// Runs the command of the package for this platform, with its exit status.
const { spawn } = require("node:child_process");
const { constants } = require("node:os");
const { command } = require("../lib/command.js");

let path;
try {
  path = command();
} catch (error) {
  console.error(`error: ${error.message}`);
  process.exit(1);
}
const child = spawn(path, process.argv.slice(2), { stdio: "inherit" });
// The command decides what signals mean. A terminal sends those of its keys to both processes.
const signals = ["SIGHUP", "SIGTERM", ...(process.stdin.isTTY ? [] : ["SIGINT", "SIGQUIT"])];
for (const signal of ["SIGHUP", "SIGTERM", "SIGINT", "SIGQUIT"]) {
  if (signal in constants.signals) {
    process.on(signal, () => signals.includes(signal) && child.kill(signal));
  }
}
child.on("error", (error) => {
  console.error(`error: cannot run ${path}: ${error.message}`);
  process.exitCode = 1;
});
child.on("exit", (status, signal) => {
  process.exitCode = status ?? 128 + constants.signals[signal];
});
