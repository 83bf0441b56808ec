//! Requests with a token, and without one.

use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::try_join_all;

use crate::scenario::Weight::{May, Must, Should};

use super::{Check, INSTANCE_ID, Judged, META_DATA, NO_SUCH, Server, TTL, expect, not_applicable};

pub(super) fn checks() -> Vec<Check> {
    vec![
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

async fn remaining(imds: &Server) -> Judged {
    let token = imds.token("120").await?;
    // So that a server which states the original TTL fails.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let response = imds.with_token(INSTANCE_ID, &token).await?;
    if response.status != 200 {
        return not_applicable("valid tokens are rejected");
    }
    let left = response.header(TTL);
    let seconds: Option<u32> = left.and_then(|left| left.parse().ok());
    expect(
        seconds.is_some_and(|seconds| (110..120).contains(&seconds)),
        format!("{TTL}: 118 or 119, one second after a token with a TTL of 120"),
        left.unwrap_or("no such header"),
    )
}

async fn none_left(imds: &Server) -> Judged {
    let response = imds.without_token(INSTANCE_ID).await?;
    if response.status != 200 {
        return not_applicable("tokens are required");
    }
    let seen = response.header(TTL);
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
    let response = imds.with_token(INSTANCE_ID, &token).await?;
    expect(
        response.status == 401,
        "401 two seconds after a token with a TTL of 1 second was issued",
        response.told(),
    )
}

async fn several(imds: &Server) -> Judged {
    let mut tokens = Vec::new();
    for _ in 0..5 {
        tokens.push(imds.token("60").await?);
    }
    for (at, token) in tokens.iter().enumerate() {
        let response = imds.with_token(INSTANCE_ID, token).await?;
        expect(
            response.status == 200,
            format!("200 with token {} of 5", at + 1),
            response.told(),
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
    let response = imds.with_token(path, "AQAEAWrongWrongWrong==").await?;
    expect(
        response.status == 401,
        format!("401 to GET {path} with an invalid token"),
        response.told(),
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
    let response = imds.with_token(INSTANCE_ID, &bad).await?;
    expect(
        response.status == 401,
        "401 with a changed token",
        response.told(),
    )
}

async fn needed_or_not(imds: &Server) -> Judged {
    let response = imds.without_token(INSTANCE_ID).await?;
    response.has_status_of(&[200, 401])
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
        let response = imds.without_token(path).await?;
        expect(
            response.status == 401,
            format!("401 to GET {path} without a token"),
            response.told(),
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
    let response = imds.with_token(INSTANCE_ID, "wrong").await?;
    if response.status != 401 {
        return not_applicable("invalid tokens are not rejected");
    }
    let page = response
        .text()
        .contains("<title>401 - Unauthorized</title>");
    expect(
        response.body.is_empty() || page,
        "no body, or a page titled 401 - Unauthorized",
        response.told(),
    )
}
