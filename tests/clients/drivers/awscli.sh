#!/bin/sh
# The AWS command line for imds-conformance: run once for each question. It signs a URL, which sends
# nothing, and the access key id is a part of that. Arguments: the `aws` to run.
url=$("${1:-aws}" --region us-east-1 s3 presign s3://bucket/key) || exit
printf '%s\n' "$url" | sed -n 's/.*[?&]AWSAccessKeyId=\([A-Za-z0-9]*\).*/\1/p; s/.*X-Amz-Credential=\([A-Za-z0-9]*\)%2F.*/\1/p'
