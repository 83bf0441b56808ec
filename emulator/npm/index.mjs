import emulator from "./index.js";

export const { AdminError, Emulator, EmulatorError, VerificationError, command, emulatorPerTest } = emulator;
