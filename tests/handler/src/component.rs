//! The component.

use self::bindings::imds::credentials::ec2_role::{self, Options};
use self::bindings::wasi::cli::environment;
use self::bindings::wasi::http::types::{
    ErrorCode, Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam,
};

mod bindings {
    #![expect(unsafe_code, reason = "generated")]

    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package example:handler;
            world handler {
                import wasi:cli/environment@0.2.12;
                import imds:credentials/ec2-role@0.1.0;
                export wasi:http/incoming-handler@0.2.12;
            }
        ",
        additional_type_attributes: {
            // `Options::default()` is all options at their defaults.
            "imds:credentials/ec2-role@0.1.0/options": [#[derive(Default)]],
        },
        generate_all,
    });

    use super::Handler;
    export!(Handler);
}

struct Handler;

impl bindings::exports::wasi::http::incoming_handler::Guest for Handler {
    fn handle(_: IncomingRequest, out: ResponseOutparam) {
        let (status, text) = match access_key_id() {
            Ok(id) => (200, id),
            Err(message) => (500, message),
        };
        ResponseOutparam::set(out, response(status, &text));
    }
}

fn access_key_id() -> Result<String, String> {
    // Once, because configuring drops the credentials. The provider may outlive this instance.
    if ec2_role::status().refreshes == 0 {
        configure()?;
    }
    let credentials = ec2_role_guest::credentials().map_err(|error| error.to_string())?;
    Ok(credentials.access_key_id().to_owned())
}

/// The emulator, if the environment names it. On EC2, there is nothing to configure.
fn configure() -> Result<(), String> {
    let endpoint = environment::get_environment()
        .into_iter()
        .find_map(|(name, value)| (name == "AWS_EC2_METADATA_SERVICE_ENDPOINT").then_some(value));
    let options = Options {
        endpoint,
        ..Options::default()
    };
    ec2_role::configure(&options).map_err(|error| format!("{error:?}"))
}

fn response(status: u16, text: &str) -> Result<OutgoingResponse, ErrorCode> {
    let response = OutgoingResponse::new(Fields::new());
    let failed = |()| ErrorCode::InternalError(None);
    response.set_status_code(status).map_err(failed)?;
    let body = response.body().map_err(failed)?;
    let stream = body.write().map_err(failed)?;
    // The body is short, so the host takes it before the response is sent.
    let written = stream.write(format!("{text}\n").as_bytes());
    written.map_err(|_| ErrorCode::InternalError(None))?;
    drop(stream);
    OutgoingBody::finish(body, None)?;
    Ok(response)
}
