//! What is shown.

use crate::support::{Virtual, builder, emulator};

#[test]
fn no_secret_is_shown() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let clock = Virtual::new();
    let imds = runtime.block_on(emulator(&clock));
    let provider = builder(&imds, &clock).build_blocking().unwrap();
    let credentials = provider.credentials_blocking().unwrap();
    let shown = format!("{credentials:?} {provider:?} {:?}", provider.status());
    assert!(shown.contains(credentials.access_key_id()), "{shown}");
    assert!(!shown.contains(credentials.secret_access_key()), "{shown}");
    assert!(
        !shown.contains(&credentials.session_token().unwrap()[..20]),
        "{shown}"
    );
}
