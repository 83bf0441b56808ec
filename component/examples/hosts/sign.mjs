// Calls the function of a composed guest in Node.js: `node sign.mjs MODULE BUCKET REGION`. jco made the module.
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [module, bucket, region] = process.argv.slice(2);
const { sign } = await import(pathToFileURL(resolve(module)));
try {
  for (const [name, value] of sign(bucket, region, Math.floor(Date.now() / 1000))) console.log(`${name}: ${value}`);
} catch (error) {
  // What the guest returns as an error.
  console.error(`error: ${error.payload}`);
  process.exitCode = 1;
}
