/** The options, and what each accepts. Durations are BigInt for the component. */
const OPTIONS = {
  disabled: boolean,
  endpoint: text,
  endpointMode: text,
  imdsv1: text,
  roleName: text,
  connectTimeout: duration,
  readTimeout: duration,
  operationTimeout: duration,
  attempts: number,
  tokenTtl: number,
  expiryWindow: duration,
  expiryWindowJitter: number,
  refreshPolicy: text,
  maxExtension: duration,
  extendedPath: boolean,
};

/** Options of these enums; the component's bindings check them with errors that name no option. */
const CASES = {
  endpointMode: ["ipv4", "ipv6"],
  imdsv1: ["never", "on-refusal", "on-any-failure"],
  refreshPolicy: ["classic", "windowed"],
};

/** The component's configuration: the options and, for those that are not given, the environment. */
export function configuration(options, environment) {
  const unknown = Object.keys(options).find((name) => !Object.hasOwn(OPTIONS, name));
  if (unknown !== undefined) {
    throw new TypeError(`unknown option ${JSON.stringify(unknown)}; the options are ${Object.keys(OPTIONS).join(", ")}`);
  }
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  const all = { ...fromEnvironment(environment), ...Object.fromEntries(given) };
  return Object.fromEntries(Object.entries(all).map(([name, value]) => [name, OPTIONS[name](name, value)]));
}

function fromEnvironment(environment) {
  const options = {};
  if (environment.AWS_EC2_METADATA_SERVICE_ENDPOINT) {
    options.endpoint = environment.AWS_EC2_METADATA_SERVICE_ENDPOINT;
  }
  if (environment.AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE) {
    options.endpointMode = environment.AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE.toLowerCase();
  }
  if (environment.AWS_EC2_METADATA_DISABLED?.toLowerCase() === "true") {
    options.disabled = true;
  }
  return options;
}

function boolean(name, value) {
  return checked(name, value, typeof value === "boolean", "true or false");
}

function text(name, value) {
  const cases = CASES[name];
  const accepted = cases ? cases.map((one) => JSON.stringify(one)).join(", ") : "a text";
  return checked(name, value, typeof value === "string" && (!cases || cases.includes(value)), accepted);
}

function number(name, value) {
  // Larger numbers would wrap around.
  const holds = Number.isInteger(value) && value >= 0 && value < 2 ** 32;
  return checked(name, value, holds, "a whole number, 0 or more");
}

function duration(name, value) {
  const holds = Number.isSafeInteger(value) && value >= 0;
  return BigInt(checked(name, value, holds, "a whole number of milliseconds, 0 or more"));
}

function checked(name, value, holds, accepted) {
  if (!holds) {
    const shown = typeof value === "bigint" ? `${value}n` : JSON.stringify(value);
    throw new TypeError(`the option ${name} is ${shown}; accepted: ${accepted}`);
  }
  return value;
}
