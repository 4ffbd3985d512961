//! TLS of the gateway's own.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::{Error, config, files};

/// Reads certificate and key; nothing where TLS ends elsewhere.
pub(crate) fn read(tls: &config::Tls) -> Result<Option<Arc<ServerConfig>>, Error> {
    let (Some(chain), Some(key)) = (&tls.certificate, &tls.key) else { return Ok(None) };
    let unusable = |error: &dyn std::fmt::Display| Error::Tls(error.to_string());
    let chain = files::text(chain)?;
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<_, _>>().map_err(|error| unusable(&error))?;
    let key = PrivateKeyDer::from_pem_slice(files::secret(key)?.as_bytes()).map_err(|error| unusable(&error))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&error))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| unusable(&error))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Some(Arc::new(config)))
}
