//! Values, versions, and how paths are written.

use futures_util::FutureExt as _;

use crate::scenario::Weight::{May, Must, Should};

use super::wire::{Request, Response};
use super::{
    Check, INSTANCE_ID, Judged, META_DATA, NO_SUCH, NotPassed, Server, expect, not_applicable,
};

pub(super) fn checks() -> Vec<Check> {
    vec![
        Check::new(
            "path/value",
            Must,
            "instance-id has a value",
            &["I40"],
            |imds| value(imds).boxed(),
        ),
        Check::new(
            "path/no-newline",
            Must,
            "No newline follows a value",
            &["I30"],
            |imds| no_newline(imds).boxed(),
        ),
        Check::new(
            "path/value-trailing-slash",
            Must,
            "A value can be read with a trailing slash, too",
            &["I32", "clients: some ask with a slash, some without"],
            |imds| written(imds, "/latest/meta-data/instance-id/").boxed(),
        )
        .formerly(&["path/value-with-slash"]),
        Check::new(
            "path/below-value",
            Should,
            "A path below a value is 404",
            &["I32"],
            |imds| missing(imds, &["/latest/meta-data/instance-id/below"]).boxed(),
        ),
        Check::new(
            "path/missing",
            Must,
            "A missing path is 404",
            &["I33"],
            |imds| {
                missing(
                    imds,
                    &[NO_SUCH, "/latest/no-such-thing", "/latest/dynamic/no/such"],
                )
                .boxed()
            },
        ),
        Check::new(
            "path/404-page",
            May,
            "A 404 is an HTML page titled `404 - Not Found`",
            &["I33"],
            |imds| missing_page(imds).boxed(),
        )
        .formerly(&["path/missing-page"]),
        Check::new(
            "path/404-page-bytes",
            May,
            "The page of a 404 has the bytes of Nitro's or of Xen's",
            &["I33"],
            |imds| missing_page_bytes(imds).boxed(),
        ),
        Check::new(
            "path/partial-name",
            Should,
            "A part of a name is 404",
            &["I33"],
            |imds| {
                missing(
                    imds,
                    &["/latest/meta-data/instance-i", "/latest/meta-data/i"],
                )
                .boxed()
            },
        )
        .formerly(&["path/part-of-a-name"]),
        Check::new(
            "path/case",
            Should,
            "Names are case-sensitive: another case is 404",
            &["I33"],
            |imds| {
                missing(
                    imds,
                    &["/latest/meta-data/Instance-Id", "/latest/META-DATA/"],
                )
                .boxed()
            },
        ),
        Check::new(
            "path/repeated-slashes",
            Must,
            "Repeated slashes count as one, without a redirect",
            &["I9", "clients: the SDK for JavaScript asks so"],
            |imds| repeated_slashes(imds).boxed(),
        ),
        Check::new(
            "path/dot-segment",
            May,
            "A segment `.` changes nothing",
            &["I9"],
            |imds| written(imds, "/latest/meta-data/./instance-id").boxed(),
        ),
        Check::new(
            "path/percent-escapes",
            Should,
            "Percent escapes are decoded",
            &["I9"],
            |imds| written(imds, "/latest/meta%2Ddata/instance%2did").boxed(),
        ),
        Check::new(
            "path/query",
            Should,
            "A query is ignored",
            &["I9"],
            |imds| written(imds, "/latest/meta-data/instance-id?recursive=true").boxed(),
        )
        .formerly(&["path/queries"]),
        Check::new(
            "path/head",
            Should,
            "HEAD returns the status and the Content-Type of GET, and no body",
            &["I7"],
            |imds| head(imds).boxed(),
        ),
        Check::new(
            "path/read-only",
            Should,
            "Metadata is read-only: POST and DELETE are rejected with 403",
            &["I7"],
            |imds| read_only(imds).boxed(),
        ),
        Check::new(
            "path/options",
            May,
            "OPTIONS of metadata returns 200, allows OPTIONS, GET and HEAD, and has no body",
            &["I7"],
            |imds| options(imds).boxed(),
        ),
        Check::new(
            "version/listed",
            Should,
            "/ lists dated versions, and latest at the end",
            &["I27"],
            |imds| listed(imds).boxed(),
        ),
        Check::new(
            "version/oldest-first",
            May,
            "/ lists 1.0 first, and dated versions in ascending order",
            &["I27"],
            |imds| oldest_first(imds).boxed(),
        ),
        Check::new(
            "version/each",
            Must,
            "Every listed version has instance-id",
            &["I27", "I28"],
            |imds| each(imds).boxed(),
        ),
        Check::new(
            "version/cloud-init",
            Must,
            "The versions that cloud-init requests exist, or at least 2009-04-04",
            &["I28", "clients: cloud-init reads no other"],
            |imds| cloud_init(imds).boxed(),
        ),
        Check::new(
            "version/unknown",
            Should,
            "An unknown version is 404",
            &["I28", "I33"],
            |imds| missing(imds, &["/2001-02-03/meta-data/instance-id"]).boxed(),
        ),
        Check::new(
            "version/no-later-names",
            May,
            "An old version has no names that were added later",
            &["I28"],
            |imds| as_it_was(imds).boxed(),
        )
        .formerly(&["version/as-it-was"]),
        Check::new(
            "version/first-level",
            Should,
            "A version lists meta-data and dynamic",
            &["I29"],
            |imds| first_level(imds).boxed(),
        ),
        Check::new(
            "version/no-slashes",
            May,
            "The names that a version lists have no slashes",
            &["I29"],
            |imds| no_slashes(imds).boxed(),
        ),
    ]
}

async fn value(imds: &Server) -> Judged {
    let value = imds.value(INSTANCE_ID).await?;
    expect(!value.trim().is_empty(), "a value", "nothing")
}

async fn no_newline(imds: &Server) -> Judged {
    for path in [
        INSTANCE_ID,
        "/latest/meta-data/ami-id",
        "/latest/meta-data/placement/availability-zone",
        "/latest/meta-data/placement/region",
    ] {
        let response = imds.get(path).await?;
        if response.status == 200 {
            let ended = response.body.trim_ascii_end().len() < response.body.len();
            expect(
                !ended,
                "a value without trailing white space",
                response.told(),
            )?;
        }
    }
    Ok(())
}

/// The value that every spelling of its path must return.
async fn instance_id(imds: &Server) -> Result<Response, NotPassed> {
    imds.if_there(INSTANCE_ID).await
}

async fn written(imds: &Server, path: &str) -> Judged {
    let plain = instance_id(imds).await?;
    imds.get(path).await?.has_body_of(&plain)
}

async fn missing(imds: &Server, paths: &[&str]) -> Judged {
    instance_id(imds).await?;
    for path in paths {
        imds.get(path).await?.has_status(404)?;
    }
    Ok(())
}

async fn missing_page(imds: &Server) -> Judged {
    let response = imds.get(NO_SUCH).await?;
    if response.status != 404 {
        return not_applicable("missing paths are not 404");
    }
    response.has_type("text/html")?;
    expect(
        response.text().contains("<title>404 - Not Found</title>"),
        "a page titled 404 - Not Found",
        response.told(),
    )
}

async fn missing_page_bytes(imds: &Server) -> Judged {
    let page = |indent| {
        format!(
            r#"<?xml version="1.0" encoding="iso-8859-1"?>
<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN"
{indent}"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">
<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="en" lang="en">
 <head>
  <title>404 - Not Found</title>
 </head>
 <body>
  <h1>404 - Not Found</h1>
 </body>
</html>
"#
        )
    };
    let response = imds.get(NO_SUCH).await?;
    if response.status != 404 {
        return not_applicable("missing paths are not 404");
    }
    let text = response.text();
    expect(
        ["\t\t ", "\t"]
            .into_iter()
            .any(|indent| text == page(indent)),
        "a page of 339 bytes whose third line begins with two tabs and a space, or one of 337 bytes \
         whose third line begins with one tab",
        format!("a page of {} bytes", text.len()),
    )
}

async fn repeated_slashes(imds: &Server) -> Judged {
    let plain = instance_id(imds).await?;
    for path in [
        "//latest/meta-data/instance-id",
        "/latest//meta-data///instance-id",
    ] {
        imds.get(path).await?.has_body_of(&plain)?;
    }
    Ok(())
}

async fn head(imds: &Server) -> Judged {
    for (path, status) in [(INSTANCE_ID, 200), (NO_SUCH, 404)] {
        let get = imds.get(path).await?;
        if get.status != status {
            continue;
        }
        let head = imds.ask(Request::new("HEAD", path)).await?;
        head.has_status(status)?;
        expect(head.body.is_empty(), "no body", head.told())?;
        let types = [&head, &get].map(|response| response.header("content-type"));
        let [seen, expected] = types.map(|value| value.unwrap_or("no Content-Type"));
        expect(seen == expected, expected, seen)?;
    }
    Ok(())
}

async fn read_only(imds: &Server) -> Judged {
    let before = instance_id(imds).await?;
    for method in ["POST", "DELETE"] {
        let response = imds.ask(Request::new(method, INSTANCE_ID)).await?;
        response.has_status(403)?;
    }
    instance_id(imds).await?.has_body_of(&before)
}

async fn options(imds: &Server) -> Judged {
    instance_id(imds).await?;
    let response = imds.ask(Request::new("OPTIONS", INSTANCE_ID)).await?;
    response.has_status(200)?;
    response.allows(&["GET", "HEAD", "OPTIONS"])?;
    expect(response.body.is_empty(), "no body", response.told())
}

async fn versions(imds: &Server) -> Result<Vec<String>, NotPassed> {
    let mut lines = imds.if_there("/").await?.lines();
    // The check version/listed reports anything else, which may not be a path.
    lines.retain(|version| is_dated(version) || ["1.0", "latest"].contains(&version.as_str()));
    match lines.is_empty() {
        true => not_applicable("/ lists no versions"),
        false => Ok(lines),
    }
}

fn is_dated(version: &str) -> bool {
    version.len() == 10
        && version
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'-')
}

async fn listed(imds: &Server) -> Judged {
    let response = imds.get("/").await?;
    response.has_status(200)?;
    let versions = response.lines();
    let dated = versions.iter().any(|version| is_dated(version));
    let last = versions.last().map(String::as_str);
    expect(
        dated && last == Some("latest"),
        "dated versions, one per line, then latest",
        response.told(),
    )
}

async fn oldest_first(imds: &Server) -> Judged {
    let versions = versions(imds).await?;
    let dated = || versions.iter().filter(|version| is_dated(version));
    if dated().next().is_none() {
        return not_applicable("/ lists no dated versions");
    }
    let first = versions.first().map(String::as_str);
    expect(
        first == Some("1.0") && dated().is_sorted(),
        "1.0, then dated versions in ascending order",
        versions.join(", "),
    )
}

async fn each(imds: &Server) -> Judged {
    const MOST: usize = 60;
    let latest = instance_id(imds).await?;
    let versions = versions(imds).await?;
    for version in versions.iter().take(MOST) {
        let path = format!("/{version}/meta-data/instance-id");
        imds.get(&path).await?.has_body_of(&latest)?;
    }
    Ok(())
}

async fn cloud_init(imds: &Server) -> Judged {
    let latest = instance_id(imds).await?;
    for version in ["2021-03-23", "2018-09-24", "2016-09-02"] {
        let path = format!("/{version}/meta-data/instance-id");
        imds.get(&path).await?.has_status_of(&[200, 404])?;
    }
    let oldest = imds.get("/2009-04-04/meta-data/instance-id").await?;
    oldest.has_body_of(&latest)?;
    let listing = imds.get("/2009-04-04/meta-data/").await?;
    listing.has_status(200)
}

/// Names, and the version in which each was added.
const CAME_LATER: [(&str, &str); 4] = [
    ("mac", "2011-01-01"),
    ("iam/info", "2012-01-12"),
    ("placement/region", "2019-10-01"),
    ("tag-sets/instance", "2025-10-04"),
];

async fn as_it_was(imds: &Server) -> Judged {
    imds.if_there("/2009-04-04/meta-data/").await?;
    for (name, since) in CAME_LATER {
        let path = format!("/2009-04-04/meta-data/{name}");
        let response = imds.get(&path).await?;
        expect(
            response.status == 404,
            format!("GET {path}: 404, because {name} was added in {since}"),
            response.told(),
        )?;
    }
    Ok(())
}

async fn first_level(imds: &Server) -> Judged {
    let response = imds.get("/latest/").await?;
    response.has_status(200)?;
    for name in ["dynamic", "meta-data"] {
        expect(
            imds.lists("/latest/", name).await?,
            format!("{name} in the listing"),
            response.told(),
        )?;
    }
    Ok(())
}

async fn no_slashes(imds: &Server) -> Judged {
    let response = imds.if_there("/latest/").await?;
    let slash = response.lines().into_iter().any(|name| name.ends_with('/'));
    expect(
        !slash,
        format!("names without slashes, unlike in {META_DATA}/"),
        response.told(),
    )
}
