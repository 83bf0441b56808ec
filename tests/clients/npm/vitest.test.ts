// The example of the page, and what a failing expectation does, in Vitest.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { emulatorPerTest } from "@imds-credentials/emulator";
import { fromInstanceMetadata } from "@smithy/credential-provider-imds";

describe("credentials", () => {
  const imds = emulatorPerTest({ role: "web-server" }, { beforeEach, afterEach });

  it("come from the emulator", async () => {
    imds().expect("no_imdsv1");
    expect((await fromInstanceMetadata({ maxRetries: 3 })()).accessKeyId).toMatch(/^ASIA/);
  });

  it("do not depend on the clock of the test", async () => {
    vi.useFakeTimers();
    const hung = await imds().fault("slow", "latency", { latency: "1ms" });
    await hung.remove();
    await imds().advance("6h");
    vi.useRealTimers();
    expect(await imds().count()).toBe(0);
  });
});
