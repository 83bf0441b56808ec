// Prints the types of the configuration and of the admin API for TypeScript, from the schemas that the
// command prints: emulator/npm/schema.d.ts.
//
//   npm install json-schema-to-typescript && node schema.mjs
import { execFileSync } from "node:child_process";
import { compile } from "json-schema-to-typescript";
import { Emulator, command } from "@imds-credentials/emulator";

const { $defs: definitionsOfConfig, ...config } = JSON.parse(
  execFileSync(command(), ["config", "--schema"], { encoding: "utf8" }),
);
const imds = await Emulator.start();
const api = await imds.admin("GET", "openapi.json");
await imds.stop();

// The configuration uses types of the admin API, but has some of its own.
const definitions = { ...api.components.schemas, ...definitionsOfConfig, Config: config };
const text = JSON.stringify(definitions)
  .replaceAll("#/components/schemas/", "#/$defs/")
  // References to rules and to Rust.
  .replaceAll(/ `\[I\d+\]`( (to|and) `\[I\d+\]`)*/g, "")
  .replaceAll(/\[([^\]"]+)\]\(crate::[^)"]+\)/g, "$1");
const types = await compile({ title: "Schema", type: "object", $defs: JSON.parse(text) }, "Schema", {
  additionalProperties: false,
  bannerComment: "// Printed by tests/clients/npm/schema.mjs from the schemas of the emulator.",
  unreachableDefinitions: true,
});
process.stdout.write(
  types
    .replace(/export interface Schema \{[^}]*\}\n/, "")
    .replaceAll(/\n \* This interface was referenced by `Schema`'s JSON-Schema\n \* via the `definition` "\w+"\.(?=\n)/g, "")
    .replaceAll("\n *\n */", "\n */"),
);
