//! Tokens, and requests without one.

use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::try_join_all;

use crate::scenario::Weight::{May, Must, Should};

use super::wire::{Answer, Request};
use super::{
    Check, INSTANCE_ID, Judged, META_DATA, NO_SUCH, NotPassed, Server, TOKEN, TOKEN_PATH, TTL,
    expect, not_applicable, token_of,
};

pub(super) fn checks() -> Vec<Check> {
    vec![
        Check::new(
            "token/put",
            Must,
            "A PUT returns a token",
            &["I10"],
            |imds| put(imds).boxed(),
        ),
        Check::new(
            "token/ttl-header",
            Must,
            "The response to the PUT states the TTL of the token",
            &["I11", "clients: aws-config and aws-sdk-go need it"],
            |imds| ttl_header(imds).boxed(),
        ),
        Check::new(
            "token/valid-header-value",
            Must,
            "A token is visible ASCII, without white space or a newline",
            &["I11", "clients: most of them fail otherwise"],
            |imds| legal(imds).boxed(),
        )
        .formerly(&["token/legal-in-a-header"]),
        Check::new(
            "token/plain-text",
            Should,
            "The Content-Type of a token is text/plain",
            &["I11"],
            |imds| plain_text(imds).boxed(),
        ),
        Check::new(
            "token/empty-body",
            Must,
            "A PUT with Content-Length: 0 returns a token",
            &["I10"],
            |imds| empty_body(imds).boxed(),
        ),
        Check::new(
            "token/header-case",
            Must,
            "Header names are case-insensitive",
            &["I10", "RFC 9110 5.1"],
            |imds| names_of_headers(imds).boxed(),
        )
        .formerly(&["token/names-of-headers"]),
        Check::new(
            "token/repeated-slashes",
            Must,
            "Repeated slashes in the token path count as one",
            &["I9", "clients: the SDK for JavaScript asks so"],
            |imds| slashes(imds).boxed(),
        )
        .formerly(&["token/slashes"]),
        Check::new(
            "token/min-ttl",
            Should,
            "A token can have a TTL of 1 second",
            &["I10"],
            |imds| lives(imds, "1").boxed(),
        )
        .formerly(&["token/shortest"]),
        Check::new(
            "token/max-ttl",
            Must,
            "A token can have a TTL of 21600 seconds",
            &["I10"],
            |imds| lives(imds, "21600").boxed(),
        )
        .formerly(&["token/longest"]),
        Check::new(
            "token/ttl-zero",
            Should,
            "A TTL of 0 seconds is rejected with 400",
            &["I12"],
            |imds| refused(imds, "0").boxed(),
        )
        .formerly(&["token/zero"]),
        Check::new(
            "token/ttl-too-long",
            Should,
            "A TTL of 21601 seconds is rejected with 400",
            &["I12"],
            |imds| refused(imds, "21601").boxed(),
        )
        .formerly(&["token/too-long"]),
        Check::new(
            "token/ttl-negative",
            Should,
            "A TTL of -1 seconds is rejected with 400",
            &["I12"],
            |imds| refused(imds, "-1").boxed(),
        )
        .formerly(&["token/negative"]),
        Check::new(
            "token/ttl-not-a-number",
            Should,
            "A TTL of 1h is rejected with 400",
            &["I12"],
            |imds| refused(imds, "1h").boxed(),
        )
        .formerly(&["token/letters"]),
        Check::new(
            "token/missing-ttl",
            Should,
            "A PUT without a TTL is rejected with 400",
            &["I12"],
            |imds| no_ttl(imds).boxed(),
        )
        .formerly(&["token/no-ttl"]),
        Check::new(
            "token/dated-path",
            Should,
            "A PUT to the token path of a dated version is rejected with 403",
            &["I13"],
            |imds| dated_path(imds).boxed(),
        ),
        Check::new(
            "token/trailing-slash",
            Should,
            "A PUT to the token path with a slash at its end is rejected with 403",
            &["I10"],
            |imds| trailing_slash(imds).boxed(),
        ),
        Check::new(
            "token/forwarded",
            Must,
            "A PUT with X-Forwarded-For is rejected with 403",
            &["I14"],
            |imds| forwarded(imds).boxed(),
        ),
        Check::new(
            "token/403-body",
            May,
            "A 403 to a PUT has no body, or a page titled `403 - Forbidden`",
            &["I14"],
            |imds| forbidden_body(imds).boxed(),
        ),
        Check::new(
            "token/forwarded-get",
            Should,
            "A GET with X-Forwarded-For is answered",
            &["I14"],
            |imds| forwarded_get(imds).boxed(),
        ),
        Check::new(
            "token/other-methods",
            Should,
            "GET and POST of the token path are rejected with 405",
            &["I8"],
            |imds| other_methods(imds).boxed(),
        ),
        Check::new(
            "token/allow",
            May,
            "The 405 of the token path is `405 Not Allowed`, allows OPTIONS and PUT, and has no body",
            &["I8"],
            |imds| allow(imds).boxed(),
        ),
        Check::new(
            "token/options",
            May,
            "OPTIONS of the token path returns 200, allows OPTIONS and PUT, and has no body",
            &["I8"],
            |imds| options(imds).boxed(),
        ),
        Check::new(
            "token/put-other-paths",
            Should,
            "A PUT to any other path is rejected",
            &["I7"],
            |imds| put_elsewhere(imds).boxed(),
        )
        .formerly(&["token/put-elsewhere"]),
        Check::new(
            "token/remaining-ttl",
            Should,
            "A response states how many seconds its token has left",
            &["I16"],
            |imds| remaining(imds).boxed(),
        )
        .formerly(&["token/remaining"])
        .that_waits(),
        Check::new(
            "token/no-remaining-ttl",
            May,
            "The response to a request without a token states no remaining TTL",
            &["I16"],
            |imds| none_left(imds).boxed(),
        )
        .formerly(&["token/none-none-left"]),
        Check::new(
            "token/expires",
            Must,
            "An expired token is rejected with 401",
            &["I15", "I17", "I18"],
            |imds| expires(imds).boxed(),
        )
        .that_waits(),
        Check::new(
            "token/several",
            Must,
            "Several tokens are valid at once",
            &["I15"],
            |imds| several(imds).boxed(),
        ),
        Check::new(
            "token/distinct",
            Should,
            "Tokens with different expirations differ",
            &["I15"],
            |imds| distinct(imds).boxed(),
        ),
        Check::new(
            "token/invalid",
            Must,
            "An invalid token is rejected with 401, even where tokens are optional",
            &["I17", "I18"],
            |imds| wrong(imds, INSTANCE_ID).boxed(),
        )
        .formerly(&["token/wrong"]),
        Check::new(
            "token/tampered",
            Must,
            "A valid token with one changed character is rejected with 401",
            &["I15", "I17", "I18"],
            |imds| tampered(imds).boxed(),
        ),
        Check::new(
            "token/invalid-on-missing-path",
            Should,
            "An invalid token is rejected with 401 for a missing path, too",
            &["I17", "I18"],
            |imds| wrong(imds, NO_SUCH).boxed(),
        )
        .formerly(&["token/wrong-on-missing"]),
        Check::new(
            "token/required-or-optional",
            Must,
            "A GET without a token returns 401 or 200",
            &["I17", "I18"],
            |imds| needed_or_not(imds).boxed(),
        )
        .formerly(&["token/needed-or-not"]),
        Check::new(
            "token/required-everywhere",
            Must,
            "If tokens are required, every GET without one is rejected with 401",
            &["I17"],
            |imds| needed_everywhere(imds).boxed(),
        )
        .formerly(&["token/needed-everywhere"]),
        Check::new(
            "token/optional-everywhere",
            Must,
            "If tokens are optional, responses with and without one are the same",
            &["I18"],
            |imds| needed_nowhere(imds).boxed(),
        )
        .formerly(&["token/needed-nowhere"]),
        Check::new(
            "token/401-body",
            May,
            "A 401 has no body, or a page titled `401 - Unauthorized`",
            &["I19", "I20"],
            |imds| refusal(imds).boxed(),
        )
        .formerly(&["token/refusal"]),
    ]
}

async fn put(imds: &Server) -> Judged {
    let answer = imds.put("60").await?;
    answer.has_status(200)?;
    expect(
        !answer.body.trim_ascii().is_empty(),
        "a token as the body",
        answer.told(),
    )
}

/// A response with a token. The first check verifies that there is one.
async fn given(imds: &Server, ttl: &str) -> Result<Answer, NotPassed> {
    let answer = imds.put(ttl).await?;
    match answer.status {
        200 => Ok(answer),
        _ => not_applicable("the server issues no token"),
    }
}

async fn ttl_header(imds: &Server) -> Judged {
    given(imds, "61").await?.has_header(TTL, "61")
}

async fn legal(imds: &Server) -> Judged {
    let answer = given(imds, "60").await?;
    let odd = answer.body.iter().find(|byte| !byte.is_ascii_graphic());
    let seen =
        odd.map(|byte| format!("byte {byte:#04x} in a token of {} bytes", answer.body.len()));
    expect(
        odd.is_none(),
        "only visible ASCII",
        seen.unwrap_or_default(),
    )
}

async fn plain_text(imds: &Server) -> Judged {
    given(imds, "60").await?.has_type("text/plain")
}

async fn empty_body(imds: &Server) -> Judged {
    given(imds, "60").await?;
    let request = Request::new("PUT", TOKEN_PATH)
        .with(TTL, "60")
        .with("Content-Length", "0");
    imds.send(request).await?.has_status(200)
}

async fn names_of_headers(imds: &Server) -> Judged {
    given(imds, "60").await?;
    for turned in [str::to_ascii_lowercase, str::to_ascii_uppercase] {
        let (ttl, token) = (turned(TTL), turned(TOKEN));
        let put = Request::new("PUT", TOKEN_PATH).with(&ttl, "60");
        let answer = imds.send(put).await?;
        answer.has_status(200)?;
        let good = token_of(&answer).unwrap_or_default();
        let get = Request::get(INSTANCE_ID).with(&token, &good);
        imds.send(get).await?.has_status(200)?;
    }
    Ok(())
}

async fn slashes(imds: &Server) -> Judged {
    given(imds, "60").await?;
    for path in ["//latest/api/token", "/latest//api/token"] {
        let request = Request::new("PUT", path).with(TTL, "60");
        imds.send(request).await?.has_status(200)?;
    }
    Ok(())
}

async fn lives(imds: &Server, ttl: &str) -> Judged {
    imds.put(ttl).await?.has_status(200)
}

async fn refused(imds: &Server, ttl: &str) -> Judged {
    given(imds, "60").await?;
    let answer = imds.put(ttl).await?;
    expect(
        answer.status == 400,
        format!("400 to a PUT with {TTL}: {ttl}"),
        answer.told(),
    )
}

async fn no_ttl(imds: &Server) -> Judged {
    given(imds, "60").await?;
    let answer = imds.send(Request::new("PUT", TOKEN_PATH)).await?;
    expect(
        answer.status == 400,
        format!("400 to a PUT without {TTL}"),
        answer.told(),
    )
}

async fn dated_path(imds: &Server) -> Judged {
    given(imds, "60").await?;
    let put = Request::new("PUT", "/2021-03-23/api/token").with(TTL, "60");
    imds.send(put).await?.has_status(403)
}

async fn trailing_slash(imds: &Server) -> Judged {
    given(imds, "60").await?;
    let put = Request::new("PUT", "/latest/api/token/").with(TTL, "60");
    imds.send(put).await?.has_status(403)
}

/// The response to a PUT that came through a proxy.
async fn put_forwarded(imds: &Server) -> Result<Answer, NotPassed> {
    given(imds, "60").await?;
    let request = Request::new("PUT", TOKEN_PATH)
        .with(TTL, "60")
        .with("X-Forwarded-For", "203.0.113.5");
    imds.send(request).await
}

/// Nitro sends no body, and Xen a page.
async fn forbidden_body(imds: &Server) -> Judged {
    let answer = put_forwarded(imds).await?;
    if answer.status != 403 {
        return not_applicable("a PUT with X-Forwarded-For is not rejected with 403");
    }
    if answer.body.is_empty() {
        return answer.has_type("text/plain");
    }
    answer.has_type("text/html")?;
    expect(
        answer.text().contains("<title>403 - Forbidden</title>"),
        "no body, or a page titled 403 - Forbidden",
        answer.told(),
    )
}

async fn forwarded(imds: &Server) -> Judged {
    let answer = put_forwarded(imds).await?;
    expect(
        answer.status == 403,
        "403 to a PUT with X-Forwarded-For",
        answer.told(),
    )
}

async fn forwarded_get(imds: &Server) -> Judged {
    imds.if_there(INSTANCE_ID).await?;
    let request = Request::get(INSTANCE_ID).with("X-Forwarded-For", "203.0.113.5");
    imds.ask(request).await?.has_status(200)
}

async fn other_methods(imds: &Server) -> Judged {
    for method in ["GET", "POST"] {
        let request = Request::new(method, TOKEN_PATH).with(TTL, "60");
        imds.ask(request).await?.has_status(405)?;
    }
    Ok(())
}

async fn allow(imds: &Server) -> Judged {
    let answer = imds.ask(Request::get(TOKEN_PATH)).await?;
    if answer.status != 405 {
        return not_applicable("a GET of the token path is not 405");
    }
    allows_options_and_put(&answer)?;
    expect(
        answer.reason == "Not Allowed" && answer.body.is_empty(),
        "405 Not Allowed, and no body",
        answer.told(),
    )
}

async fn options(imds: &Server) -> Judged {
    let answer = imds.ask(Request::new("OPTIONS", TOKEN_PATH)).await?;
    answer.has_status(200)?;
    allows_options_and_put(&answer)?;
    expect(answer.body.is_empty(), "no body", answer.told())
}

fn allows_options_and_put(answer: &Answer) -> Judged {
    let allowed = answer.header("allow").unwrap_or_default();
    let mut methods: Vec<&str> = allowed.split(',').map(str::trim).collect();
    methods.sort_unstable();
    expect(
        methods == ["OPTIONS", "PUT"],
        "Allow: OPTIONS, PUT",
        format!("Allow: {allowed}"),
    )
}

async fn put_elsewhere(imds: &Server) -> Judged {
    for path in [
        INSTANCE_ID,
        "/latest/meta-data/",
        "/latest/api/",
        "/api/token",
    ] {
        let answer = imds.ask(Request::new("PUT", path).with(TTL, "60")).await?;
        expect(
            (400..500).contains(&answer.status),
            format!("PUT {path}: 405, or another 4xx status"),
            answer.told(),
        )?;
    }
    Ok(())
}

async fn remaining(imds: &Server) -> Judged {
    let token = imds.token("120").await?;
    // So that a server which states the original TTL fails.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let answer = imds.with_token(INSTANCE_ID, &token).await?;
    if answer.status != 200 {
        return not_applicable("valid tokens are rejected");
    }
    let left = answer.header(TTL);
    let seconds: Option<u32> = left.and_then(|left| left.parse().ok());
    expect(
        seconds.is_some_and(|seconds| (110..120).contains(&seconds)),
        format!("{TTL}: 118 or 119, one second after a token with a TTL of 120"),
        left.unwrap_or("no such header"),
    )
}

async fn none_left(imds: &Server) -> Judged {
    let answer = imds.without_token(INSTANCE_ID).await?;
    if answer.status != 200 {
        return not_applicable("tokens are required");
    }
    let seen = answer.header(TTL);
    expect(
        seen.is_none(),
        format!("no header {TTL}"),
        seen.unwrap_or_default(),
    )
}

async fn expires(imds: &Server) -> Judged {
    let token = imds.token("1").await?;
    if imds.with_token(INSTANCE_ID, &token).await?.status == 401 {
        return not_applicable("valid tokens are rejected");
    }
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    let answer = imds.with_token(INSTANCE_ID, &token).await?;
    expect(
        answer.status == 401,
        "401 two seconds after a token with a TTL of 1 second was issued",
        answer.told(),
    )
}

async fn several(imds: &Server) -> Judged {
    let mut tokens = Vec::new();
    for _ in 0..5 {
        tokens.push(imds.token("60").await?);
    }
    for (at, token) in tokens.iter().enumerate() {
        let answer = imds.with_token(INSTANCE_ID, token).await?;
        expect(
            answer.status == 200,
            format!("200 with token {} of 5", at + 1),
            answer.told(),
        )?;
    }
    Ok(())
}

async fn distinct(imds: &Server) -> Judged {
    let lives = ["60", "120", "21600"];
    let tokens = try_join_all(lives.map(|ttl| imds.token(ttl))).await?;
    let mut distinct = tokens.clone();
    distinct.sort_unstable();
    distinct.dedup();
    expect(
        distinct.len() == tokens.len(),
        "three different tokens with TTLs of 60, 120 and 21600 seconds",
        format!("only {} different", distinct.len()),
    )
}

async fn wrong(imds: &Server, path: &str) -> Judged {
    let answer = imds.with_token(path, "AQAEAWrongWrongWrong==").await?;
    expect(
        answer.status == 401,
        format!("401 to GET {path} with an invalid token"),
        answer.told(),
    )
}

async fn tampered(imds: &Server) -> Judged {
    let good = imds.token("60").await?;
    // The last base64 character before the padding has unused bits, so change the one before it.
    let at = good.trim_end_matches('=').len().saturating_sub(2);
    let turn = |(place, letter): (usize, char)| match (place == at, letter) {
        (true, 'A') => 'B',
        (true, _) => 'A',
        (false, letter) => letter,
    };
    let bad: String = good.chars().enumerate().map(turn).collect();
    let answer = imds.with_token(INSTANCE_ID, &bad).await?;
    expect(
        answer.status == 401,
        "401 with a changed token",
        answer.told(),
    )
}

async fn needed_or_not(imds: &Server) -> Judged {
    let answer = imds.without_token(INSTANCE_ID).await?;
    answer.has_status_of(&[200, 401])
}

/// One path of each kind, with one that does not exist.
const ALL_KINDS: [&str; 8] = [
    "/",
    "/latest/",
    "/latest/meta-data/",
    INSTANCE_ID,
    "/latest/meta-data/iam/security-credentials/",
    "/latest/dynamic/instance-identity/document",
    "/latest/user-data",
    NO_SUCH,
];

async fn needed_everywhere(imds: &Server) -> Judged {
    if imds.without_token(INSTANCE_ID).await?.status != 401 {
        return not_applicable("tokens are optional");
    }
    let bare = [
        "/latest/meta-data/placement",
        META_DATA,
        "//latest/user-data",
    ];
    for path in ALL_KINDS.into_iter().chain(bare) {
        let answer = imds.without_token(path).await?;
        expect(
            answer.status == 401,
            format!("401 to GET {path} without a token"),
            answer.told(),
        )?;
    }
    Ok(())
}

async fn needed_nowhere(imds: &Server) -> Judged {
    if imds.without_token(INSTANCE_ID).await?.status != 200 {
        return not_applicable("tokens are required");
    }
    for path in ALL_KINDS {
        let with = imds.get(path).await?;
        let without = imds.without_token(path).await?;
        // Error pages may contain a request number.
        let same = with.status != 200 || with.body == without.body;
        expect(
            with.status == without.status && same,
            format!("with a token, {}", with.told()),
            format!("without a token, {}", without.told()),
        )?;
    }
    Ok(())
}

async fn refusal(imds: &Server) -> Judged {
    let answer = imds.with_token(INSTANCE_ID, "wrong").await?;
    if answer.status != 401 {
        return not_applicable("invalid tokens are not rejected");
    }
    let page = answer.text().contains("<title>401 - Unauthorized</title>");
    expect(
        answer.body.is_empty() || page,
        "no body, or a page titled 401 - Unauthorized",
        answer.told(),
    )
}
