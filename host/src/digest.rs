//! SHA-256 in hexadecimal, which names files by their content.

use sha2::{Digest as _, Sha256};

/// The SHA-256 of `content`, in lower case.
pub(crate) fn sha256_hex(content: &[u8]) -> String {
    base16ct::lower::encode_string(&Sha256::digest(content))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_the_one_of_sha256sum() {
        assert_eq!(
            sha256_hex(b"abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
