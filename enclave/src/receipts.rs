//! Receipts, signed by a connection's own key: the document that vouches for the key travels in each, and is replaced before the
//! certificate that signed it ends.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use cloister_attest::Binding;
use cloister_nsm::{AttestRequest, Nsm};
use cloister_receipt::{Receipt, SigningKey};

use crate::disclose::{Disclose, Words, words};
use crate::limits;

/// Why a receipt could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The security module did not vouch for the key.
    Nsm(#[from] cloister_nsm::Error),
    /// Its document cannot be read.
    Document(#[from] cloister_attest::Error),
    /// The clock has left the life of every certificate that could be had.
    Clock,
    /// The receipt itself.
    Receipt(#[from] cloister_receipt::Error),
}

impl Disclose for Error {
    fn words(&self) -> Words {
        match self {
            Self::Nsm(error) => words!["the security module gave no document for the receipt key: ", error.words()],
            Self::Document(_) => Words::of("the security module's document for the receipt key cannot be read"),
            Self::Clock => {
                Words::of("the clock is beyond the life of the certificate that vouches for the receipt key")
            }
            Self::Receipt(_) => Words::of("the receipt cannot be signed"),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.words().fmt(f)
    }
}

/// A key that signs receipts, and what vouches for it.
pub struct Signer {
    key: SigningKey,
    voucher: Mutex<Option<Voucher>>,
}

/// An attestation document about the key.
#[derive(Clone)]
struct Voucher {
    document: Vec<u8>,
    /// When the module signed it, by the module's clock.
    signed: SystemTime,
    /// When the certificate that signed it ends.
    ends: SystemTime,
    /// When it was asked for, by ours.
    asked: SystemTime,
}

impl Signer {
    /// Makes a key.
    ///
    /// # Errors
    /// When the generator fails.
    pub fn generate() -> Result<Self, Error> {
        Ok(Self { key: SigningKey::generate()?, voucher: Mutex::new(None) })
    }

    /// The key's SubjectPublicKeyInfo, DER.
    pub fn public_key_der(&self) -> &[u8] {
        self.key.public_key_der()
    }

    /// Dates and signs a receipt. It asks the security module for a document when there is none that holds for long enough, and so
    /// may block for milliseconds.
    ///
    /// # Errors
    /// A security module that vouches for nothing; a clock that is beyond all that it vouches for.
    pub fn sign(&self, nsm: &dyn Nsm, binding: &Binding, receipt: Receipt) -> Result<Vec<u8>, Error> {
        self.sign_at(nsm, binding, receipt, SystemTime::now())
    }

    fn sign_at(
        &self,
        nsm: &dyn Nsm,
        binding: &Binding,
        mut receipt: Receipt,
        now: SystemTime,
    ) -> Result<Vec<u8>, Error> {
        let voucher = self.voucher(nsm, binding, now)?;
        // The module's clock may be ahead of ours by what is allowed, and no receipt is older than what vouches for its key.
        receipt.time = now.max(voucher.signed);
        if receipt.time >= voucher.ends {
            return Err(Error::Clock);
        }
        Ok(receipt.sign(&self.key, &voucher.document)?)
    }

    fn voucher(&self, nsm: &dyn Nsm, binding: &Binding, now: SystemTime) -> Result<Voucher, Error> {
        let mut kept = self.voucher.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(voucher) = &*kept
            && voucher.holds(now)
        {
            return Ok(voucher.clone());
        }
        let request = AttestRequest {
            public_key: Some(self.public_key_der().to_vec()),
            user_data: Some(binding.encode()),
            nonce: None,
        };
        let document = nsm.attest(&request)?;
        let said = cloister_attest::parse(&document)?;
        // A clock that jumped since it was last compared would date receipts wrongly for ever.
        crate::clock::judge(now, said.timestamp, now).map_err(|_| Error::Clock)?;
        let ends = said.certificate_ends()?;
        let voucher = Voucher { document, signed: said.timestamp, ends, asked: now };
        *kept = Some(voucher.clone());
        Ok(voucher)
    }
}

impl Voucher {
    /// Whether it need not be replaced yet. A clock that was set back is no reason to trust what was asked for later.
    fn holds(&self, now: SystemTime) -> bool {
        let age = now.duration_since(self.asked);
        let left = self.ends.duration_since(now).unwrap_or(Duration::ZERO);
        age.is_ok_and(|age| age < limits::MAX_VOUCHER_AGE) && left > limits::MIN_VOUCHER_LIFE_LEFT
    }
}

#[cfg(test)]
mod tests {
    use cloister_receipt::Unverified;
    use cloister_sim::nsm::{Authority, Simulated, SimulatedNsm};
    use cloister_test_data::receipt;

    use super::*;

    const HOUR: Duration = Duration::from_secs(60 * 60);
    const MINUTE: Duration = Duration::from_secs(60);

    /// A signer, and what it signs at a time, read back.
    struct Signing {
        signer: Signer,
        binding: Binding,
        nsm: SimulatedNsm,
        clock: tempfile::NamedTempFile,
    }

    impl Signing {
        fn new(module_ahead: Duration) -> Self {
            let authority = Authority::ephemeral().unwrap();
            let clock = tempfile::NamedTempFile::new().unwrap();
            let nsm = SimulatedNsm::with_clock_of(&authority, Simulated::default(), clock.path()).unwrap();
            let signer = Signer::generate().unwrap();
            let binding = Binding::of(b"tls").with_receipt(signer.public_key_der());
            let signing = Self { signer, binding, nsm, clock };
            signing.set_module_ahead(module_ahead);
            signing
        }

        fn set_module_ahead(&self, ahead: Duration) {
            std::fs::write(self.clock.path(), ahead.as_secs().to_string()).unwrap();
        }

        fn at(&self, now: SystemTime) -> Result<Unverified, Error> {
            let bytes = self.signer.sign_at(&self.nsm, &self.binding, receipt(), now)?;
            Ok(Unverified::parse(&bytes)?)
        }
    }

    #[test]
    fn one_document_vouches_for_many_receipts_until_it_is_replaced() {
        let signing = Signing::new(Duration::ZERO);
        let now = SystemTime::now();
        let first = signing.at(now).unwrap();
        let second = signing.at(now + MINUTE).unwrap();
        assert_eq!(first.document(), second.document());
        assert_ne!(first.claims().time, second.claims().time);
        signing.set_module_ahead(limits::MAX_VOUCHER_AGE);
        let later = signing.at(now + limits::MAX_VOUCHER_AGE).unwrap();
        assert_ne!(first.document(), later.document());
        assert!(later.verify(signing.signer.public_key_der()).is_ok());
    }

    #[test]
    fn a_receipt_is_not_dated_before_the_document_that_vouches_for_its_key() {
        let signing = Signing::new(4 * MINUTE);
        let signed = signing.at(SystemTime::now()).unwrap();
        let document = cloister_attest::parse(signed.document()).unwrap();
        assert_eq!(signed.claims().time, document.timestamp);
    }

    #[test]
    fn no_receipt_is_dated_after_the_certificate_that_vouches_for_its_key() {
        let signing = Signing::new(Duration::ZERO);
        assert!(matches!(signing.at(SystemTime::now() + 4 * HOUR), Err(Error::Clock)));
    }

    #[test]
    fn no_receipt_is_dated_by_a_clock_that_jumped_since_the_module_was_asked() {
        for jump in [2 * HOUR, 6 * MINUTE] {
            let signing = Signing::new(Duration::ZERO);
            assert!(matches!(signing.at(SystemTime::now() + jump), Err(Error::Clock)), "{jump:?}");
        }
    }

    #[test]
    fn a_voucher_is_replaced_when_it_is_old_near_its_end_or_from_the_future() {
        let asked = SystemTime::UNIX_EPOCH + 1000 * HOUR;
        let voucher = Voucher { document: Vec::new(), signed: asked, ends: asked + 3 * HOUR, asked };
        assert!(voucher.holds(asked));
        assert!(voucher.holds(asked + limits::MAX_VOUCHER_AGE - Duration::from_secs(1)));
        assert!(!voucher.holds(asked + limits::MAX_VOUCHER_AGE));
        assert!(!voucher.holds(asked - Duration::from_secs(1)));
        let ending = Voucher { ends: asked + limits::MIN_VOUCHER_LIFE_LEFT, ..voucher };
        assert!(!ending.holds(asked));
    }
}
