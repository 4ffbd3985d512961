//! What an image says of itself: names and versions, as `nitro-cli describe-eif` reads them. It is not measured, so it proves nothing.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::limits;

/// The metadata of an image that is built.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Metadata {
    /// The image's name.
    pub image_name: String,
    /// Its version.
    pub image_version: String,
    /// How it was built.
    pub build_metadata: BuildMetadata,
    /// What a container image says of itself, where the image was made of one.
    pub docker_info: Map<String, Value>,
    /// Anything else.
    pub custom_metadata: Map<String, Value>,
}

/// How an image was built.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct BuildMetadata {
    /// When, in RFC 3339: given by the builder rather than a clock, so that an image can be built again.
    pub build_time: String,
    /// With what.
    pub build_tool: String,
    /// The tool's version.
    pub build_tool_version: String,
    /// `Linux`.
    pub operating_system: String,
    /// The kernel's version.
    pub kernel_version: String,
}

impl Metadata {
    /// The section's bytes.
    pub(crate) fn encode(&self) -> Result<Vec<u8>> {
        let build = &self.build_metadata;
        for text in [&self.image_name, &self.image_version, &build.kernel_version, &build.build_tool_version] {
            if text.is_empty() || text.len() > limits::NAME || text.chars().any(char::is_control) {
                return Err(Error::Name(text.clone()));
            }
        }
        serde_json::to_vec(self).map_err(|error| Error::Metadata(error.to_string()))
    }
}

/// Reads a section, whatever tool wrote it.
pub(crate) fn decode(bytes: &[u8]) -> Result<Map<String, Value>> {
    if bytes.len() > limits::METADATA {
        return Err(Error::Metadata(format!("it has more than {} bytes", limits::METADATA)));
    }
    serde_json::from_slice(bytes).map_err(|error| Error::Metadata(error.to_string()))
}

/// The operating system's and the kernel's version in a kernel's configuration file, from the line that says
/// `# Linux/x86 6.12.94 Kernel Configuration`.
pub fn kernel_release(configuration: &str) -> Option<(&str, &str)> {
    let line = configuration.lines().take(8).find_map(|line| line.strip_suffix(" Kernel Configuration"))?;
    let (system, release) = line.strip_prefix("# ")?.split_once(' ')?;
    let (system, _) = system.split_once('/')?;
    Some((system, release))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_is_read_from_a_kernels_configuration() {
        let text = "#\n# Automatically generated file; DO NOT EDIT.\n# Linux/x86 6.12.94 Kernel Configuration\n#\n";
        assert_eq!(kernel_release(text), Some(("Linux", "6.12.94")));
        let amazons = "#\n#\n# Linux/x86_64 4.14.256-209.484.amzn2.x86_64 Kernel Configuration\n";
        assert_eq!(kernel_release(amazons), Some(("Linux", "4.14.256-209.484.amzn2.x86_64")));
        for other in ["", "CONFIG_64BIT=y\n", "# Linux 6.12.94 Kernel Configuration\n"] {
            assert_eq!(kernel_release(other), None, "{other:?}");
        }
    }
}
