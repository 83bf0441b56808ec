//! Tokens, and what is to be had without one.

use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::try_join_all;

use crate::scenario::Weight::{May, Must, Should};

use super::wire::{Answer, Request};
use super::{
    Check, INSTANCE_ID, Judged, META_DATA, NO_SUCH, Not, Server, TOKEN, TOKEN_PATH, TTL, expect,
    not_applicable, token_of,
};

pub(super) fn checks() -> Vec<Check> {
    vec![
        Check::new(
            "token/put",
            Must,
            "A PUT gives a token",
            &["IMDS 10"],
            |imds| put(imds).boxed(),
        ),
        Check::new(
            "token/ttl-header",
            Must,
            "The answer to the PUT says how long the token lives",
            &["IMDS 11", "clients: aws-config and aws-sdk-go need it"],
            |imds| ttl_header(imds).boxed(),
        ),
        Check::new(
            "token/legal-in-a-header",
            Must,
            "A token is visible ASCII, without white space or a newline",
            &["IMDS 11", "clients: most of them fail otherwise"],
            |imds| legal(imds).boxed(),
        ),
        Check::new(
            "token/plain-text",
            Should,
            "A token is text/plain",
            &["IMDS 11"],
            |imds| plain_text(imds).boxed(),
        ),
        Check::new(
            "token/empty-body",
            Must,
            "A PUT that says Content-Length: 0 gives a token",
            &["IMDS 10"],
            |imds| empty_body(imds).boxed(),
        ),
        Check::new(
            "token/names-of-headers",
            Must,
            "Names of headers are the same in lower and upper case",
            &["IMDS 10", "RFC 9110 5.1"],
            |imds| names_of_headers(imds).boxed(),
        ),
        Check::new(
            "token/slashes",
            Must,
            "Repeated slashes in the token path count as one",
            &["IMDS 9", "clients: the SDK for JavaScript asks so"],
            |imds| slashes(imds).boxed(),
        ),
        Check::new(
            "token/shortest",
            Should,
            "A token can live for 1 second",
            &["IMDS 10"],
            |imds| lives(imds, "1").boxed(),
        ),
        Check::new(
            "token/longest",
            Must,
            "A token can live for 21600 seconds",
            &["IMDS 10"],
            |imds| lives(imds, "21600").boxed(),
        ),
        Check::new(
            "token/zero",
            Should,
            "No token lives for 0 seconds: 400",
            &["IMDS 12"],
            |imds| refused(imds, "0").boxed(),
        ),
        Check::new(
            "token/too-long",
            Should,
            "No token lives for 21601 seconds: 400",
            &["IMDS 12"],
            |imds| refused(imds, "21601").boxed(),
        ),
        Check::new(
            "token/negative",
            Should,
            "No token lives for -1 seconds: 400",
            &["IMDS 12"],
            |imds| refused(imds, "-1").boxed(),
        ),
        Check::new(
            "token/letters",
            Should,
            "No token lives for 1h: 400",
            &["IMDS 12"],
            |imds| refused(imds, "1h").boxed(),
        ),
        Check::new(
            "token/no-ttl",
            Should,
            "A PUT that does not say for how long gives no token: 400",
            &["IMDS 12"],
            |imds| no_ttl(imds).boxed(),
        ),
        Check::new(
            "token/dated-path",
            Should,
            "A PUT under a dated version is 403",
            &["IMDS 13"],
            |imds| dated_path(imds).boxed(),
        ),
        Check::new(
            "token/forwarded",
            Must,
            "A PUT that a proxy has forwarded is 403",
            &["IMDS 14"],
            |imds| forwarded(imds).boxed(),
        ),
        Check::new(
            "token/forwarded-get",
            Should,
            "A GET that a proxy has forwarded is answered",
            &["IMDS 14"],
            |imds| forwarded_get(imds).boxed(),
        ),
        Check::new(
            "token/other-methods",
            Should,
            "GET and POST of the token path are 405",
            &["IMDS 8"],
            |imds| other_methods(imds).boxed(),
        ),
        Check::new(
            "token/allow",
            May,
            "A 405 of the token path is `405 Not Allowed`, allows OPTIONS and PUT, and is empty",
            &["IMDS 8"],
            |imds| allow(imds).boxed(),
        ),
        Check::new(
            "token/put-elsewhere",
            Should,
            "A PUT to any other path gives no token, and is refused",
            &["IMDS 7"],
            |imds| put_elsewhere(imds).boxed(),
        ),
        Check::new(
            "token/remaining",
            Should,
            "An answer says how many seconds its token has left",
            &["IMDS 16"],
            |imds| remaining(imds).boxed(),
        )
        .that_waits(),
        Check::new(
            "token/none-none-left",
            May,
            "An answer to a request without a token says nothing of one",
            &["IMDS 16"],
            |imds| none_left(imds).boxed(),
        ),
        Check::new(
            "token/expires",
            Must,
            "A token is refused when its time is over: 401",
            &["IMDS 15", "IMDS 17", "IMDS 18"],
            |imds| expires(imds).boxed(),
        )
        .that_waits(),
        Check::new(
            "token/several",
            Must,
            "Several tokens are good at once",
            &["IMDS 15"],
            |imds| several(imds).boxed(),
        ),
        Check::new(
            "token/distinct",
            Should,
            "Tokens that end at different times are different tokens",
            &["IMDS 15"],
            |imds| distinct(imds).boxed(),
        ),
        Check::new(
            "token/wrong",
            Must,
            "A wrong token is refused, even where none is needed: 401",
            &["IMDS 17", "IMDS 18"],
            |imds| wrong(imds, INSTANCE_ID).boxed(),
        ),
        Check::new(
            "token/tampered",
            Must,
            "A good token with another last letter is refused: 401",
            &["IMDS 15", "IMDS 17", "IMDS 18"],
            |imds| tampered(imds).boxed(),
        ),
        Check::new(
            "token/wrong-on-missing",
            Should,
            "With a wrong token, what is not there is 401 as well",
            &["IMDS 17", "IMDS 18"],
            |imds| wrong(imds, NO_SUCH).boxed(),
        ),
        Check::new(
            "token/needed-or-not",
            Must,
            "Without a token, data is 401 or 200",
            &["IMDS 17", "IMDS 18"],
            |imds| needed_or_not(imds).boxed(),
        ),
        Check::new(
            "token/needed-everywhere",
            Must,
            "If tokens are needed, nothing is to be had without one",
            &["IMDS 17"],
            |imds| needed_everywhere(imds).boxed(),
        ),
        Check::new(
            "token/needed-nowhere",
            Must,
            "If tokens are not needed, everything is the same without one",
            &["IMDS 18"],
            |imds| needed_nowhere(imds).boxed(),
        ),
        Check::new(
            "token/refusal",
            May,
            "A 401 is empty, or a page that says so",
            &["IMDS 19", "IMDS 20"],
            |imds| refusal(imds).boxed(),
        ),
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

/// An answer with a token: that there is one is demanded by the first check.
async fn given(imds: &Server, ttl: &str) -> Result<Answer, Not> {
    let answer = imds.put(ttl).await?;
    match answer.status {
        200 => Ok(answer),
        _ => not_applicable("it gives no token"),
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
        "visible ASCII alone",
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

async fn forwarded(imds: &Server) -> Judged {
    given(imds, "60").await?;
    let request = Request::new("PUT", TOKEN_PATH)
        .with(TTL, "60")
        .with("X-Forwarded-For", "203.0.113.5");
    let answer = imds.send(request).await?;
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
    let allowed = answer.header("allow").unwrap_or_default();
    let mut methods: Vec<&str> = allowed.split(',').map(str::trim).collect();
    methods.sort_unstable();
    expect(
        methods == ["OPTIONS", "PUT"],
        "Allow: OPTIONS, PUT",
        format!("Allow: {allowed}"),
    )?;
    expect(
        answer.reason == "Not Allowed" && answer.body.is_empty(),
        "405 Not Allowed, and no body",
        answer.told(),
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
            format!("PUT {path}: 405, or another refusal"),
            answer.told(),
        )?;
    }
    Ok(())
}

async fn remaining(imds: &Server) -> Judged {
    let token = imds.token("120").await?;
    // So that a server that tells the whole life is found out.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let answer = imds.with_token(INSTANCE_ID, &token).await?;
    if answer.status != 200 {
        return not_applicable("a good token is refused");
    }
    let left = answer.header(TTL);
    let seconds: Option<u32> = left.and_then(|left| left.parse().ok());
    expect(
        seconds.is_some_and(|seconds| (110..120).contains(&seconds)),
        format!("{TTL}: 118 or 119, one second after a token for 120"),
        left.unwrap_or("no such header"),
    )
}

async fn none_left(imds: &Server) -> Judged {
    let answer = imds.without_token(INSTANCE_ID).await?;
    if answer.status != 200 {
        return not_applicable("tokens are needed");
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
        return not_applicable("a good token is refused");
    }
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    let answer = imds.with_token(INSTANCE_ID, &token).await?;
    expect(
        answer.status == 401,
        "401 with a token for 1 second, two seconds later",
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
        "three tokens for 60, 120 and 21600 seconds",
        format!("{} token, given more than once", distinct.len()),
    )
}

async fn wrong(imds: &Server, path: &str) -> Judged {
    let answer = imds.with_token(path, "AQAEAWrongWrongWrong==").await?;
    expect(
        answer.status == 401,
        format!("401 to GET {path} with a wrong token"),
        answer.told(),
    )
}

async fn tampered(imds: &Server) -> Judged {
    let good = imds.token("60").await?;
    // Of base64, the letter before the padding has bits that mean nothing; the one before does not.
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
        "401 with a token that was changed",
        answer.told(),
    )
}

async fn needed_or_not(imds: &Server) -> Judged {
    let answer = imds.without_token(INSTANCE_ID).await?;
    answer.has_status_of(&[200, 401])
}

/// Paths of all kinds. What is not there is among them.
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
        return not_applicable("tokens are not needed");
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
        return not_applicable("tokens are needed");
    }
    for path in ALL_KINDS {
        let with = imds.get(path).await?;
        let without = imds.without_token(path).await?;
        // Pages of errors may have a number of the request.
        let same = with.status != 200 || with.body == without.body;
        expect(
            with.status == without.status && same,
            format!("with a token, {}", with.told()),
            format!("without, {}", without.told()),
        )?;
    }
    Ok(())
}

async fn refusal(imds: &Server) -> Judged {
    let answer = imds.with_token(INSTANCE_ID, "wrong").await?;
    if answer.status != 401 {
        return not_applicable("a wrong token is not refused");
    }
    let page = answer.text().contains("<title>401 - Unauthorized</title>");
    expect(
        answer.body.is_empty() || page,
        "nothing, or a page titled 401 - Unauthorized",
        answer.told(),
    )
}
