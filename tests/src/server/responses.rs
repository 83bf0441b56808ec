//! Checks of every response: version, headers, length and latency.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::FutureExt as _;
use futures_util::future::try_join_all;

use crate::scenario::Weight::{May, Must, Should};

use super::wire::{Request, Response};
use super::{
    Check, INSTANCE_ID, Judged, META_DATA, NO_SUCH, NotPassed, Server, TOKEN_PATH, TTL, expect,
    not_applicable,
};

pub(super) fn checks() -> Vec<Check> {
    vec![
        Check::new(
            "response/http-version",
            Must,
            "Either all responses are HTTP/1.1 or all are HTTP/1.0",
            &["I2"],
            |imds| version(imds).boxed(),
        )
        .formerly(&["answer/version"]),
        Check::new(
            "response/connection-close",
            May,
            "A response has the header Connection: close",
            &["I2"],
            |imds| closes(imds).boxed(),
        )
        .formerly(&["answer/closes"]),
        Check::new(
            "response/server-header",
            Should,
            "Every response has the header Server: EC2ws",
            &["I3"],
            |imds| server(imds).boxed(),
        )
        .formerly(&["answer/server"]),
        Check::new(
            "response/date-header",
            Should,
            "Every response has a Date header with the current date",
            &["I3"],
            |imds| date(imds).boxed(),
        )
        .formerly(&["answer/date"]),
        Check::new(
            "response/content-length",
            Should,
            "Every response has a Content-Length header",
            &["I3"],
            |imds| length(imds).boxed(),
        )
        .formerly(&["answer/content-length"]),
        Check::new(
            "response/correct-length",
            Must,
            "Every body is as long as its Content-Length",
            &["I3"],
            |imds| right_length(imds).boxed(),
        )
        .formerly(&["answer/right-length"]),
        Check::new(
            "response/no-duplicate-headers",
            Should,
            "No response has the same header twice",
            &["I4", "I5"],
            |imds| once(imds).boxed(),
        )
        .formerly(&["answer/once"]),
        Check::new(
            "response/plain-text",
            Should,
            "The Content-Type of metadata is text/plain: values, listings and documents",
            &["I34"],
            |imds| plain_text(imds).boxed(),
        )
        .formerly(&["answer/plain-text"]),
        Check::new(
            "response/last-modified",
            May,
            "Metadata has a Last-Modified header, which is not the time of the request",
            &["I6"],
            |imds| last_modified(imds).boxed(),
        )
        .formerly(&["answer/last-modified"])
        .that_waits(),
        Check::new(
            "response/accept-ranges",
            May,
            "Metadata has an Accept-Ranges header",
            &["I4", "I5"],
            |imds| accept_ranges(imds).boxed(),
        )
        .formerly(&["answer/accept-ranges"]),
        Check::new(
            "response/header-order",
            May,
            "The headers of metadata are in the order of Nitro or of Xen",
            &["I4", "I5"],
            |imds| order(imds).boxed(),
        )
        .formerly(&["answer/order"]),
        Check::new(
            "response/latency",
            Must,
            "Responses arrive within 500 ms",
            &["clients: aws-sdk-go-v2 waits no longer"],
            |imds| soon(imds).boxed(),
        )
        .formerly(&["answer/soon"]),
        Check::new(
            "response/concurrent-clients",
            Must,
            "Sixteen concurrent clients are all answered",
            &["I15", "clients: aws-sdk-go-v2 waits no longer"],
            |imds| many_at_once(imds).boxed(),
        )
        .formerly(&["answer/many-at-once"]),
    ]
}

/// One response of each kind.
async fn of_all_kinds(imds: &Server) -> Result<Vec<Response>, NotPassed> {
    Ok(vec![
        imds.put("60").await?,
        imds.get(INSTANCE_ID).await?,
        imds.get(&format!("{META_DATA}/")).await?,
        imds.get(NO_SUCH).await?,
        imds.with_token(INSTANCE_ID, "wrong").await?,
        imds.ask(Request::get(TOKEN_PATH)).await?,
    ])
}

/// Fails with the first kind of response that is wrong.
async fn all(imds: &Server, expected: &str, wrong: impl Fn(&Response) -> Option<String>) -> Judged {
    for response in of_all_kinds(imds).await? {
        if let Some(seen) = wrong(&response) {
            let Response { asked, status, .. } = &response;
            return expect(false, expected, format!("{asked} ({status}): {seen}"));
        }
    }
    Ok(())
}

async fn version(imds: &Server) -> Judged {
    let first = imds.put("60").await?.version;
    expect(
        first == "HTTP/1.1" || first == "HTTP/1.0",
        "HTTP/1.1 or HTTP/1.0",
        &*first,
    )?;
    all(imds, &first, |response| {
        (response.version != first).then(|| response.version.clone())
    })
    .await
}

async fn closes(imds: &Server) -> Judged {
    // The request does not ask to close the connection.
    let request = Request::get(INSTANCE_ID).keeping();
    imds.ask(request).await?.has_header("Connection", "close")
}

async fn server(imds: &Server) -> Judged {
    all(imds, "Server: EC2ws", |response| {
        match response.header("server") {
            Some("EC2ws") => None,
            other => Some(other.unwrap_or("no such header").to_owned()),
        }
    })
    .await
}

async fn date(imds: &Server) -> Judged {
    all(imds, "a Date like this machine's", |response| {
        let seen = response.header("date").unwrap_or("no such header");
        let off = moment(seen).map(|date| (Utc::now() - date).abs());
        match off {
            Some(off) if off < TimeDelta::minutes(5) => None,
            _ => Some(seen.to_owned()),
        }
    })
    .await
}

async fn length(imds: &Server) -> Judged {
    all(imds, "a Content-Length", |response| {
        let missing = response.header("content-length").is_none();
        missing.then(|| "no such header".to_owned())
    })
    .await
}

async fn right_length(imds: &Server) -> Judged {
    all(imds, "a body as long as its Content-Length", |response| {
        let told = response.header("content-length")?;
        let came = response.body.len();
        (told != came.to_string()).then(|| format!("Content-Length: {told}, and {came} bytes"))
    })
    .await
}

async fn once(imds: &Server) -> Judged {
    all(imds, "no duplicate headers", |response| {
        let names = response
            .headers
            .iter()
            .map(|(name, _)| name.to_ascii_lowercase());
        let mut names: Vec<String> = names.collect();
        names.sort_unstable();
        let mut pairs = names.iter().zip(names.iter().skip(1));
        pairs
            .find(|(one, next)| one == next)
            .map(|(name, _)| format!("{name} twice"))
    })
    .await
}

async fn plain_text(imds: &Server) -> Judged {
    for path in [
        INSTANCE_ID,
        "/latest/meta-data/",
        "/latest/meta-data/iam/info",
        "/latest/dynamic/instance-identity/document",
    ] {
        let response = imds.get(path).await?;
        if response.status == 200 {
            response.has_type("text/plain")?;
        }
    }
    Ok(())
}

async fn last_modified(imds: &Server) -> Judged {
    const NAME: &str = "last-modified";
    let first = imds.if_there(INSTANCE_ID).await?;
    let seen = first.header(NAME).unwrap_or("no such header");
    let modified = moment(seen);
    expect(
        modified.is_some_and(|modified| modified <= Utc::now() + TimeDelta::minutes(5)),
        "a Last-Modified in the past",
        seen,
    )?;
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let second = imds.if_there(INSTANCE_ID).await?;
    expect(
        second.header(NAME) == Some(seen),
        format!("Last-Modified: {seen}, as one second earlier"),
        second.header(NAME).unwrap_or("no such header"),
    )
}

async fn accept_ranges(imds: &Server) -> Judged {
    let response = imds.if_there(INSTANCE_ID).await?;
    let seen = response.header("accept-ranges");
    expect(
        matches!(seen, Some("none" | "bytes")),
        "Accept-Ranges: none, or bytes",
        seen.unwrap_or("no such header"),
    )
}

const NITRO: [&str; 8] = [
    TTL,
    "Content-Type",
    "Accept-Ranges",
    "Last-Modified",
    "Content-Length",
    "Date",
    "Server",
    "Connection",
];
const XEN: [&str; 8] = [
    "Accept-Ranges",
    "Content-Length",
    "Content-Type",
    "Date",
    "Last-Modified",
    TTL,
    "Connection",
    "Server",
];

async fn order(imds: &Server) -> Judged {
    let response = imds.if_there(INSTANCE_ID).await?;
    let seen: Vec<&str> = response
        .headers
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    let with_token = imds.session().await.is_some();
    let follows = |dialect: [&str; 8]| {
        let expected = dialect
            .into_iter()
            .filter(|name| with_token || *name != TTL);
        expected
            .map(str::to_ascii_lowercase)
            .eq(seen.iter().map(|name| name.to_ascii_lowercase()))
    };
    expect(
        follows(NITRO) || follows(XEN),
        NITRO.join(", "),
        seen.join(", "),
    )
}

/// The AWS SDK for Go abandons an attempt after this time.
const SOON: Duration = Duration::from_millis(500);

async fn soon(imds: &Server) -> Judged {
    let mut late = Vec::new();
    // Three times, because this machine may delay one of them.
    for _ in 0..3 {
        let responses = [
            imds.put("60").await?,
            imds.get(&format!("{META_DATA}/")).await?,
            imds.get("/latest/meta-data/iam/security-credentials/")
                .await?,
            imds.get("/latest/dynamic/instance-identity/document")
                .await?,
        ];
        late.extend(
            responses
                .into_iter()
                .filter(|response| response.took >= SOON),
        );
    }
    match late.as_slice() {
        [] | [_] => Ok(()),
        [first, ..] => expect(
            false,
            format!("a response to {} within {SOON:?}", first.asked),
            format!("a response after {:.0?}", first.took),
        ),
    }
}

async fn many_at_once(imds: &Server) -> Judged {
    imds.token("60").await?;
    let clients = (0..16).map(async |_| {
        let token = imds.token("60").await?;
        imds.with_token(INSTANCE_ID, &token).await
    });
    for response in try_join_all(clients).await? {
        if response.status == 401 {
            return not_applicable("valid tokens are rejected");
        }
        response.has_status(200)?;
    }
    Ok(())
}

/// A date in the format of HTTP.
pub(super) fn moment(text: &str) -> Option<DateTime<Utc>> {
    let moment = DateTime::parse_from_rfc2822(text).ok()?;
    text.ends_with(" GMT").then(|| moment.to_utc())
}
