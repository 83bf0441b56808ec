//! Options and the endpoint.

use std::time::Duration;

use arbitrary::{Arbitrary as _, Unstructured};
use ec2_role_component::config::{Config, EndpointMode, Imdsv1Policy, Options, RefreshPolicy};
use ec2_role_component::error::Error;
use ec2_role_component::imds::endpoint::Endpoint;
use ec2_role_component::ports::Response;
use ec2_role_host::egress::Egress;

use super::credentials::is_role;
use super::world::{World, ok, ready, well};

/// Options.
///
/// Accepted options must be within the ranges of the WIT package, and must produce the same configuration when
/// they are passed again. An error must name the rejected option and its value, and must leave a provider
/// unchanged.
pub fn options(bytes: &[u8]) {
    let Ok(options) = arbitrary_options(&mut Unstructured::new(bytes)) else {
        return;
    };
    let config = match Config::new(options.clone()) {
        Ok(config) => config,
        Err(Error::InvalidConfiguration(invalid)) => {
            let given = match invalid.name.as_str() {
                "endpoint" => options.endpoint.clone(),
                "role-name" => options.role_name.clone(),
                "connect-timeout" => options.connect_timeout.map(|value| value.to_string()),
                "read-timeout" => options.read_timeout.map(|value| value.to_string()),
                "operation-timeout" => options.operation_timeout.map(|value| value.to_string()),
                "attempts" => options.attempts.map(|value| value.to_string()),
                "token-ttl" => options.token_ttl.map(|value| value.to_string()),
                "expiry-window" => options.expiry_window.map(|value| value.to_string()),
                "expiry-window-jitter" => {
                    options.expiry_window_jitter.map(|value| value.to_string())
                }
                name => panic!("no option is named {name}"),
            };
            assert_eq!(Some(&invalid.value), given.as_ref());
            assert!(!invalid.accepted.is_empty());
            // Settings, token and credentials stay.
            let mut world = World::new(Options::default(), well);
            assert!(ready(world.instance.get_credentials()).is_ok());
            let before = format!("{:?}", world.instance);
            assert!(world.instance.configure(options).is_err());
            assert_eq!(format!("{:?}", world.instance), before);
            return;
        }
        Err(error) => panic!("{error:?}"),
    };
    let (client, cache) = (&config.client, &config.cache);
    let within = |time: Duration, least, most| (least..=most).contains(&time.as_millis());
    assert!(within(client.connect_timeout, 1, 60_000));
    assert!(within(client.read_timeout, 1, 60_000));
    assert!(within(client.operation_timeout, 1, 600_000));
    assert!((1..=10).contains(&client.attempts));
    assert!((1..=21_600).contains(&client.token_ttl.as_secs()));
    assert!(
        cache
            .window
            .is_none_or(|window| within(window, 0, 86_400_000))
    );
    assert!(cache.jitter <= 100);
    assert!(
        config
            .provider
            .role
            .as_ref()
            .is_none_or(|role| is_role(role.as_str()))
    );
    let milliseconds = |time: Duration| Some(u64::try_from(time.as_millis()).unwrap());
    let again = Options {
        disabled: Some(client.disabled),
        endpoint: Some(client.endpoint.to_string()),
        endpoint_mode: options.endpoint_mode,
        imdsv1: Some(client.imdsv1),
        role_name: config
            .provider
            .role
            .as_ref()
            .map(|role| role.as_str().to_owned()),
        connect_timeout: milliseconds(client.connect_timeout),
        read_timeout: milliseconds(client.read_timeout),
        operation_timeout: milliseconds(client.operation_timeout),
        attempts: Some(client.attempts),
        token_ttl: Some(u32::try_from(client.token_ttl.as_secs()).unwrap()),
        expiry_window: cache.window.and_then(milliseconds),
        expiry_window_jitter: Some(cache.jitter),
        refresh_policy: Some(cache.policy),
        max_extension: cache.max_extension.and_then(milliseconds),
        extended_path: Some(config.provider.extended_path),
    };
    assert_eq!(Config::new(again).unwrap(), config);
    // With all accepted options, a healthy IMDS issues credentials, and a failing IMDS ends the call in time.
    let mut world = World::new(options.clone(), well);
    match ready(world.instance.get_credentials()) {
        Ok(credentials) => assert!(credentials.refresh_after <= credentials.expires.unwrap()),
        Err(error) => assert_eq!((error, client.disabled), (Error::Disabled, true)),
    }
    let mut world = World::new(options, |_| Response {
        status: 500,
        ..ok(Vec::new())
    });
    assert!(ready(world.instance.get_credentials()).is_err());
    assert!(world.clock.since_start.get() <= client.operation_timeout);
}

fn arbitrary_options(from: &mut Unstructured<'_>) -> arbitrary::Result<Options> {
    /// A number that is often near a bound of its range.
    fn number(from: &mut Unstructured<'_>, ends: &[u64]) -> arbitrary::Result<Option<u64>> {
        Ok(match from.int_in_range(0..=2)? {
            0_u8 => None,
            1 => {
                let end = from.choose(ends)?;
                Some(end.wrapping_add_signed(from.int_in_range(-1..=1)?))
            }
            _ => Some(u64::arbitrary(from)?),
        })
    }
    let small =
        |number: Option<u64>| number.map(|number| u32::try_from(number).unwrap_or(u32::MAX));
    let milliseconds = [1, 1_000, 60_000];
    Ok(Options {
        disabled: Option::arbitrary(from)?,
        endpoint_mode: *from.choose(&[None, Some(EndpointMode::Ipv4), Some(EndpointMode::Ipv6)])?,
        imdsv1: *from.choose(&[
            None,
            Some(Imdsv1Policy::Never),
            Some(Imdsv1Policy::OnRefusal),
            Some(Imdsv1Policy::OnAnyFailure),
        ])?,
        refresh_policy: *from.choose(&[
            None,
            Some(RefreshPolicy::Classic),
            Some(RefreshPolicy::Windowed),
        ])?,
        extended_path: Option::arbitrary(from)?,
        connect_timeout: number(from, &milliseconds)?,
        read_timeout: number(from, &milliseconds)?,
        operation_timeout: number(from, &[1, 5_000, 600_000])?,
        attempts: small(number(from, &[1, 10])?),
        token_ttl: small(number(from, &[1, 21_600])?),
        expiry_window: number(from, &[0, 3_600_000, 86_400_000])?,
        expiry_window_jitter: small(number(from, &[0, 100])?),
        max_extension: number(from, &[0, 3_600_000])?,
        role_name: match bool::arbitrary(from)? {
            true => Some(String::arbitrary(from)?),
            false => None,
        },
        endpoint: match bool::arbitrary(from)? {
            true => Some(format!("http://{}", String::arbitrary(from)?)),
            false => None,
        },
    })
}

/// A URL.
///
/// An accepted endpoint must have an authority without user information and a path, and must print as a URL
/// that parses as the same endpoint. The host must accept it, too, permit every request of the component, and
/// reject every other request.
pub fn endpoint(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let egress = text.parse::<Egress>();
    if let Err(error) = &egress {
        assert!(error.to_string().contains("accepted: http://HOST"));
    }
    let Ok(endpoint) = text.parse::<Endpoint>() else {
        return;
    };
    let printed = endpoint.to_string();
    assert_eq!(printed.parse::<Endpoint>().as_ref(), Ok(&endpoint));
    let authority = endpoint.authority();
    assert!(!authority.is_empty());
    assert!(
        authority
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"@/?#\\%".contains(&byte))
    );
    assert!(printed.starts_with(&format!("http://{authority}")));

    let egress = egress.expect("the host accepts what the component does");
    assert_eq!(printed.parse(), Ok(egress.clone()));
    let check = |url: String| egress.check(&http::Method::GET, &url.parse().unwrap());
    for path in ["", "/", "iam/info", "tags/instance/a b", "../../x"] {
        let path = endpoint.path("latest/meta-data", path);
        // Even the empty path is below `latest/`.
        assert_eq!(check(format!("http://{authority}{path}")), Ok(()), "{path}");
    }
    let path = endpoint.path("latest/meta-data", "x");
    let (host, port) = authority.rsplit_once(':').unwrap_or((authority, "80"));
    let other = if port.parse() == Ok(1_u16) { 2 } else { 1 };
    for elsewhere in [
        format!("http://user@{authority}{path}"),
        format!("http://{authority}.example{path}"),
        format!("http://x{authority}{path}"),
        format!("http://{host}:{other}{path}"),
        format!("https://{authority}{path}"),
        format!(
            "http://{authority}{}",
            path.replacen("/latest/", "/other/", 1)
        ),
        format!("http://{authority}{path}/../x"),
    ] {
        if let Ok(url) = elsewhere.parse() {
            let outcome = egress.check(&http::Method::GET, &url);
            assert!(outcome.is_err(), "{elsewhere}");
        }
    }
}
