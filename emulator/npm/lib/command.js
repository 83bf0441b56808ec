"use strict";

const manifest = require("../package.json");
const { EmulatorError } = require("./errors.js");

/**
 * The path of the command: what IMDS_EMULATOR names or, without that variable, the file in the package
 * for this platform, which npm installs as an optional dependency.
 */
function command() {
  if (process.env.IMDS_EMULATOR) {
    return process.env.IMDS_EMULATOR;
  }
  const prefix = `${manifest.name}-`;
  const platform = `${process.platform}-${process.arch}`;
  const file = process.platform === "win32" ? "imds-emulator.exe" : "imds-emulator";
  try {
    return require.resolve(`${prefix}${platform}/bin/${file}`);
  } catch {
    const packages = Object.keys(manifest.optionalDependencies ?? {});
    const build = "build the command with Rust and set IMDS_EMULATOR to its path";
    if (!packages.includes(prefix + platform)) {
      const platforms = packages.map((name) => name.slice(prefix.length)).join(", ") || "no platform";
      throw new EmulatorError(
        `${manifest.name} has no command for ${platform}, only for ${platforms}; ${build}`,
      );
    }
    throw new EmulatorError(
      `the package ${prefix}${platform}, which contains the command, is not installed: npm was run with ` +
        "--omit=optional, node_modules was copied from another platform, or this system has musl in place " +
        `of glibc; run \`npm install\` here without --omit=optional, or ${build}`,
    );
  }
}

module.exports = { command };
