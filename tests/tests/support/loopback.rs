//! HTTP for components, to this machine alone.

use std::time::Duration;

use bytes::Bytes;
use ec2_role_host::transport::{Direct, Timeouts, Transport as _};
use http_body_util::{BodyExt as _, Full};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

#[derive(Clone, Copy, Default)]
pub(crate) struct Loopback {
    /// Headers that components may not set, apart from those that no host lets them set.
    pub(crate) forbidden: &'static [&'static str],
}

type Finished = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Sent = (http::Response<WasiBody>, Finished);

impl WasiHttpHooks for Loopback {
    fn is_forbidden_header(&mut self, name: &http::HeaderName) -> bool {
        self.forbidden.contains(&name.as_str()) || (self.forbidden_header_filter())(name)
    }

    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        _: Option<RequestOptions>,
        _: Finished,
    ) -> Box<dyn Future<Output = Result<Sent, Error>> + Send> {
        Box::new(async move {
            if request.uri().host() != Some("127.0.0.1") {
                return Err(Error::HttpRequestDenied);
            }
            let (parts, body) = request.into_parts();
            let body = body.collect().await?.to_bytes();
            let request = http::Request::from_parts(parts, body);
            let second = Duration::from_secs(5);
            let response = Direct.send(request, Timeouts::new(second, second)).await;
            let response = response.map_err(|_| Error::HttpProtocolError)?;
            let body = |bytes: Bytes| {
                Full::new(bytes)
                    .map_err(|never| match never {})
                    .boxed_unsync()
            };
            let finished: Finished = Box::new(async { Ok(()) });
            Ok((response.map(body), finished))
        })
    }
}
