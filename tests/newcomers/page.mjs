// Prints a shell script that does what a page in Markdown says, word for word: its commands in `sh`, and its
// examples in `js` and `rust` as the files that their first lines name. After each block of commands, the script
// prints the time since its start. With --installed, the script omits `npm install`. With --from TEXT and
// --until TEXT, it does what stands after, and before, the first TEXT.
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";

const text = { type: "string" };
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { installed: { type: "boolean" }, from: text, until: text },
});
let page = readFileSync(positionals[0], "utf8");
for (const [text, part] of [[values.until, 0], [values.from, 1]]) {
  if (text === undefined) continue;
  const at = page.indexOf(text);
  if (at < 0) throw new Error(`${positionals[0]} has no ${text}`);
  page = part === 0 ? page.slice(0, at) : page.slice(at);
}
console.log("set -euo pipefail\nbegan=$EPOCHREALTIME");
for (const [, language, code] of page.matchAll(/```(sh|js|rust)\n(.*?)```/gs)) {
  if (language !== "sh") {
    const name = /^\/\/ (\S+)\n/.exec(code)?.[1];
    if (!name) throw new Error(`the first line of this example names no file:\n${code}`);
    console.log(`cat > ${name} <<'EXAMPLE'\n${code}EXAMPLE`);
    continue;
  }
  const commands = code.split("\n").filter((line) => !values.installed || !line.startsWith("npm install"));
  console.log(commands.join("\n"));
  console.log(`printf 'after %.1f s\\n' "$(bc <<< "$EPOCHREALTIME - $began")"`);
}
