"use strict";

// Not `fetch`: tests replace it, and jsdom's adds an `Origin`, which the admin API rejects.
const http = require("node:http");
const { AdminError, EmulatorError } = require("./errors.js");

/** Sends a request to the admin API, and returns the response once its headers have arrived. */
function send(url, method, path, body) {
  const text = body === undefined ? undefined : JSON.stringify(body);
  const headers =
    text === undefined ? {} : { "content-type": "application/json", "content-length": Buffer.byteLength(text) };
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(url);
    const request = http.request(
      {
        // A URL would lose a segment that is `..`, and names may be that.
        host: hostname.replace(/^\[|\]$/g, ""),
        port,
        path: `/__admin/${path}`,
        method,
        headers,
        // A connection that was kept would outlast the emulator.
        agent: false,
      },
      resolve,
    );
    request.on("error", reject);
    request.end(text);
  });
}

/** The whole response: JSON, text, or nothing. Fails if the admin API rejects the request. */
async function ask(url, method, path, body) {
  const response = await send(url, method, path, body);
  const chunks = [];
  for await (const chunk of response) {
    chunks.push(chunk);
  }
  const text = Buffer.concat(chunks).toString();
  const type = response.headers["content-type"] ?? "";
  if (response.statusCode >= 400) {
    const problem = type.includes("json")
      ? JSON.parse(text)
      : { status: response.statusCode, title: response.statusMessage, detail: text };
    throw new AdminError(`${method} /__admin/${path}`, problem);
  }
  return text === "" ? undefined : type.includes("json") ? JSON.parse(text) : text;
}

/** The data of server-sent events. */
async function* events(url, path) {
  const response = await send(url, "GET", path);
  if (response.statusCode !== 200) {
    throw new EmulatorError(`GET /__admin/${path}: ${response.statusCode} ${response.statusMessage}`);
  }
  try {
    let rest = "";
    response.setEncoding("utf8");
    for await (const text of response) {
      const lines = (rest + text).split("\n");
      rest = lines.pop();
      for (const line of lines) {
        if (line.startsWith("data:")) {
          yield JSON.parse(line.slice("data:".length));
        }
      }
    }
  } finally {
    response.destroy();
  }
}

module.exports = { ask, events };
