// This compiles, and what is marked as an error does not.
import { type Config, Emulator, type Exchange, emulatorPerTest } from "@imds-credentials/emulator";

export async function typed(): Promise<Exchange[]> {
  const config: Config = { instance: { "instance-type": "m7g.large", architecture: "arm64" } };
  await using imds = await Emulator.start({ role: "web-server", config });
  {
    await using _ = await imds.fault("outage", "status", { code: 503 }, { when: { count: 3 } });
  }
  await imds.fault("silence", "blackhole");
  // @ts-expect-error: there is no such fault.
  await imds.fault("x", "blackhole-sun");
  // @ts-expect-error: the code is missing.
  await imds.fault("x", "status");
  // @ts-expect-error: the code is a number.
  await imds.fault("x", "status", { code: "503" });
  await imds.verify("no_imdsv1", { max_token_puts: 1 }, { requests: { number: 3, of: { status: 200 } } });
  // @ts-expect-error: there is no such assertion.
  imds.expect("no_imdsv3");
  // @ts-expect-error: there is no such option.
  await Emulator.start({ colour: "x" });
  using _environment = imds.applyEnv();
  const { now } = await imds.advance("6h");
  now.toISOString();
  return imds.journal({ status: 200 });
}

export const perTest: () => Emulator = emulatorPerTest({}, { beforeEach() {}, afterEach() {} });
