//! The simulated root: a certificate and its key, kept in a folder.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use rcgen::{Issuer, KeyPair, PKCS_ECDSA_P384_SHA384, PublicKeyData};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::Error;
use super::chain::{self, Level};

/// The root's certificate in the authority's folder: what a policy pins.
pub const ROOT_FILE: &str = "root.pem";

/// The root's key in the authority's folder, readable by its owner.
pub const KEY_FILE: &str = "root.key";

/// The root of simulated documents. Clones share one key.
#[derive(Clone)]
pub struct Authority {
    inner: Arc<Inner>,
}

struct Inner {
    pem: String,
    der: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Makes an authority and keeps it in the folder `dir`, which is created if need be.
    pub fn create(dir: &Path) -> Result<Self, Error> {
        let (pem, key) = generate()?;
        fs::create_dir_all(dir).map_err(|source| Error::File { path: dir.to_owned(), source })?;
        write_new(&dir.join(KEY_FILE), &key.serialize_pem(), 0o600)?;
        write_new(&dir.join(ROOT_FILE), &pem, 0o644)?;
        Self::new(pem, key)
    }

    /// Opens the authority that [`Authority::create`] kept in `dir`.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        let read = |name| {
            let path = dir.join(name);
            fs::read_to_string(&path).map_err(|source| Error::File { path, source })
        };
        let (pem, key) = (read(ROOT_FILE)?, read(KEY_FILE)?);
        Self::new(pem, KeyPair::from_pem_and_sign_algo(&key, &PKCS_ECDSA_P384_SHA384)?)
    }

    /// Makes an authority that lives as long as the process: for tests.
    pub fn ephemeral() -> Result<Self, Error> {
        let (pem, key) = generate()?;
        Self::new(pem, key)
    }

    /// The root's certificate, for a verifier to pin.
    pub fn root_pem(&self) -> &str {
        &self.inner.pem
    }

    pub(super) fn root_der(&self) -> &[u8] {
        &self.inner.der
    }

    pub(super) fn issuer(&self) -> &Issuer<'static, KeyPair> {
        &self.inner.issuer
    }

    fn new(pem: String, key: KeyPair) -> Result<Self, Error> {
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| rcgen::Error::CouldNotParseCertificate)?;
        // The certificate holds the key's SubjectPublicKeyInfo as it is.
        let spki = key.subject_public_key_info();
        if !der.windows(spki.len()).any(|window| window == spki) {
            return Err(Error::Mismatch);
        }
        let issuer = Issuer::from_ca_cert_der(&der, key)?;
        Ok(Self { inner: Arc::new(Inner { pem, der, issuer }) })
    }
}

fn generate() -> Result<(String, KeyPair), Error> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384)?;
    let root = chain::params(Level::Root, "", SystemTime::now())?.self_signed(&key)?;
    Ok((root.pem(), key))
}

fn write_new(path: &Path, text: &str, mode: u32) -> Result<(), Error> {
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    match file.and_then(|mut file| file.write_all(text.as_bytes())) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Err(Error::Exists { path: path.to_owned() }),
        Err(source) => Err(Error::File { path: path.to_owned(), source }),
    }
}
