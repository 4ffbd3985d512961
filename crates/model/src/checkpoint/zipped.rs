//! The zip of PyTorch 1.6 and later: `NAME/data.pkl`, and `NAME/data/KEY` for each storage.

use std::collections::BTreeMap;

use super::{
    CheckpointError, pickle,
    state::{self, Storages, View},
    zip::Archive,
};

/// The pickle's name in the archive's folder.
const PICKLE: &str = "/data.pkl";

pub(super) fn read(bytes: &[u8]) -> Result<(BTreeMap<String, View>, Storages), CheckpointError> {
    let archive = Archive::read(bytes)?;
    let folder = archive.names().find_map(|name| name.strip_suffix(PICKLE));
    let folder = folder.ok_or_else(|| CheckpointError::MissingEntry("data.pkl".to_owned()))?;
    match archive.entry(&format!("{folder}/byteorder")) {
        Ok(order) if order != b"little" => return Err(CheckpointError::BigEndian),
        // Files from before the entry came are of little-endian machines.
        Ok(_) | Err(CheckpointError::MissingEntry(_)) => {}
        Err(error) => return Err(error),
    }
    let tensors = state::tensors(&pickle::read(archive.entry(&format!("{folder}{PICKLE}"))?)?)?;
    let mut storages = Storages::default();
    for View { storage, .. } in tensors.values() {
        if storages.0.contains_key(&storage.key) {
            continue;
        }
        let numbers = archive.entry(&format!("{folder}/data/{}", storage.key))?;
        if numbers.len() != storage.byte_length()? {
            return Err(CheckpointError::Storage(storage.key.clone()));
        }
        storages.0.insert(storage.key.clone(), numbers.to_vec());
    }
    Ok((tensors, storages))
}
