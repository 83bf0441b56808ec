"use strict";

/** The emulator could not be started, or is not running. */
class EmulatorError extends Error {
  name = "EmulatorError";
}

/** The admin API rejected a request. */
class AdminError extends EmulatorError {
  name = "AdminError";

  /** @param {{ status: number, title: string, detail: string, field?: string | null }} problem */
  constructor(request, problem) {
    super(`${request}: ${problem.detail} (${problem.status} ${problem.title})`);
    this.status = problem.status;
    this.field = problem.field ?? undefined;
    this.detail = problem.detail;
  }
}

/**
 * An assertion about the requests so far does not hold. The message is the report.
 *
 * Not an `AssertionError`, because Jest adds to these a comparison of values that there are not.
 */
class VerificationError extends Error {
  name = "VerificationError";

  constructor(report, message) {
    super(message);
    this.report = report;
  }
}

module.exports = { AdminError, EmulatorError, VerificationError };
