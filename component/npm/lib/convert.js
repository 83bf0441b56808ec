/** Fields of the status that are times, in seconds since 1970. */
const TIMES = new Set([
  "at",
  "credentialsReceived",
  "documentExpires",
  "expires",
  "failingSince",
  "lastSuccess",
  "nextRefresh",
  "tokenExpires",
  "tokenReceived",
]);

export function date(seconds) {
  return new Date(Number(seconds) * 1000);
}

/** Replaces 64-bit numbers, which are BigInt, by dates and numbers. */
export function times(value, key) {
  if (typeof value === "bigint") {
    return TIMES.has(key) ? date(value) : Number(value);
  }
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, times(field, name)]));
  }
  return value;
}
