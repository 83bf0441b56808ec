"use strict";

/** A report as text: a line for each assertion and, below it, the requests that violate it. */
function reportText(report) {
  const lines = report.verdicts.flatMap(({ assertion, holds, why, exchanges }) => {
    const name = typeof assertion === "string" ? assertion : JSON.stringify(assertion);
    return [
      `${holds ? "holds" : "FAILS"}  ${name}: ${why}`,
      ...exchanges.map((exchange) => `         ${exchangeText(exchange)}`),
    ];
  });
  return lines.join("\n");
}

function exchangeText(exchange) {
  const { number, at, client, method, path, status, outcome, imds, token, process, rules } = exchange;
  const parts = [`#${number}`, at.replace(/(\.\d{3})\d*/, "$1"), client, method, path, status ?? outcome, imds, `token:${token}`];
  if (exchange["user-agent"]) {
    parts.push(JSON.stringify(exchange["user-agent"]));
  }
  if (process) {
    parts.push(`by ${process.name} (${process.pid})`);
  }
  if (rules.length > 0) {
    parts.push(`[${rules.join(", ")}]`);
  }
  return parts.join(" ");
}

module.exports = { reportText };
