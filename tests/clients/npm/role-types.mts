// This compiles: the SDK takes the provider.
import { STSClient } from "@aws-sdk/client-sts";
import { Ec2Role, credentials, fromEc2Role } from "@imds-credentials/ec2-role";
import { provider } from "@imds-credentials/ec2-role/sync";

export const client: STSClient = new STSClient({ credentials: fromEc2Role({ refreshPolicy: "windowed" }) });
// @ts-expect-error: there is no such policy.
fromEc2Role({ refreshPolicy: "modern" });
export const expiration: Date | undefined = (await credentials()).expiration;
export const extensions: number = (await new Ec2Role().status()).extensions;
export const source: string = provider.getCredentials().source;
