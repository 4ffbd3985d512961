//! Full key ARNs, the only names of keys that are accepted.

use crate::error::{Error, Result};

const ACCOUNT_DIGITS: usize = 12;

/// The region in a full key ARN, `arn:aws:kms:REGION:ACCOUNT:key/ID`.
///
/// An alias could be pointed at another key, and a bare id means another key in another account: neither can be pinned.
///
/// # Errors
/// [`Error::KeyArn`] for anything else, aliases and bare ids included.
pub fn region_of(key_arn: &str) -> Result<&str> {
    let parts: Vec<&str> = key_arn.split(':').collect();
    let refused = || Error::KeyArn(key_arn.to_owned());
    let [_, partition, _, region, account, resource] = parts[..] else { return Err(refused()) };
    let plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let is_account = account.len() == ACCOUNT_DIGITS && account.bytes().all(|byte| byte.is_ascii_digit());
    let is_kms = parts.first() == Some(&"arn") && parts.get(2) == Some(&"kms");
    if is_kms && plain(partition) && plain(region) && is_account && resource.strip_prefix("key/").is_some_and(plain) {
        Ok(region)
    } else {
        Err(refused())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_key_arn_names_its_region() {
        let id = "1234abcd-12ab-34cd-56ef-1234567890ab";
        assert_eq!(region_of(&format!("arn:aws:kms:eu-west-3:111122223333:key/{id}")).unwrap(), "eu-west-3");
        assert_eq!(region_of("arn:aws-cn:kms:cn-north-1:111122223333:key/mrk-12").unwrap(), "cn-north-1");
    }

    #[test]
    fn an_alias_a_bare_id_and_anything_else_is_refused() {
        for name in [
            "",
            "alias/model",
            "1234abcd-12ab-34cd-56ef-1234567890ab",
            "arn:aws:kms:us-east-1:111122223333:alias/model",
            "arn:aws:kms:us-east-1:111122223333:key/",
            "arn:aws:kms:us-east-1:111122223333:key/a/b",
            "arn:aws:kms:us-east-1:11112222333:key/a",
            "arn:aws:kms:us-east-1:11112222333x:key/a",
            "arn:aws:kms::111122223333:key/a",
            "arn:aws:s3:us-east-1:111122223333:key/a",
            "urn:aws:kms:us-east-1:111122223333:key/a",
            "arn:aws:kms:us-east-1:111122223333:key/a:b",
            "arn:aws:kms:us-east-1:111122223333:key/a ",
        ] {
            assert!(matches!(region_of(name), Err(Error::KeyArn(refused)) if refused == name), "{name}");
        }
    }
}
