//! The certificates above a simulated document: root, regional, zonal, instance, leaf, as AWS's are made, under names
//! that say "simulated".

use std::time::SystemTime;

use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair};
use rcgen::{
    BasicConstraints, CertificateParams, CrlDistributionPoint, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P384_SHA384, SerialNumber, SignatureAlgorithm,
};
use time::{Duration, OffsetDateTime};

use super::{Authority, Error};

/// The region that the names claim.
const REGION: &str = "simulated-1";

/// One of the chain's certificates.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Level {
    /// Self-signed, 30 years.
    Root,
    /// A region, 20 days.
    Regional,
    /// An availability zone, 6 days.
    Zonal,
    /// A parent instance, 1 day.
    Instance,
    /// An enclave, 3 hours: the key that signs documents.
    Leaf,
}

impl Level {
    /// What the root signs, from the top.
    const BELOW_ROOT: [Self; 4] = [Self::Regional, Self::Zonal, Self::Instance, Self::Leaf];

    /// How long before and after the moment of issue a certificate is valid, after AWS's own.
    fn validity(self) -> (Duration, Duration) {
        match self {
            Self::Root => (Duration::days(365), Duration::days(30 * 365)),
            Self::Regional => (Duration::hours(25), Duration::days(19)),
            Self::Zonal => (Duration::hours(10), Duration::days(6) - Duration::hours(17)),
            Self::Instance => (Duration::hours(4), Duration::hours(20)),
            Self::Leaf => (Duration::seconds(3), Duration::hours(3)),
        }
    }

    fn path_length(self) -> Option<u8> {
        match self {
            Self::Root | Self::Leaf => None,
            Self::Regional => Some(2),
            Self::Zonal => Some(1),
            Self::Instance => Some(0),
        }
    }
}

/// A certificate about to be made, for an [`super::adversary`] to spoil.
#[derive(Debug)]
pub struct Draft {
    /// What it will say.
    pub params: CertificateParams,
    /// The key that it will be for.
    pub algorithm: &'static SignatureAlgorithm,
}

/// A chain and the key of its leaf.
pub(super) struct Chain {
    pub(super) bundle: Vec<Vec<u8>>,
    pub(super) leaf: Vec<u8>,
    pub(super) key: EcdsaKeyPair,
    /// The leaf's own validity.
    pub(super) from: OffsetDateTime,
    pub(super) until: OffsetDateTime,
}

impl Chain {
    /// Issues a chain at `now`. `spoil` sees each certificate before it is signed.
    pub(super) fn issue(
        authority: &Authority,
        module_id: &str,
        now: SystemTime,
        spoil: &dyn Fn(Level, &mut Draft),
    ) -> Result<Self, Error> {
        let mut bundle = vec![authority.root_der().to_vec()];
        let mut above: Option<Issuer<'static, KeyPair>> = None;
        for level in Level::BELOW_ROOT {
            let mut draft = Draft { params: params(level, module_id, now)?, algorithm: &PKCS_ECDSA_P384_SHA384 };
            spoil(level, &mut draft);
            let key = KeyPair::generate_for(draft.algorithm)?;
            let issuer = above.as_ref().unwrap_or_else(|| authority.issuer());
            let certificate = draft.params.signed_by(&key, issuer)?;
            if level == Level::Leaf {
                return Ok(Self {
                    bundle,
                    leaf: certificate.der().to_vec(),
                    key: EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, key.serialized_der())
                        .map_err(|_| Error::Signing)?,
                    from: draft.params.not_before,
                    until: draft.params.not_after,
                });
            }
            bundle.push(certificate.der().to_vec());
            above = Some(Issuer::new(draft.params, key));
        }
        Err(Error::Signing)
    }

    /// Whether the leaf can sign a document dated `now`.
    pub(super) fn is_valid_at(&self, now: SystemTime) -> bool {
        (self.from..self.until).contains(&OffsetDateTime::from(now))
    }
}

/// What a certificate of this level says when it is issued at `now`.
pub(super) fn params(level: Level, module_id: &str, now: SystemTime) -> Result<CertificateParams, Error> {
    let mut params = CertificateParams::default();
    // In whole seconds, like the certificates themselves.
    let now = OffsetDateTime::from(now);
    let now = now.replace_nanosecond(0).unwrap_or(now);
    let (before, after) = level.validity();
    params.not_before = now - before;
    params.not_after = now + after;
    params.distinguished_name = name(level, module_id)?;
    params.serial_number = Some(SerialNumber::from(random::<16>()?.to_vec()));
    match level {
        Level::Leaf => {
            params.is_ca = IsCa::ExplicitNoCa;
            params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::ContentCommitment];
        }
        Level::Instance => params.key_usages = vec![KeyUsagePurpose::KeyCertSign],
        _ => {
            use KeyUsagePurpose::{CrlSign, DigitalSignature, KeyCertSign};
            params.key_usages = vec![DigitalSignature, KeyCertSign, CrlSign];
        }
    }
    if level != Level::Leaf {
        let constraint = level.path_length().map_or(BasicConstraints::Unconstrained, BasicConstraints::Constrained);
        params.is_ca = IsCa::Ca(constraint);
        params.use_authority_key_identifier_extension = level != Level::Root;
    }
    if matches!(level, Level::Regional | Level::Zonal) {
        // A name of a domain that cannot exist (RFC 2606), since nothing is ever revoked here.
        let uris = vec!["http://crl.simulated.invalid/nitro.crl".to_owned()];
        params.crl_distribution_points = vec![CrlDistributionPoint { uris }];
    }
    Ok(params)
}

fn name(level: Level, module_id: &str) -> Result<DistinguishedName, Error> {
    let host = hex::encode(random::<8>()?);
    let instance = module_id.split("-enc").next().unwrap_or(module_id);
    let common = match level {
        Level::Root => "simulated.nitro-enclaves".to_owned(),
        Level::Regional => format!("{host}.{REGION}.simulated.nitro-enclaves"),
        Level::Zonal => format!("{host}.zonal.{REGION}.simulated.nitro-enclaves"),
        Level::Instance => format!("{instance}.{REGION}.simulated.nitro-enclaves"),
        Level::Leaf => format!("{module_id}.{REGION}.simulated"),
    };
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, "Cloister");
    name.push(DnType::OrganizationalUnitName, "Simulation");
    name.push(DnType::CommonName, common);
    Ok(name)
}

fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Error::Signing)?;
    Ok(bytes)
}
