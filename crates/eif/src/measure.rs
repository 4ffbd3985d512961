//! What an image measures to: the PCRs that the security module will hold once it has started.

use aws_lc_rs::digest::{Context, SHA384, digest};
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::image::{Kind, Section};
use crate::limits;

/// The measurements of an image. They cover the contents of sections, not where one ends and the next begins, and not the metadata.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Measurements {
    /// Kernel, command line and all ramdisks.
    pub pcr0: [u8; limits::PCR],
    /// Kernel, command line and the first ramdisk.
    pub pcr1: [u8; limits::PCR],
    /// The other ramdisks.
    pub pcr2: [u8; limits::PCR],
    /// The certificate that signed the image; none, and all zeros in a document, when it is not signed.
    pub pcr8: Option<[u8; limits::PCR]>,
}

impl Measurements {
    /// Measures sections in their order, and the DER of the certificate that signed them.
    pub(crate) fn of(sections: &[Section], certificate: Option<&[u8]>) -> Self {
        let [mut image, mut boot, mut application] = [(); 3].map(|()| Context::new(&SHA384));
        let mut ramdisks = 0;
        for section in sections {
            let first = match section.kind() {
                Kind::Kernel | Kind::CommandLine => true,
                Kind::Ramdisk => {
                    ramdisks += 1;
                    ramdisks == 1
                }
                Kind::Metadata | Kind::Signature => continue,
            };
            image.update(section.data());
            if first { boot.update(section.data()) } else { application.update(section.data()) }
        }
        let register = |context: Context| extended(context.finish().as_ref());
        Self {
            pcr0: register(image),
            pcr1: register(boot),
            pcr2: register(application),
            pcr8: certificate.map(|der| extended(&sha384(der))),
        }
    }

    /// The registers that have a value, by their numbers.
    pub fn registers(&self) -> impl Iterator<Item = (u16, [u8; limits::PCR])> {
        [(0, Some(self.pcr0)), (1, Some(self.pcr1)), (2, Some(self.pcr2)), (8, self.pcr8)]
            .into_iter()
            .filter_map(|(index, value)| value.map(|value| (index, value)))
    }
}

/// As nitro-cli prints them: `HashAlgorithm`, `PCR0`, `PCR1`, `PCR2`, and `PCR8` of a signed image.
impl Serialize for Measurements {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("HashAlgorithm", "Sha384 { ... }")?;
        for (index, value) in self.registers() {
            map.serialize_entry(&format!("PCR{index}"), &hex::encode(value))?;
        }
        map.end()
    }
}

/// A register of zeros, extended once.
fn extended(digest: &[u8]) -> [u8; limits::PCR] {
    sha384(&[&[0; limits::PCR], digest].concat())
}

/// SHA-384.
pub fn sha384(bytes: &[u8]) -> [u8; limits::PCR] {
    let mut value = [0; limits::PCR];
    value.copy_from_slice(digest(&SHA384, bytes).as_ref());
    value
}
