/** AWS credentials, as clients of the AWS SDK for JavaScript v3 take them (`AwsCredentialIdentity`). */
export interface Ec2RoleCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
  readonly accountId?: string;
  /** When the credentials expire. Later than IMDS said, if a refresh failed and the component extended them. */
  readonly expiration?: Date;
}

/** The settings of the component. Durations are in milliseconds. */
export interface Ec2RoleOptions {
  /** Do not use IMDS at all. Default: whether AWS_EC2_METADATA_DISABLED is `true`. */
  disabled?: boolean;
  /** The URL of IMDS: no IPv6 address. Default: AWS_EC2_METADATA_SERVICE_ENDPOINT, or that of `endpointMode`. */
  endpoint?: string;
  /** Which well-known endpoint to use. Default: AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE, or `ipv4`. */
  endpointMode?: "ipv4" | "ipv6";
  /** When to send requests without a session token. Default: `never`. */
  imdsv1?: "never" | "on-refusal" | "on-any-failure";
  /** The name of the role, which saves a request. Default: the name that IMDS lists. */
  roleName?: string;
  /** Time limit for opening a connection. Default: 1,000. In Node.js, the longer of this and `readTimeout` applies. */
  connectTimeout?: number;
  /** Time limit for a response. Default: 1,000. */
  readTimeout?: number;
  /** Time limit for one look-up, with all attempts. Getting credentials takes two. Default: 5,000. */
  operationTimeout?: number;
  /** Attempts for each request: 1 to 10. Default: 3. */
  attempts?: number;
  /** Lifetime of session tokens in seconds: 1 to 21,600. Default: 21,600. */
  tokenTtl?: number;
  /** How long before their expiration credentials are due for a refresh. Default: 0 for `classic`. */
  expiryWindow?: number;
  /** The random part of `expiryWindow`, in percent. Default: 0. */
  expiryWindowJitter?: number;
  /** When credentials are refreshed. Default: `classic`. */
  refreshPolicy?: "classic" | "windowed";
  /** How long past the expiration that IMDS stated credentials may be extended. Default: unlimited. */
  maxExtension?: number;
  /** Ask for documents that name the account first. Default: false. */
  extendedPath?: boolean;
}

/** A failure and its time. */
export interface PastFailure {
  at: Date;
  error: { tag: string; val?: unknown };
}

/** The state and the history of a provider. */
export interface Ec2RoleStatus {
  /** The version of IMDS that the last successful look-up used. */
  imdsVersion?: "v1" | "v2";
  /** When and why requests last fell back to IMDSv1. */
  fallback?: PastFailure;
  roleName?: string;
  tokenReceived?: Date;
  tokenExpires?: Date;
  credentialsReceived?: Date;
  /** The expiration that IMDS stated. */
  documentExpires?: Date;
  /** When the held credentials expire. */
  expires?: Date;
  /** When credentials are next requested from IMDS. */
  nextRefresh?: Date;
  lastSuccess?: Date;
  lastFailure?: PastFailure;
  /** When the current series of failed refreshes began. */
  failingSince?: Date;
  /** How many times in a row the held credentials were extended, because a refresh failed. */
  extensions: number;
  refreshes: number;
  requests: { token: number; roleList: number; roleCredentials: number; metadata: number };
}

/** The instance identity document. */
export interface IdentityDocument {
  accountId: string;
  architecture: string;
  availabilityZone: string;
  billingProducts: string[];
  devpayProductCodes: string[];
  marketplaceProductCodes: string[];
  imageId: string;
  instanceId: string;
  instanceType: string;
  kernelId?: string;
  pendingTime: string;
  privateIp: string;
  ramdiskId?: string;
  region: string;
  version: string;
}

/** The instance profile. */
export interface IamInfo {
  code: string;
  lastUpdated: string;
  instanceProfileArn: string;
  instanceProfileId: string;
}

/**
 * One instance of the component, in a thread of its own, which the first call starts. The thread does not keep
 * the process from exiting. All methods fail with {@link Ec2RoleError}.
 */
export class Ec2Role {
  constructor(options?: Ec2RoleOptions);

  /** Credentials that are valid now: the held credentials until they are due for a refresh. */
  credentials(): Promise<Ec2RoleCredentials>;
  /** Forgets the held credentials. */
  invalidate(): Promise<void>;
  /** Reports that AWS did not accept the credentials with this access key ID. */
  reject(accessKeyId: string): Promise<void>;
  /** The status. Sends no request. */
  status(): Promise<Ec2RoleStatus>;
  /** `GET /latest/meta-data/<path>`. */
  metadata(path: string): Promise<string>;
  /** `GET /latest/dynamic/<path>`. */
  dynamicData(path: string): Promise<string>;
  userData(): Promise<Uint8Array>;
  region(): Promise<string>;
  identityDocument(): Promise<IdentityDocument>;
  iamInfo(): Promise<IamInfo>;
  /** Ends the thread. Calls that are pending fail. */
  close(): Promise<void>;
}

/** A provider for clients of the AWS SDK for JavaScript v3: `new S3Client({ credentials: fromEc2Role() })`. */
export function fromEc2Role(options?: Ec2RoleOptions): () => Promise<Ec2RoleCredentials>;

/** The credentials, from one instance that all callers share. */
export function credentials(): Promise<Ec2RoleCredentials>;

/** Why there are no credentials, or no metadata. */
export class Ec2RoleError extends Error {
  private constructor();
  readonly kind: "disabled" | "invalid-configuration" | "failed" | "unsupported" | "other";
  /** Why the exchange with IMDS failed, such as `unavailable` or `no-role`, if `kind` is `failed`. */
  readonly reason?: string;
  /** Which exchange with IMDS failed: `token`, `role-list`, `role-credentials` or `metadata`. */
  readonly step?: string;
  /** The status of the last response, if there was one. */
  readonly status?: number;
  /** The error code in the document of IMDS, if the reason is `refused`. */
  readonly code?: string;
  readonly attempts?: number;
  /** Whether chains of providers of the AWS SDK ask the next provider. */
  readonly tryNextLink: boolean;
}
