"""Signs a request to S3 with credentials that the component imports."""

import hmac
from datetime import datetime, timezone
from hashlib import sha256

from componentize_py_types import Err
from wit_world.imports import provider

EMPTY = sha256().hexdigest()


class WitWorld:
    def sign(self, bucket, region, time):
        # Called for each request. The component has the credentials in its cache.
        credentials = self.credentials()
        at = datetime.fromtimestamp(time, timezone.utc)
        headers = {
            "host": f"{bucket}.s3.{region}.amazonaws.com",
            "x-amz-content-sha256": EMPTY,
            "x-amz-date": f"{at:%Y%m%dT%H%M%SZ}",
        }
        if credentials.session_token is not None:
            headers["x-amz-security-token"] = credentials.session_token

        # AWS Signature Version 4. botocore needs the module `ssl`, which Python lacks in WebAssembly.
        canonical = [f"{name}:{value}" for name, value in headers.items()]
        names = ";".join(headers)
        request = "\n".join(["GET", "/", "", *canonical, "", names, EMPTY])
        scope = [f"{at:%Y%m%d}", region, "s3", "aws4_request"]
        digest = sha256(request.encode()).hexdigest()
        text = "\n".join(["AWS4-HMAC-SHA256", headers["x-amz-date"], "/".join(scope), digest])
        key = f"AWS4{credentials.secret_access_key}".encode()
        for part in [*scope, text]:
            key = hmac.digest(key, part.encode(), sha256)

        credential = "/".join([credentials.access_key_id, *scope])
        headers["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={key.hex()}"
        )
        return list(headers.items())

    def credentials(self):
        try:
            return provider.get_credentials()
        except Err as error:
            # What an exported function raises as `Err` becomes its error.
            match error.value:
                case provider.Error_Failed(failure):
                    raise Err(failure.message)
                case provider.Error_InvalidConfiguration(option):
                    raise Err(f"{option.name} is {option.value}; accepted: {option.accepted}")
                case provider.Error_Disabled():
                    raise Err("IMDS is disabled")
                case other:
                    raise Err(other.value)
