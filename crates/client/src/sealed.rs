//! A sealed image that goes out, and the sealed result that must come back for it. Whoever sends it holds no key, and sees neither.

use cloister_seal::{Header, Purpose, Sealed};

use crate::Error;

/// What sealed images and results are sent as.
pub(crate) const MEDIA_TYPE: &str = "application/vnd.cloister.sealed";

/// The header of a sealed image.
pub(crate) struct SealedImage(Header);

impl SealedImage {
    pub(crate) fn read(file: &[u8]) -> Result<Self, Error> {
        let header = Sealed::read_header(file).map_err(Error::NotSealed)?.header().clone();
        if header.purpose == Purpose::Image { Ok(Self(header)) } else { Err(Error::NotAnImage(header.purpose)) }
    }

    /// Whether a file says that it is a result of this image: under the same data key, which whoever opens it will find out.
    pub(crate) fn check(&self, result: &[u8]) -> Result<(), Error> {
        let found = Sealed::read_header(result).map_err(|_| Error::OtherResult("a sealed file"))?;
        let (found, image) = (found.header(), &self.0);
        let same = |same: bool, what| if same { Ok(()) } else { Err(Error::OtherResult(what)) };
        same(found.purpose == Purpose::Result, "a sealed result")?;
        same(found.key_arn == image.key_arn && found.context == image.context, "under the image's key and context")?;
        same(found.wrapped_key == image.wrapped_key, "under the image's data key")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use cloister_seal::{DataKey, Sealer};

    use super::*;

    fn image() -> Header {
        Header {
            purpose: Purpose::Image,
            key_arn: "arn:aws:kms:eu-west-1:444455556666:key/k".into(),
            wrapped_key: vec![1; 8],
            context: BTreeMap::from([("cloister:view".into(), "L-CC".into())]),
            chunk_size: 64,
            salt: None,
        }
    }

    fn sealed(header: &Header) -> Vec<u8> {
        Sealer::new(Vec::new(), header, &DataKey::new([7; 32])).unwrap().finish().unwrap()
    }

    #[test]
    fn a_result_is_taken_for_its_own_image_alone() {
        let sent = SealedImage::read(&sealed(&image())).unwrap();
        let result = image().of_result().unwrap();
        assert!(sent.check(&sealed(&result)).is_ok());
        let other_context = BTreeMap::from([("cloister:view".into(), "R-CC".into())]);
        for (header, what) in [
            (Header { wrapped_key: vec![2; 8], ..result.clone() }, "under the image's data key"),
            (Header { key_arn: "another".into(), ..result.clone() }, "under the image's key and context"),
            (Header { context: other_context, ..result.clone() }, "under the image's key and context"),
            (image(), "a sealed result"),
        ] {
            assert!(matches!(sent.check(&sealed(&header)), Err(Error::OtherResult(found)) if found == what), "{what}");
        }
        assert!(matches!(sent.check(b"{}"), Err(Error::OtherResult("a sealed file"))));
    }

    #[test]
    fn a_model_a_result_and_a_plain_image_are_not_sent_as_a_sealed_one() {
        let result = image().of_result().unwrap();
        for header in [Header { purpose: Purpose::Model, ..image() }, result] {
            let refused = SealedImage::read(&sealed(&header));
            assert!(matches!(refused, Err(Error::NotAnImage(purpose)) if purpose == header.purpose));
        }
        assert!(matches!(SealedImage::read(b"\x89PNG\r\n\x1a\n"), Err(Error::NotSealed(_))));
    }
}
