/** Why there are no credentials, or no metadata. */
export class Ec2RoleError extends Error {
  name = "Ec2RoleError";

  /** @param payload the component's error, `imds:credentials/provider.error`. */
  constructor({ tag, val }) {
    super(message(tag, val));
    this.kind = tag;
    if (tag === "failed") {
      const { reason, step, status, code, attempts } = val;
      Object.assign(this, { reason, step, status, code, attempts });
    }
    // Chains of providers of the AWS SDK go on to the next provider then.
    this.tryNextLink = tag !== "invalid-configuration";
  }
}

function message(tag, val) {
  switch (tag) {
    case "disabled":
      return "IMDS is disabled, by the option `disabled` or by AWS_EC2_METADATA_DISABLED";
    case "invalid-configuration": {
      const name = val.name.replaceAll(/-(.)/g, (_, letter) => letter.toUpperCase());
      return `the option ${name} is ${JSON.stringify(val.value)}; accepted: ${val.accepted}`;
    }
    case "failed": {
      const attempts = val.attempts === 1 ? "1 attempt" : `${val.attempts} attempts`;
      return `${val.step}: ${val.message} (${val.reason}, ${attempts})`;
    }
    default:
      return `${val}`;
  }
}
