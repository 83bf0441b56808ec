import { date, times } from "./lib/convert.js";
import { Ec2RoleError } from "./lib/error.js";
import { configuration } from "./lib/options.js";
import { Thread } from "./lib/thread.js";

export { Ec2RoleError };

/** One instance of the component, in a thread of its own. */
export class Ec2Role {
  #thread;

  constructor(options = {}) {
    this.#thread = new Thread(configuration(options, process.env));
  }

  async credentials() {
    const { accessKeyId, secretAccessKey, sessionToken, accountId, expires } = await this.#thread.call(
      "provider",
      "getCredentials",
    );
    return {
      accessKeyId,
      secretAccessKey,
      ...(sessionToken !== undefined && { sessionToken }),
      ...(accountId !== undefined && { accountId }),
      ...(expires !== undefined && { expiration: date(expires) }),
    };
  }

  async invalidate() {
    await this.#thread.call("provider", "invalidate");
  }

  async reject(accessKeyId) {
    await this.#thread.call("provider", "reject", accessKeyId);
  }

  async status() {
    return times(await this.#thread.call("ec2Role", "status"));
  }

  metadata(path) {
    return this.#thread.call("metadata", "getMetadata", path);
  }

  dynamicData(path) {
    return this.#thread.call("metadata", "getDynamicData", path);
  }

  userData() {
    return this.#thread.call("metadata", "getUserData");
  }

  region() {
    return this.#thread.call("metadata", "getRegion");
  }

  identityDocument() {
    return this.#thread.call("metadata", "getInstanceIdentityDocument");
  }

  iamInfo() {
    return this.#thread.call("metadata", "getIamInfo");
  }

  close() {
    return this.#thread.close();
  }
}

/** A provider for clients of the AWS SDK for JavaScript v3. */
export function fromEc2Role(options = {}) {
  const role = new Ec2Role(options);
  return () => role.credentials();
}

let shared;

/** The credentials, from one instance that all callers share. */
export async function credentials() {
  shared ??= new Ec2Role();
  return shared.credentials();
}
