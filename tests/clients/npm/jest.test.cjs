// Jest loads the package as CommonJS, has its hooks as global functions, and replaces timers.
const { Emulator, emulatorPerTest } = require("@imds-credentials/emulator");
const { fromInstanceMetadata } = require("@smithy/credential-provider-imds");

const imds = emulatorPerTest({ role: "web-server" });

test("credentials come from the emulator", async () => {
  imds().expect("no_imdsv1");
  expect((await fromInstanceMetadata({ maxRetries: 3 })()).accessKeyId).toMatch(/^ASIA/);
});

test("timers of the test do not matter", async () => {
  jest.useFakeTimers();
  const other = await Emulator.start();
  await other.stop();
  await expect(Emulator.start({ startTimeout: 0 })).rejects.toThrow("within 0 ms");
  jest.useRealTimers();
});

if (process.env.FAILS) {
  test("an expectation that does not hold fails its test", async () => {
    imds().expect({ min_requests: { min: 7 } });
  });
}
