// Prints a shell script that does what a page in Markdown says, word for word: its commands in `sh`, and
// its examples in `js` as the files that their first lines name. After each block of commands, the script
// prints the time since its start. With --installed, the script omits `npm install`.
import { readFileSync } from "node:fs";

const [page, option] = process.argv.slice(2);
console.log("set -euo pipefail\nbegan=$EPOCHREALTIME");
for (const [, language, code] of readFileSync(page, "utf8").matchAll(/```(sh|js)\n(.*?)```/gs)) {
  if (language === "js") {
    const name = /^\/\/ (\S+)\n/.exec(code)?.[1];
    if (!name) throw new Error(`the first line of this example names no file:\n${code}`);
    console.log(`cat > ${name} <<'JAVASCRIPT'\n${code}JAVASCRIPT`);
    continue;
  }
  const commands = code.split("\n").filter((line) => option !== "--installed" || !line.startsWith("npm install"));
  console.log(commands.join("\n"));
  console.log(`printf 'after %.1f s\\n' "$(bc <<< "$EPOCHREALTIME - $began")"`);
}
