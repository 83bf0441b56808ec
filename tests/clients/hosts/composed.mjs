// The composed component in Node.js, transpiled by jco.
import { getObject } from "./composed/composed.js";

const { AWS_EC2_METADATA_SERVICE_ENDPOINT, S3_AUTHORITY } = process.env;
const status = getObject(AWS_EC2_METADATA_SERVICE_ENDPOINT, S3_AUTHORITY);
if (status !== 200) throw new Error(`the response is ${status}`);
console.log("Node.js: the composed component's request is accepted");
