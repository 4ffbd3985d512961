//! Random identifiers and secrets.

use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::Error;

/// So many random bytes.
pub(crate) fn bytes<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| Error::Random)?;
    Ok(bytes)
}

/// An identifier that nobody guesses: 128 bits in hexadecimal.
pub(crate) fn id() -> Result<String, Error> {
    Ok(hex::encode(bytes::<16>()?))
}

/// A secret of 256 bits, safe in headers and URLs.
pub(crate) fn secret() -> Result<String, Error> {
    Ok(URL_SAFE_NO_PAD.encode(bytes::<32>()?))
}
