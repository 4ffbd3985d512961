//! A hand in the sealed model before anybody has read it.

use std::path::{Path, PathBuf};

use cloister_sim::kms::Running;

use crate::world::seal;

/// What can be spoilt before the parent gives the sealed file out and the enclave asks the KMS.
pub struct Spoil<'a> {
    /// The sealed model.
    pub sealed: &'a Path,
    /// The KMS.
    pub kms: &'a Running,
    pub(crate) package: &'a Path,
    pub(crate) key_arn: &'a str,
}

impl Spoil<'_> {
    /// The same package sealed once more: same key, same words in its header, another data key.
    pub fn sealed_again(&self) -> PathBuf {
        let again = self.sealed.with_extension("again");
        let folder = self.sealed.parent().expect("a folder");
        seal(self.package, self.key_arn, self.kms, folder, &again);
        again
    }

    /// Another package in the place of this world's own.
    pub fn seal_instead(&self, package: &Path) {
        seal(package, self.key_arn, self.kms, self.sealed.parent().expect("a folder"), self.sealed);
    }
}
