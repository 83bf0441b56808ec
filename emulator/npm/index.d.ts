/// <reference lib="esnext.disposable" />
import type {
  Applied,
  Assertion,
  Config,
  Events,
  Exchange,
  Fault,
  Filter,
  Instance,
  Match,
  MetadataOptions,
  Packets,
  Preset,
  PresetInfo,
  Report,
  Rule,
  StepStatus,
  TimelineStep,
  When,
} from "./schema.js";

export * from "./schema.js";

export interface EmulatorOptions {
  /** The name of the instance's role; `false`: no instance profile. Default: `emulated-role`. */
  role?: string | false;
  /** Whether requests need a token. Default: `required`. */
  httpTokens?: "required" | "optional";
  /** The generation of instances that the emulator answers like. Default: `nitro`. */
  dialect?: "nitro" | "xen";
  /** Derive keys, tokens and certificates from this text, so that they are the same at each start. Default: random. */
  seed?: string;
  /** The whole configuration, or the path of a TOML or JSON file. The other options take precedence. */
  config?: Config | string;
  /** The addresses to listen on. Default: `127.0.0.1`. */
  host?: string | string[];
  /** The port of the metadata service. Default: a free port. */
  port?: number;
  /** The port of the admin API. Default: a free port. */
  adminPort?: number;
  /** Further arguments for the command, such as `["--set", "instance.public=false"]`. */
  arguments?: string[];
  /** How long to wait for the emulator to listen, in milliseconds. Default: 10,000. */
  startTimeout?: number;
}

/** The type of a fault, such as `status`, `latency` or `blackhole`. */
export type FaultKind = Fault["type"];

/** The parameters of a fault of this type. */
export type FaultParameters<Kind extends FaultKind> = Omit<Extract<Fault, { type: Kind }>, "type">;

/** Which requests a fault applies to, and when. Default: all requests, until the fault is removed. */
export interface FaultOptions {
  match?: Match;
  when?: When;
  /** Faults with a higher priority are checked first. Default: 0. */
  priority?: number;
}

/** Something that was added to the emulator. `await using` removes it at the end of the block. */
export interface Removable extends AsyncDisposable {
  /** Removes it. Does nothing if it is gone already. */
  remove(): Promise<void>;
}

/** The emulator's clock. */
export interface ClockState {
  now: Date;
  /** Whether the clock runs, or is frozen. */
  running: boolean;
}

/**
 * A running emulator. It never outlives this process, and does not keep this process from exiting.
 *
 * `await using imds = await Emulator.start()` checks what was expected, and stops the emulator, at the end of
 * the block.
 */
export class Emulator implements AsyncDisposable {
  private constructor();

  /** Starts an emulator, and waits until it listens. */
  static start(options?: EmulatorOptions): Promise<Emulator>;

  /** The URL of the metadata service, such as `http://127.0.0.1:1338`. */
  readonly url: string;
  /** The URL of the admin API. */
  readonly adminUrl: string;
  /** The ID of the emulator's process. */
  readonly pid: number;
  /**
   * Environment variables for a process that is going to be started: `{ env: { ...process.env, ...imds.env } }`.
   * They point AWS SDKs at the emulator. Variables that are `undefined` have to be removed: they disable IMDS or
   * name other credentials. Node.js does not pass them on.
   */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Sets and removes the variables in the environment of this process, until they are restored. */
  applyEnv(): Disposable & { restore(): void };

  /** Adds a fault: a rule with this name. */
  fault<Kind extends FaultKind>(
    name: string,
    kind: Kind,
    ...rest: object extends FaultParameters<Kind>
      ? [parameters?: FaultParameters<Kind>, options?: FaultOptions]
      : [parameters: FaultParameters<Kind>, options?: FaultOptions]
  ): Promise<Removable & { rule: Rule }>;
  /** Adds a rule, in the form of the configuration file. */
  addRule(rule: Rule): Promise<Removable & { rule: Rule }>;
  /** Adds a rule, or replaces the rule with the same name. */
  putRule(rule: Rule): Promise<Rule>;
  /** The rules, in the order in which they are evaluated, and how many requests each has applied to. */
  rules(): Promise<Applied[]>;
  /** Replaces all rules. */
  setRules(rules: Rule[]): Promise<Applied[]>;
  rule(name: string): Promise<Applied>;
  removeRule(name: string): Promise<void>;
  clearRules(): Promise<void>;

  /** Applies a preset: adds its rules, or announces its event. */
  preset(name: Preset): Promise<Removable & { rules: Applied[] }>;
  removePreset(name: Preset): Promise<void>;
  presets(): Promise<PresetInfo[]>;

  clock(): Promise<ClockState>;
  /** Moves the clock: forward, such as `6h`, or back, such as `-5m`. */
  advance(by: string): Promise<ClockState>;
  /** Sets the clock to a time, such as `2026-01-02T03:04:05Z`, or `+2m` for two minutes from now. */
  setClock(to: Date | string): Promise<ClockState>;
  freezeClock(): Promise<ClockState>;
  runClock(): Promise<ClockState>;

  /** The instance. With a JSON merge patch, changes it first. */
  instance(patch?: object): Promise<Instance>;
  /** The metadata options. With a JSON merge patch, such as `{ HttpTokens: "optional" }`, changes them first. */
  metadataOptions(patch?: object): Promise<MetadataOptions>;
  /** The events. With a JSON merge patch, such as `{ "rebalance-recommendation": {} }`, announces some first. */
  events(patch?: object): Promise<Events>;
  /** Withdraws all events. */
  clearEvents(): Promise<void>;
  /** Issues new credentials for the role now. */
  rotateCredentials(): Promise<void>;
  /** Revokes all tokens that were issued so far. */
  revokeTokens(): Promise<void>;

  /** The steps of the timeline and their states. */
  timeline(): Promise<StepStatus[]>;
  /** Replaces all steps. Their times count from now. */
  setTimeline(steps: TimelineStep[]): Promise<StepStatus[]>;
  /** Runs the actions of a step now, even if it is not due. */
  takeStep(name: string): Promise<void>;
  clearTimeline(): Promise<void>;
  /** The state of a scenario, which rules can depend on. */
  scenario(name: string): Promise<string>;
  setScenario(name: string, state: string): Promise<void>;

  /** The requests so far, oldest first, that match everything in the filter. */
  journal(filter?: Filter): Promise<Exchange[]>;
  /** The number of requests so far that match everything in the filter. */
  count(filter?: Filter): Promise<number>;
  /** The requests from now on, when each has ended. */
  follow(): AsyncGenerator<Exchange, void, void>;
  /** Forgets the requests so far. */
  clearJournal(): Promise<void>;
  /** The packets that clients have sent in networks of the emulator. Needs `journal.packets`. */
  packets(): Promise<Packets>;
  /**
   * Checks assertions about the requests so far.
   *
   * @throws {VerificationError} if one does not hold.
   */
  verify(...assertions: Assertion[]): Promise<Report>;
  /** Makes {@link dispose} check these assertions. */
  expect(...assertions: Assertion[]): void;

  /** Restores the configuration that the emulator started with, and clears the journal. */
  reset(): Promise<void>;
  /** Counters in the text format of Prometheus. */
  metrics(): Promise<string>;
  health(): Promise<string>;
  /**
   * Sends a request to the admin API: `imds.admin("GET", "openapi.json")` describes it. Returns JSON, a text, or
   * nothing, as the emulator answers.
   *
   * @throws {AdminError} if the emulator rejects the request.
   */
  admin(method: string, path: string, body?: unknown): Promise<any>;

  /** Stops the emulator. Does nothing if it was stopped. */
  stop(): Promise<void>;
  /** Checks what was expected, and stops the emulator in any case. */
  dispose(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Starts an emulator before each test, with the environment of this process pointing AWS SDKs at it. After the
 * test, checks what was expected, and stops the emulator.
 *
 * @param hooks functions of the test framework. Default: the global functions, as in Jest.
 * @returns a function that returns the emulator of the test that is running.
 */
export function emulatorPerTest(
  options?: EmulatorOptions,
  hooks?: {
    beforeEach(hook: () => Promise<void>): unknown;
    afterEach(hook: () => Promise<void>): unknown;
  },
): () => Emulator;

/** The path of the command `imds-emulator`. The variable IMDS_EMULATOR overrides it. */
export function command(): string;

/** The emulator could not be started, or is not running. */
export class EmulatorError extends Error {}

/** The admin API rejected a request. */
export class AdminError extends EmulatorError {
  private constructor();
  /** The status of the response. */
  readonly status: number;
  /** The field of the request that has a value that is not accepted, if one has. */
  readonly field: string | undefined;
  /** The value that is not accepted, and what is accepted. */
  readonly detail: string;
}

/** An assertion about the requests so far does not hold. The message is a report that names them. */
export class VerificationError extends Error {
  private constructor();
  readonly report: Report;
}
