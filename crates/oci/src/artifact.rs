//! One file as an image of its own (image-spec 1.1, "Guidelines for Artifact Usage"): measurements, a policy.

use crate::digest::Digest;
use crate::error::{Error, Result, excerpt};
use crate::layout::Layout;
use crate::manifest::{Descriptor, EMPTY, Manifest, TITLE};

/// A file and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// What the artifact is: `application/vnd.cloister.measurements`, for example.
    pub artifact_type: String,
    /// What the file is: `application/json`, for example.
    pub media_type: String,
    /// The file's name.
    pub title: String,
    /// The image that it is about: what is signed is the artifact of this image, and of no other.
    pub about: Digest,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// The artifact manifest's annotation with the image that it is about.
const ABOUT: &str = "cloister.image";

impl Artifact {
    /// Puts the artifact into a layout, under a tag if one is given. The same artifact has the same digest.
    ///
    /// # Errors
    /// [`Error::BadTag`], [`Error::BadManifest`], [`Error::File`].
    pub fn add_to(&self, layout: &mut Layout, tag: Option<&str>) -> Result<Digest> {
        let config = layout.add_bytes(EMPTY, b"{}")?;
        let mut layer = layout.add_bytes(&self.media_type, &self.bytes)?;
        layer.annotations.insert(TITLE.to_owned(), self.title.clone());
        let mut manifest = Manifest::new(config, vec![layer]);
        manifest.artifact_type = Some(self.artifact_type.clone());
        manifest.annotations.insert(ABOUT.to_owned(), self.about.to_string());
        layout.add_manifest(&manifest.to_bytes()?, tag)
    }

    /// Reads an artifact of this type, of at most `limit` bytes ([`crate::limits::ARTIFACT`]).
    ///
    /// # Errors
    /// [`Error::NotTheArtifact`], [`Error::TooLarge`], those of reading a layout.
    pub fn read(layout: &Layout, manifest: &Digest, artifact_type: &str, limit: u64) -> Result<Self> {
        let manifest = layout.manifest(manifest)?;
        let other = |problem: String| Error::NotTheArtifact { problem };
        if manifest.artifact_type.as_deref() != Some(artifact_type) {
            let found = manifest.artifact_type.as_deref().unwrap_or("no artifact");
            return Err(other(format!("its type is {}, not {artifact_type}", excerpt(found))));
        }
        let [layer] = manifest.layers.as_slice() else {
            return Err(other(format!("it has {} files, not one", manifest.layers.len())));
        };
        let Descriptor { media_type, annotations, .. } = layer;
        let title = annotations.get(TITLE).cloned().ok_or_else(|| other("its file has no name".to_owned()))?;
        let about = manifest.annotations.get(ABOUT).and_then(|about| about.parse().ok());
        let about = about.ok_or_else(|| other("it does not say which image it is about".to_owned()))?;
        let bytes = layout.read(layer, limit)?;
        Ok(Self { artifact_type: artifact_type.to_owned(), media_type: media_type.clone(), title, about, bytes })
    }
}
