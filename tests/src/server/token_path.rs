//! Requests of the token path.

use futures_util::FutureExt as _;

use crate::scenario::Weight::{May, Must, Should};

use super::wire::{Request, Response};
use super::{
    Check, INSTANCE_ID, Judged, NotPassed, Server, TOKEN, TOKEN_PATH, TTL, expect, not_applicable,
    token_of,
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
            "token/form",
            May,
            "A token has the length, the beginning and the end of those of Nitro or of Xen",
            &["I11"],
            |imds| form(imds).boxed(),
        ),
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
            "token/expect-continue",
            May,
            "A PUT with Expect: 100-continue returns a token, or is rejected with 417 and a page",
            &["I61", "clients: s3fs has sent this header"],
            |imds| expect_continue(imds).boxed(),
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
            "A TTL of 0 seconds returns a token that has expired, or is rejected with 400",
            &["I10", "I12"],
            |imds| ttl_zero(imds).boxed(),
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
            "token/400-body",
            May,
            "A 400 to a PUT has no body, or a page titled `400 - Bad Request`",
            &["I12"],
            |imds| bad_request_body(imds).boxed(),
        ),
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
            "A PUT to the token path with a slash at its end returns a token",
            &["I10", "clients: aiodynamo asks so"],
            |imds| trailing_slash(imds).boxed(),
        ),
        Check::new(
            "token/before-method",
            May,
            "If tokens are required, other methods without a token are rejected with 401",
            &["I7", "I13"],
            |imds| before_method(imds).boxed(),
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
    ]
}

async fn put(imds: &Server) -> Judged {
    let response = imds.put("60").await?;
    response.has_status(200)?;
    expect(
        !response.body.trim_ascii().is_empty(),
        "a token as the body",
        response.told(),
    )
}

/// A response with a token. The first check verifies that there is one.
async fn given(imds: &Server, ttl: &str) -> Result<Response, NotPassed> {
    let response = imds.put(ttl).await?;
    match response.status {
        200 => Ok(response),
        _ => not_applicable("the server issues no token"),
    }
}

async fn ttl_header(imds: &Server) -> Judged {
    given(imds, "61").await?.has_header(TTL, "61")
}

async fn legal(imds: &Server) -> Judged {
    let response = given(imds, "60").await?;
    let odd = response.body.iter().find(|byte| !byte.is_ascii_graphic());
    let seen = odd.map(|byte| {
        format!(
            "byte {byte:#04x} in a token of {} bytes",
            response.body.len()
        )
    });
    expect(
        odd.is_none(),
        "only visible ASCII",
        seen.unwrap_or_default(),
    )
}

async fn form(imds: &Server) -> Judged {
    let response = given(imds, "62").await?;
    // Xen answers in HTTP/1.0 [I2].
    let begin = match response.version.as_str() {
        "HTTP/1.0" => "AQAAA",
        _ => "AQAEA",
    };
    let token = response.text();
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let fit = token.strip_suffix("==").is_some_and(|text| {
        text.len() == 54 && text.starts_with(begin) && text.bytes().all(is_base64)
    });
    expect(
        fit,
        format!(
            "56 characters of URL-safe base64 that begin with {begin} and end with ==, in {}",
            response.version
        ),
        format!("a token of {} bytes in another form", response.body.len()),
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

/// Reports do not say which instances reject the header.
async fn expect_continue(imds: &Server) -> Judged {
    given(imds, "60").await?;
    let request = Request::new("PUT", TOKEN_PATH)
        .with(TTL, "60")
        .with("Expect", "100-continue");
    let response = imds.send(request).await?;
    response.has_status_of(&[200, 417])?;
    let page = "<title>417 - Expectation Failed</title>";
    match response.status {
        200 => expect(
            token_of(&response).is_some(),
            "a token as the body",
            response.told(),
        ),
        _ => expect(
            response.text().contains(page),
            "a page titled 417 - Expectation Failed",
            response.told(),
        ),
    }
}

async fn names_of_headers(imds: &Server) -> Judged {
    given(imds, "60").await?;
    for turned in [str::to_ascii_lowercase, str::to_ascii_uppercase] {
        let (ttl, token) = (turned(TTL), turned(TOKEN));
        let put = Request::new("PUT", TOKEN_PATH).with(&ttl, "60");
        let response = imds.send(put).await?;
        response.has_status(200)?;
        let good = token_of(&response).unwrap_or_default();
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
    let response = imds.put(ttl).await?;
    expect(
        response.status == 400,
        format!("400 to a PUT with {TTL}: {ttl}"),
        response.told(),
    )
}

/// AWS documents a TTL of at least 1, and issues a token all the same.
async fn ttl_zero(imds: &Server) -> Judged {
    given(imds, "60").await?;
    let response = imds.put("0").await?;
    response.has_status_of(&[200, 400])?;
    let Some(token) = token_of(&response) else {
        return expect(
            response.status == 400,
            "a token as the body",
            response.told(),
        );
    };
    imds.with_token(INSTANCE_ID, &token).await?.has_status(401)
}

async fn put_without_ttl(imds: &Server) -> Result<Response, NotPassed> {
    given(imds, "60").await?;
    imds.send(Request::new("PUT", TOKEN_PATH)).await
}

async fn no_ttl(imds: &Server) -> Judged {
    let response = put_without_ttl(imds).await?;
    expect(
        response.status == 400,
        format!("400 to a PUT without {TTL}"),
        response.told(),
    )
}

async fn bad_request_body(imds: &Server) -> Judged {
    let response = put_without_ttl(imds).await?;
    if response.status != 400 {
        return not_applicable("a PUT without a TTL is not rejected with 400");
    }
    empty_or_page(&response, "400 - Bad Request")
}

const DATED_PATH: &str = "/2021-03-23/api/token";

async fn dated_path(imds: &Server) -> Judged {
    given(imds, "60").await?;
    let put = Request::new("PUT", DATED_PATH).with(TTL, "60");
    imds.ask(put).await?.has_status(403)
}

async fn before_method(imds: &Server) -> Judged {
    given(imds, "60").await?;
    if imds.without_token(INSTANCE_ID).await?.status != 401 {
        return not_applicable("tokens are optional");
    }
    for (method, path) in [("PUT", DATED_PATH), ("POST", INSTANCE_ID)] {
        let request = Request::new(method, path).with(TTL, "60");
        imds.send(request).await?.has_status(401)?;
    }
    Ok(())
}

async fn trailing_slash(imds: &Server) -> Judged {
    given(imds, "60").await?;
    let put = Request::new("PUT", "/latest/api/token/").with(TTL, "60");
    let response = imds.send(put).await?;
    response.has_status(200)?;
    let token = token_of(&response).unwrap_or_default();
    imds.with_token(INSTANCE_ID, &token).await?.has_status(200)
}

/// The response to a PUT that came through a proxy.
async fn put_forwarded(imds: &Server) -> Result<Response, NotPassed> {
    given(imds, "60").await?;
    let request = Request::new("PUT", TOKEN_PATH)
        .with(TTL, "60")
        .with("X-Forwarded-For", "203.0.113.5");
    imds.send(request).await
}

/// Nitro sends no body, and Xen a page.
async fn forbidden_body(imds: &Server) -> Judged {
    let response = put_forwarded(imds).await?;
    if response.status != 403 {
        return not_applicable("a PUT with X-Forwarded-For is not rejected with 403");
    }
    empty_or_page(&response, "403 - Forbidden")
}

/// How Nitro and Xen reject a PUT.
fn empty_or_page(response: &Response, title: &str) -> Judged {
    if response.body.is_empty() {
        return response.has_type("text/plain");
    }
    response.has_type("text/html")?;
    expect(
        response.text().contains(&format!("<title>{title}</title>")),
        format!("no body, or a page titled {title}"),
        response.told(),
    )
}

async fn forwarded(imds: &Server) -> Judged {
    let response = put_forwarded(imds).await?;
    expect(
        response.status == 403,
        "403 to a PUT with X-Forwarded-For",
        response.told(),
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
    let response = imds.ask(Request::get(TOKEN_PATH)).await?;
    if response.status != 405 {
        return not_applicable("a GET of the token path is not 405");
    }
    response.allows(&["OPTIONS", "PUT"])?;
    expect(
        response.reason == "Not Allowed" && response.body.is_empty(),
        "405 Not Allowed, and no body",
        response.told(),
    )
}

async fn options(imds: &Server) -> Judged {
    let response = imds.ask(Request::new("OPTIONS", TOKEN_PATH)).await?;
    response.has_status(200)?;
    response.allows(&["OPTIONS", "PUT"])?;
    expect(response.body.is_empty(), "no body", response.told())
}

async fn put_elsewhere(imds: &Server) -> Judged {
    for path in [
        INSTANCE_ID,
        "/latest/meta-data/",
        "/latest/api/",
        "/api/token",
    ] {
        let response = imds.ask(Request::new("PUT", path).with(TTL, "60")).await?;
        expect(
            (400..500).contains(&response.status),
            format!("PUT {path}: 403, or another 4xx status"),
            response.told(),
        )?;
    }
    Ok(())
}
