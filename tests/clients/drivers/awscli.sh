#!/bin/sh
# A driver of imds-conformance for the AWS command line, which is run once for each question. It signs a URL,
# which sends nothing, and prints the access key ID in it. Argument: the `aws` to run.
url=$("${1:-aws}" --region us-east-1 s3 presign s3://bucket/key) || exit
printf '%s\n' "$url" | sed -n 's/.*[?&]AWSAccessKeyId=\([A-Za-z0-9]*\).*/\1/p; s/.*X-Amz-Credential=\([A-Za-z0-9]*\)%2F.*/\1/p'
