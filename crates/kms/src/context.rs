//! The encryption context that ties a data key to what it may open.
//!
//! KMS binds it into the wrapped key, writes it to CloudTrail in the clear, and lets key policies ask for it
//! (`kms:EncryptionContext:cloister:model`, and so on).

use std::collections::BTreeMap;

use crate::limits::IMAGE_NAME_BYTES;

/// What the key is for: [`PURPOSE_MODEL`] or [`PURPOSE_IMAGE`].
pub const PURPOSE: &str = "cloister:purpose";
/// The purpose of a key that seals a model package.
pub const PURPOSE_MODEL: &str = "model";
/// The purpose of a key that seals an image, and the results of that image.
pub const PURPOSE_IMAGE: &str = "image";
/// The image's view, such as L-CC.
pub const VIEW: &str = "cloister:view";
/// The image's random name, in lower-case hex: it says nothing of the image, and its results carry it too.
pub const IMAGE: &str = "cloister:image";
/// The model's name.
pub const MODEL: &str = "cloister:model";
/// The model's version, in decimal.
pub const VERSION: &str = "cloister:version";
/// The model package's digest, SHA-384 in lower-case hex.
pub const DIGEST: &str = "cloister:digest";

/// The context for one model package; `digest` in lower-case hex.
pub fn for_model(name: &str, version: u32, digest: &str) -> BTreeMap<String, String> {
    let version = version.to_string();
    map([(PURPOSE, PURPOSE_MODEL), (MODEL, name), (VERSION, &version), (DIGEST, digest)])
}

/// The context for one image and its results. Nothing of the image or its patient is in it, for CloudTrail keeps it in the clear; not even a
/// digest, by which whoever has the image could find it there. `name` is random.
pub fn for_image(view: &str, name: &ImageName) -> BTreeMap<String, String> {
    map([(PURPOSE, PURPOSE_IMAGE), (VIEW, view), (IMAGE, &name.0)])
}

/// An image's random name: 128 bits in lower-case hex.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageName(String);

impl ImageName {
    /// A fresh name; none when the system gives no random bytes.
    pub fn random() -> Option<Self> {
        let mut bytes = [0; IMAGE_NAME_BYTES];
        aws_lc_rs::rand::fill(&mut bytes).ok()?;
        Some(Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }
}

/// The view in a context that is [`for_image`]'s in every entry, and in none more.
pub fn view_of_image(context: &BTreeMap<String, String>) -> Option<&str> {
    let (view, name) = (context.get(VIEW)?, context.get(IMAGE)?);
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let named = name.len() == 2 * IMAGE_NAME_BYTES && name.bytes().all(hex);
    (named && *context == for_image(view, &ImageName(name.clone()))).then_some(view)
}

fn map<const N: usize>(entries: [(&str, &str); N]) -> BTreeMap<String, String> {
    entries.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_s_context_gives_its_view_and_no_other_context_does() {
        let name = ImageName::random().unwrap();
        let context = for_image("L-CC", &name);
        assert_eq!(view_of_image(&context), Some("L-CC"));
        assert_ne!(context, for_image("L-CC", &ImageName::random().unwrap()), "names are random");
        assert_eq!(view_of_image(&for_model("screening", 1, "00")), None);
        for (key, value) in
            [(PURPOSE, "model"), (IMAGE, "00"), (IMAGE, "PATIENT-NAME-OF-32-CHARACTERS-00"), ("more", "")]
        {
            let mut other = context.clone();
            other.insert(key.to_owned(), value.to_owned());
            assert_eq!(view_of_image(&other), None, "{key}: {value}");
        }
        for key in [PURPOSE, VIEW, IMAGE] {
            let mut other = context.clone();
            other.remove(key);
            assert_eq!(view_of_image(&other), None, "without {key}");
        }
    }
}
