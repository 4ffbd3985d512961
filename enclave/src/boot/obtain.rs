//! From a sealed file in the parent's hands to an open package in the enclave's.

use std::sync::Arc;

use cloister_kms::context;
use cloister_model::Package;
use cloister_seal::{DataKey, Header, Purpose, Sealed};
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

use super::{Boot, Error};
use crate::disclose::Words;
use crate::parent::SealedFile;
use crate::release::Releases;

impl Boot {
    pub(super) async fn obtain(&self) -> Result<Package, Error> {
        crate::clock::compare(Arc::clone(&self.nsm)).await?;
        let file = SealedFile::new(self.parent.clone(), Handle::current());
        let sealed = spawn_blocking(move || Sealed::read_header(file)).await??;
        self.check(sealed.header())?;
        let releases =
            Releases { config: Arc::clone(&self.config), nsm: Arc::clone(&self.nsm), parent: self.parent.clone() };
        let key = releases.data_key(sealed.header()).await?;
        spawn_blocking(move || open(sealed, &key)).await?
    }

    /// Whether the measured configuration allows what the header announces. KMS binds the same words to the key.
    fn check(&self, header: &Header) -> Result<(), Error> {
        if header.purpose != Purpose::Model {
            return Err(Error::NotAModel(header.purpose));
        }
        if !self.config.model.key_arns.contains(&header.key_arn) {
            return Err(Error::KeyNotAllowed { allowed: Words::model_keys(&self.config) });
        }
        let (name, version, _) = announced(header)?;
        let expected = &self.config.model;
        if name != expected.name {
            return Err(Error::OtherModel { expected: Words::model(&self.config) });
        }
        if version < expected.minimum_version {
            return Err(Error::TooOld { found: version, minimum: expected.minimum_version });
        }
        Ok(())
    }
}

/// The name, version and digest that a model's encryption context announces, and nothing beside them.
fn announced(header: &Header) -> Result<(&str, u32, &str), Error> {
    let get = |key: &'static str| header.context.get(key).map(String::as_str).ok_or(Error::Context(key));
    let version = get(context::VERSION)?.parse().map_err(|_| Error::Context(context::VERSION))?;
    let (name, digest) = (get(context::MODEL)?, get(context::DIGEST)?);
    if header.context != context::for_model(name, version, digest) {
        return Err(Error::Context(context::PURPOSE));
    }
    Ok((name, version, digest))
}

fn open(sealed: Sealed<SealedFile>, key: &DataKey) -> Result<Package, Error> {
    let header = sealed.header().clone();
    let (name, version, digest) = announced(&header)?;
    // It reads to the end, past the last chunk: only there is the file known to be whole.
    let package = Package::from_tar(sealed.open(key, Purpose::Model)?)?;
    if package.manifest().name != name {
        return Err(Error::Mislabelled("name"));
    }
    if package.manifest().version != version {
        return Err(Error::Mislabelled("version"));
    }
    if hex::encode(package.digest()) != digest {
        return Err(Error::Mislabelled("digest"));
    }
    Ok(package)
}
