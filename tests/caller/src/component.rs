//! The component.

use core::hint::black_box;

use self::bindings::imds::credentials::ec2_role;
use self::bindings::wasi::clocks::monotonic_clock;

mod bindings {
    #![expect(unsafe_code, reason = "generated")]

    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package measure:caller;
            world caller {
                import wasi:clocks/monotonic-clock@0.2.12;
                import imds:credentials/ec2-role@0.1.0;

                /// Gets credentials from IMDS at `endpoint`, then calls for them `times` times, and
                /// returns how many nanoseconds the calls took.
                export run: func(endpoint: string, times: u32) -> result<u64, string>;
            }
        ",
        additional_type_attributes: {
            "imds:credentials/ec2-role@0.1.0/options": [#[derive(Default)]],
        },
        generate_all,
    });

    use super::Caller;
    export!(Caller);
}

struct Caller;

impl bindings::Guest for Caller {
    fn run(endpoint: String, times: u32) -> Result<u64, String> {
        let options = ec2_role::Options {
            endpoint: Some(endpoint),
            ..ec2_role::Options::default()
        };
        ec2_role::configure(&options).map_err(|error| format!("{error:?}"))?;
        let first = ec2_role_guest::credentials().map_err(|error| error.to_string())?;
        let start = monotonic_clock::now();
        for _ in 0..times {
            let held = ec2_role_guest::credentials().map_err(|error| error.to_string())?;
            if black_box(held).access_key_id() != first.access_key_id() {
                return Err("the credentials are not the held ones".into());
            }
        }
        Ok(monotonic_clock::now() - start)
    }
}
