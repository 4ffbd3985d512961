//! Manifests and indexes (image-spec 1.1), as far as publishing and receiving need them.
//!
//! Manifests are pushed as the bytes they were read as, so that fields that are not named here are kept. `oci-spec` has the same types
//! with all fields, and brings twenty crates that the build does not need.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::limits;

/// An image manifest.
pub const IMAGE_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// An index of manifests.
pub const IMAGE_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// Docker's image manifest, which has the same fields.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker's index, which has the same fields.
pub const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// An image's configuration.
pub const IMAGE_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// The two bytes `{}`, where a configuration is asked for and there is none.
pub const EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// The annotation that carries a tag in a layout's index.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The annotation that carries a file's name.
pub const TITLE: &str = "org.opencontainers.image.title";

/// What a blob is, and which it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// The kind.
    pub media_type: String,
    /// The digest.
    pub digest: Digest,
    /// The length in bytes.
    pub size: u64,
    /// Notes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// The machine that it is for, in an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// What an artifact is, in an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Whatever else it says, which is kept when it is written again.
    #[serde(flatten)]
    pub(crate) other: BTreeMap<String, serde_json::Value>,
}

impl Descriptor {
    /// The descriptor of these bytes.
    pub fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self::new(media_type, Digest::of(bytes), bytes.len() as u64)
    }

    /// A descriptor without notes.
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest,
            size,
            annotations: BTreeMap::new(),
            platform: None,
            artifact_type: None,
            other: BTreeMap::new(),
        }
    }

    pub(crate) fn is_index(&self) -> bool {
        is_index(&self.media_type)
    }
}

pub(crate) fn is_index(media_type: &str) -> bool {
    matches!(media_type, IMAGE_INDEX | DOCKER_INDEX)
}

pub(crate) fn is_manifest(media_type: &str) -> bool {
    matches!(media_type, IMAGE_MANIFEST | DOCKER_MANIFEST)
}

/// The machine that an image is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// In Go's words: `amd64`.
    pub architecture: String,
    /// In Go's words: `linux`.
    pub os: String,
    /// Of the architecture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// An image: its configuration and its layers, lowest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u32,
    /// [`IMAGE_MANIFEST`] or [`DOCKER_MANIFEST`], or nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// What it is, if it is no container image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The configuration.
    pub config: Descriptor,
    /// The layers.
    pub layers: Vec<Descriptor>,
    /// Notes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Manifest {
    /// A manifest of these parts.
    pub fn new(config: Descriptor, layers: Vec<Descriptor>) -> Self {
        Self {
            schema_version: 2,
            media_type: Some(IMAGE_MANIFEST.to_owned()),
            artifact_type: None,
            config,
            layers,
            annotations: BTreeMap::new(),
        }
    }

    /// Reads a manifest.
    ///
    /// # Errors
    /// [`Error::BadManifest`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let refused = |problem: String| Error::BadManifest { what: "manifest", problem };
        if bytes.len() as u64 > limits::MANIFEST {
            return Err(refused("it is longer than 4 MiB".to_owned()));
        }
        let members: BTreeMap<String, serde::de::IgnoredAny> =
            serde_json::from_slice(bytes).map_err(|error| refused(error.to_string()))?;
        // Readers in Go do not mind the case of names, and some take such a document for an index.
        let other = |name: &str| {
            let known = ["schemaVersion", "mediaType", "artifactType", "config", "layers", "annotations"];
            name.eq_ignore_ascii_case("manifests")
                || known.iter().any(|known| name.eq_ignore_ascii_case(known) && name != *known)
        };
        if let Some(name) = members.keys().find(|name| other(name)) {
            return Err(refused(format!(
                "it has a member {}, which readers differ about",
                crate::error::excerpt(name)
            )));
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(|error| refused(error.to_string()))?;
        if manifest.schema_version != 2 {
            return Err(refused(format!("its schemaVersion is {}, not 2", manifest.schema_version)));
        }
        if let Some(other) = manifest.media_type.as_deref().filter(|kind| !is_manifest(kind)) {
            return Err(refused(format!("its mediaType is {}", crate::error::excerpt(other))));
        }
        if manifest.layers.len() >= limits::BLOBS {
            return Err(refused(format!("it has {} layers, more than {}", manifest.layers.len(), limits::BLOBS)));
        }
        Ok(manifest)
    }

    /// The bytes to store.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>> {
        encode("manifest", self)
    }

    /// The media type to push it as.
    pub(crate) fn kind(&self) -> &str {
        self.media_type.as_deref().unwrap_or(IMAGE_MANIFEST)
    }

    /// The configuration and the layers, each blob once.
    pub(crate) fn blobs(&self) -> Vec<&Descriptor> {
        let mut seen = std::collections::HashSet::new();
        std::iter::once(&self.config).chain(&self.layers).filter(|blob| seen.insert(blob.digest)).collect()
    }
}

/// A list of manifests: of one image for several machines, or of all images of a layout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u32,
    /// [`IMAGE_INDEX`] or [`DOCKER_INDEX`], or nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The manifests.
    pub manifests: Vec<Descriptor>,
    /// Whatever else it says, which is kept when it is written again.
    #[serde(flatten)]
    pub(crate) other: BTreeMap<String, serde_json::Value>,
}

impl Index {
    pub(crate) fn empty() -> Self {
        Self {
            schema_version: 2,
            media_type: Some(IMAGE_INDEX.to_owned()),
            manifests: Vec::new(),
            other: BTreeMap::new(),
        }
    }

    /// Reads an index.
    ///
    /// # Errors
    /// [`Error::BadManifest`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let refused = |problem: String| Error::BadManifest { what: "index", problem };
        if bytes.len() as u64 > limits::MANIFEST {
            return Err(refused("it is longer than 4 MiB".to_owned()));
        }
        let index: Self = serde_json::from_slice(bytes).map_err(|error| refused(error.to_string()))?;
        if index.schema_version != 2 {
            return Err(refused(format!("its schemaVersion is {}, not 2", index.schema_version)));
        }
        if let Some(other) = index.media_type.as_deref().filter(|kind| !is_index(kind)) {
            return Err(refused(format!("its mediaType is {}", crate::error::excerpt(other))));
        }
        Ok(index)
    }

    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>> {
        encode("index", self)
    }

    /// The one manifest for Linux on x86-64, which is the only machine that an enclave image of ours runs on.
    pub(crate) fn for_our_platform(&self) -> Result<&Descriptor> {
        let ours = |entry: &&Descriptor| {
            entry.platform.as_ref().is_some_and(|platform| platform.os == "linux" && platform.architecture == "amd64")
        };
        let mut found = self.manifests.iter().filter(ours);
        match (found.next(), found.next()) {
            (Some(one), None) => Ok(one),
            (None, _) => match self.manifests.as_slice() {
                // An index of one that says nothing of machines.
                [one] if one.platform.is_none() => Ok(one),
                _ => Err(Error::NoPlatform { there: self.platforms() }),
            },
            (Some(_), Some(_)) => Err(Error::Ambiguous { what: "manifests for linux/amd64", there: self.platforms() }),
        }
    }

    fn platforms(&self) -> Vec<String> {
        let name = |entry: &Descriptor| match &entry.platform {
            Some(platform) => crate::error::excerpt(&format!("{}/{}", platform.os, platform.architecture)),
            None => "unknown".to_owned(),
        };
        self.manifests.iter().take(16).map(name).collect()
    }
}

pub(crate) fn encode<T: Serialize>(what: &'static str, value: &T) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|error| Error::BadManifest { what, problem: error.to_string() })
}
