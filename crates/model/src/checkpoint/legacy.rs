//! The stream of PyTorch before 1.6: five pickles (magic number, protocol, system, object, storage keys), then the storages.

use std::collections::BTreeMap;

use super::{
    CheckpointError,
    pickle::{self, Unpickled, Value},
    state::{self, StorageKey, Storages, View},
};

/// The number that the stream starts with.
const MAGIC: i128 = 0x1950_a86a_20f9_469c_fc6c;

/// The stream's only version.
const PROTOCOL: i128 = 1001;

pub(super) fn read(bytes: Vec<u8>) -> Result<(BTreeMap<String, View>, Storages), CheckpointError> {
    let mut rest = bytes.as_slice();
    if next(&mut rest).map_err(|_| CheckpointError::NotACheckpoint)?.value != Value::Int(MAGIC) {
        return Err(CheckpointError::NotACheckpoint);
    }
    if next(&mut rest)?.value != Value::Int(PROTOCOL) {
        return Err(CheckpointError::NotACheckpoint);
    }
    if !state::is_little_endian(&next(&mut rest)?) {
        return Err(CheckpointError::BigEndian);
    }
    let tensors = state::tensors(&next(&mut rest)?)?;
    let keys = next(&mut rest)?;
    let described: BTreeMap<&str, &StorageKey> =
        tensors.values().map(|view| (view.storage.key.as_str(), &view.storage)).collect();
    let mut storages = Storages::default();
    for key in keys.heap.list(keys.value).ok_or(CheckpointError::Pickle("the storage keys are no list"))? {
        let key = keys.heap.text(*key).ok_or(CheckpointError::Pickle("a storage key is no text"))?;
        let wrong = || CheckpointError::Storage(key.to_owned());
        // A storage that no tensor uses has an unknown type, hence an unknown length.
        let storage = described.get(key).ok_or_else(wrong)?;
        let (count, after) = rest.split_first_chunk::<8>().ok_or(CheckpointError::Truncated)?;
        if u64::from_le_bytes(*count) != storage.count as u64 {
            return Err(wrong());
        }
        let (numbers, after) = after.split_at_checked(storage.byte_length()?).ok_or(CheckpointError::Truncated)?;
        if storages.0.insert(key.to_owned(), numbers.to_vec()).is_some() {
            return Err(wrong());
        }
        rest = after;
    }
    match described.keys().find(|key| !storages.0.contains_key(**key)) {
        Some(key) => Err(CheckpointError::Storage((*key).to_owned())),
        None => Ok((tensors, storages)),
    }
}

fn next(rest: &mut &[u8]) -> Result<Unpickled, CheckpointError> {
    let unpickled = pickle::read(rest)?;
    *rest = &rest[unpickled.length..];
    Ok(unpickled)
}
