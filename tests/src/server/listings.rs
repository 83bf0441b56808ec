//! Listings: their format, and that they match what exists.

use futures_util::FutureExt as _;
use imds_emulator::{LEAVES, Leaf};

use crate::scenario::Weight::{May, Must, Should};

use super::{Check, Judged, META_DATA, NotPassed, Response, Server, expect, not_applicable};

const TREE: &str = "/latest/meta-data/";
const PLACEMENT: &str = "/latest/meta-data/placement/";

pub(super) fn checks() -> Vec<Check> {
    vec![
        Check::new(
            "listing/names",
            Must,
            "meta-data/ lists one name per line",
            &["I30"],
            |imds| names(imds).boxed(),
        ),
        Check::new(
            "listing/no-newline",
            Should,
            "No newline follows the last name of a listing",
            &["I30"],
            |imds| no_newline(imds).boxed(),
        ),
        Check::new(
            "listing/folders",
            Must,
            "Names of folders end with a slash",
            &["I30"],
            |imds| folders(imds).boxed(),
        ),
        Check::new(
            "listing/without-slash",
            Must,
            "A folder without its trailing slash returns the listing or a redirect to it",
            &["I31", "clients: some ask with a slash, some without"],
            |imds| without_slash(imds).boxed(),
        ),
        Check::new(
            "listing/alphabetical",
            May,
            "Names are in alphabetical order",
            &["I39"],
            |imds| in_order(imds).boxed(),
        )
        .formerly(&["listing/in-order"]),
        Check::new(
            "listing/no-duplicates",
            Should,
            "No name is listed twice",
            &["I30"],
            |imds| no_name_twice(imds).boxed(),
        )
        .formerly(&["listing/no-name-twice"]),
        Check::new(
            "listing/every-name-readable",
            Must,
            "Every listed name can be read, at every depth",
            &["I30", "I35"],
            |imds| can_be_read(imds).boxed(),
        )
        .formerly(&["listing/can-be-read"]),
        Check::new(
            "listing/categories",
            Should,
            "The categories that every instance has are listed",
            &["I40"],
            |imds| categories(imds).boxed(),
        ),
        Check::new(
            "listing/identity-folder",
            May,
            "The folder of the identity document has its names in alphabetical order, or in an order that AWS's guide shows",
            &["I39"],
            |imds| identity_folder(imds).boxed(),
        ),
        Check::new(
            "listing/public-keys",
            Should,
            "Public keys are listed as NUMBER=NAME, and each key ends with its name",
            &["I37"],
            |imds| public_keys(imds).boxed(),
        ),
        Check::new(
            "listing/public-key-newline",
            May,
            "A newline follows a public key",
            &["I37"],
            |imds| public_key_newline(imds).boxed(),
        ),
    ]
}

async fn names(imds: &Server) -> Judged {
    let response = imds.get(TREE).await?;
    response.has_status(200)?;
    let text = response.text();
    let fit = |name: &str| {
        !name.trim_end_matches('/').is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic())
    };
    // The check listing/no-newline covers a newline after the last name.
    let lines: Vec<&str> = text
        .strip_suffix('\n')
        .unwrap_or(&text)
        .split('\n')
        .collect();
    let odd = lines.iter().find(|name| !fit(name));
    expect(
        odd.is_none(),
        "names of visible ASCII, one per line",
        format!("the line {:?}", odd.unwrap_or(&"")),
    )?;
    expect(
        lines.contains(&"instance-id"),
        "instance-id in the listing",
        response.told(),
    )
}

async fn no_newline(imds: &Server) -> Judged {
    for path in [TREE, PLACEMENT, "/latest/", "/"] {
        let response = imds.get(path).await?;
        if response.status == 200 {
            expect(
                response.body.last() != Some(&b'\n'),
                format!("no newline at the end of {path}"),
                response.told(),
            )?;
        }
    }
    Ok(())
}

async fn folders(imds: &Server) -> Judged {
    let listing = imds.if_there(TREE).await?.lines();
    let is_folder = |name: &str| {
        LEAVES.iter().any(|leaf| {
            let path = leaf.path();
            let below = path.strip_prefix("meta-data/");
            let below = below.and_then(|path| path.strip_prefix(name));
            below.is_some_and(|rest| rest.starts_with('/'))
        })
    };
    let bare = listing.iter().find(|name| is_folder(name));
    expect(
        bare.is_none(),
        "folder names with a trailing slash",
        bare.map_or("", String::as_str),
    )?;
    expect(
        listing.iter().any(|name| name == "placement/"),
        "placement/ in the listing",
        listing.join(", "),
    )
}

async fn without_slash(imds: &Server) -> Judged {
    for folder in [META_DATA, "/latest/meta-data/placement"] {
        let with = imds.if_there(&format!("{folder}/")).await?;
        same_or_redirect(&with, &imds.get(folder).await?, folder)?;
    }
    Ok(())
}

/// Nitro returns the listing, and Xen redirects to it.
pub(super) fn same_or_redirect(with: &Response, without: &Response, folder: &str) -> Judged {
    if without.status != 301 {
        return without.has_body_of(with);
    }
    let location = without.header("location").unwrap_or_default();
    expect(
        location.starts_with("http://") && location.ends_with(&format!("{folder}/")),
        format!("the listing, or a redirect to http://…{folder}/"),
        format!("{}, Location: {location}", without.told()),
    )
}

async fn in_order(imds: &Server) -> Judged {
    for path in [TREE, PLACEMENT] {
        let listing = imds.if_there(path).await?.lines();
        let names: Vec<&str> = listing
            .iter()
            .map(|name| name.trim_end_matches('/'))
            .collect();
        expect(
            names.is_sorted(),
            format!("{path} in alphabetical order"),
            names.join(", "),
        )?;
    }
    Ok(())
}

async fn no_name_twice(imds: &Server) -> Judged {
    let listing = imds.if_there(TREE).await?.lines();
    let mut names: Vec<&str> = listing
        .iter()
        .map(|name| name.trim_end_matches('/'))
        .collect();
    names.sort_unstable();
    let mut pairs = names.iter().zip(names.iter().skip(1));
    let twice = pairs.find(|(one, next)| one == next).map(|(name, _)| *name);
    expect(
        twice.is_none(),
        "each name once",
        format!("{twice:?} twice"),
    )
}

async fn can_be_read(imds: &Server) -> Judged {
    imds.if_there(TREE).await?;
    // The limit on requests, because a tree may be endless.
    let mut left = 600_usize;
    let mut folders = vec![TREE.to_owned(), "/latest/dynamic/".to_owned()];
    while let Some(folder) = folders.pop() {
        let listing = imds.get(&folder).await?;
        listed(&listing)?;
        for name in listing.lines() {
            // [I37]
            let name = match name.split_once('=') {
                Some((number, _)) if folder.ends_with("/public-keys/") => format!("{number}/"),
                _ => name,
            };
            left = left.saturating_sub(1);
            if left == 0 {
                return Ok(());
            }
            let path = format!("{folder}{}", escaped(&name));
            match name.ends_with('/') {
                true => folders.push(path),
                false => listed(&imds.get(&path).await?)?,
            }
        }
    }
    Ok(())
}

fn listed(response: &Response) -> Judged {
    expect(
        response.status == 200,
        format!("{}: 200, because it is listed", response.asked),
        response.told(),
    )
}

/// Percent-encodes a name: tag keys may contain characters that paths must not.
pub(super) fn escaped(name: &str) -> String {
    let mut path = String::new();
    for byte in name.bytes() {
        match byte {
            b'%' | b'?' | b'#' | b' ' | 0x7f.. | ..0x20 => path.push_str(&format!("%{byte:02X}")),
            _ => path.push(byte.into()),
        }
    }
    path
}

async fn categories(imds: &Server) -> Judged {
    let response = imds.if_there(TREE).await?;
    let listing = response.lines();
    let listed = |name: &str| {
        let mut names = listing.iter().map(|name| name.trim_end_matches('/'));
        names.any(|listed| listed == name)
    };
    for name in LEAVES
        .iter()
        .filter(|leaf| leaf.is_on_every_instance())
        .filter_map(category)
    {
        expect(
            listed(&name),
            format!("{name} in the listing"),
            listing.join(", "),
        )?;
    }
    Ok(())
}

/// The name of a leaf in `meta-data/`, or that of its folder.
fn category(leaf: &Leaf) -> Option<String> {
    let path = leaf.path();
    let name = path.strip_prefix("meta-data/")?.split('/').next()?;
    Some(name.to_owned())
}

async fn identity_folder(imds: &Server) -> Judged {
    // What instances list, and the two examples of the EC2 User Guide. Not every instance has
    // dsa2048.
    const ORDERS: [&[&str]; 5] = [
        &["document", "pkcs7", "rsa2048", "signature"],
        &["document", "dsa2048", "pkcs7", "rsa2048", "signature"],
        &["rsa2048", "pkcs7", "document", "signature", "dsa2048"],
        &["rsa2048", "pkcs7", "document", "signature"],
        &["document", "rsa2048", "pkcs7", "signature"],
    ];
    let response = imds.if_there("/latest/dynamic/instance-identity/").await?;
    let names = response.lines();
    expect(
        ORDERS.iter().any(|order| names == *order),
        ORDERS.map(|order| order.join(", ")).join("; or "),
        names.join(", "),
    )
}

/// The path of the first public key.
async fn first_public_key(imds: &Server) -> Result<String, NotPassed> {
    let folder = format!("{TREE}public-keys/");
    let keys = imds.if_there(&folder).await?.lines();
    match keys.first().and_then(|line| line.split_once('=')) {
        Some((number, _)) => Ok(format!("{folder}{}/openssh-key", escaped(number))),
        None => not_applicable("no key is listed as NUMBER=NAME"),
    }
}

async fn public_key_newline(imds: &Server) -> Judged {
    let response = imds.if_there(&first_public_key(imds).await?).await?;
    expect(
        response.body.ends_with(b"\n"),
        "a newline at the end of the key",
        "none",
    )
}

async fn public_keys(imds: &Server) -> Judged {
    let folder = format!("{TREE}public-keys/");
    let keys: Result<Response, NotPassed> = imds.if_there(&folder).await;
    for line in keys?.lines() {
        let Some((number, name)) = line.split_once('=') else {
            return expect(false, "NUMBER=NAME", line);
        };
        let key = imds
            .value(&format!("{folder}{}/openssh-key", escaped(number)))
            .await?;
        expect(
            key.trim_end().ends_with(name),
            format!("a key that ends with {name:?}"),
            "a different ending",
        )?;
    }
    Ok(())
}
