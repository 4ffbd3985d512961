//! Attested key release from AWS KMS.
