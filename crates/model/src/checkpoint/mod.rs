//! PyTorch checkpoints, read without running the pickle in them.
//!
//! A pickle is a program. This reader knows the few instructions and names that a checkpoint of tensors is made of, computes
//! what they mean as data, and refuses every other one by name.

mod error;
mod legacy;
mod pickle;
mod state;
mod zip;
mod zipped;

use std::{collections::BTreeMap, fs::File, io::Read, path::Path};

pub use error::CheckpointError;
use state::{Storages, View};

use crate::{Error, limits};

/// What a zip file starts with.
const ZIP_MAGIC: &[u8] = b"PK\x03\x04";

/// The named tensors of a checkpoint. Numbers are copied out only when asked for.
pub struct Checkpoint {
    tensors: BTreeMap<String, View>,
    storages: Storages,
}

/// Numbers and their shape, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// The length of each dimension.
    pub shape: Vec<usize>,
    /// As many numbers as the shape has room for.
    pub values: Vec<f32>,
}

impl Checkpoint {
    /// Reads a checkpoint file of either kind: the stream of pickles, or the zip of PyTorch 1.6 and later.
    ///
    /// # Errors
    /// A file that cannot be read, is too large, or is no such checkpoint; a pickle that holds more than tensors in
    /// dictionaries.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::File { action: "read", path: path.to_owned(), source };
        let mut bytes = Vec::new();
        let limit = limits::MAX_CHECKPOINT_BYTES;
        File::open(path).map_err(failed)?.take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 > limit {
            return Err(CheckpointError::TooLarge("file").into());
        }
        Ok(Self::from_bytes(bytes)?)
    }

    /// Reads a checkpoint from memory.
    ///
    /// # Errors
    /// As [`Checkpoint::open`].
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, CheckpointError> {
        let (tensors, storages) =
            if bytes.starts_with(ZIP_MAGIC) { zipped::read(&bytes)? } else { legacy::read(bytes)? };
        Ok(Self { tensors, storages })
    }

    /// A checkpoint made of these tensors.
    pub(crate) fn from_tensors(tensors: impl IntoIterator<Item = (String, Tensor)>) -> Self {
        let mut made = Self { tensors: BTreeMap::new(), storages: Storages::default() };
        for (name, tensor) in tensors {
            made.tensors.insert(name, made.storages.add(&tensor));
        }
        made
    }

    /// The tensors' names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Copies one tensor out, whatever its strides.
    ///
    /// # Errors
    /// A name that is not there, numbers of another type than f32.
    pub fn tensor(&self, name: &str) -> Result<Tensor, CheckpointError> {
        let view = self.tensors.get(name).ok_or_else(|| CheckpointError::MissingTensor(name.to_owned()))?;
        self.storages.copy(name, view)
    }
}
