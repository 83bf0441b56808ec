//! Messages that repeat what a user wrote.

/// A message without the user information of URLs, which may hold a password. A URL may be in the
/// wrong argument, variable or file, so every message about these is printed like this.
///
/// ```
/// let message = "cannot run http://user:password@host/x: no such file";
/// let shown = imds_child_process::without_passwords(message);
/// assert_eq!(shown, "cannot run http://..@host/x: no such file");
/// ```
pub fn without_passwords(text: &str) -> String {
    let lines: Vec<String> = text.split('\n').map(without_password).collect();
    lines.join("\n")
}

/// A password may contain any character but the end of the line, so everything between the first
/// `://` and the last `@` is left out.
fn without_password(line: &str) -> String {
    let Some((scheme, rest)) = line.split_once("://") else {
        return line.to_owned();
    };
    match rest.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://..@{host}"),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::without_passwords;

    #[test]
    fn no_password_is_left_wherever_it_is() {
        for (text, shown) in [
            ("", ""),
            ("a@b: no URL", "a@b: no URL"),
            ("http://host/x", "http://host/x"),
            ("http://user@host/x", "http://..@host/x"),
            (
                "x 'http://u:p/ w'\"@h:80/' y\nz",
                "x 'http://..@h:80/' y\nz",
            ),
            ("http://u:p@w@h\nftp://v:q@i", "http://..@h\nftp://..@i"),
            ("KEY=http://u:p@h", "KEY=http://..@h"),
        ] {
            assert_eq!(without_passwords(text), shown);
        }
    }
}
