//! KMS's answer to an enclave, `CiphertextForRecipient`: a CMS EnvelopedData (RFC 5652, 6) in BER.
//!
//! One shape is accepted, the one that KMS sends: ContentInfo, EnvelopedData v2, a single KeyTransRecipientInfo v2 that names
//! its recipient by subject key identifier, RSAES-OAEP with SHA-256 and MGF1 with SHA-256 (RFC 4055, 4.1), AES-256-CBC
//! (RFC 3565, 4.1). The lengths may be indefinite or definite, and the encrypted content in one piece or in chunks. That makes
//! a strict reader shorter than the glue around a general one, and nothing in it can be steered into recursion.
//!
//! **CBC is not authenticated.** A message whose ciphertext or IV was changed may open to other bytes, and anyone can make a message
//! for a known public key. What vouches for the content is the channel it came by, TLS to KMS that ends inside the enclave, and the AEAD
//! of the sealed file that the key must then open. Never open a message that came from anywhere else.

use aws_lc_rs::cipher::{AES_256, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use zeroize::Zeroizing;

use crate::ber::{CONTEXT_0, CONTEXT_0_CONSTRUCTED, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, Reader, SEQUENCE, SET};
use crate::limits::{BLOCK_BYTES, KEY_IDENTIFIER_BYTES, MAX_CIPHERTEXT_BYTES, RSA_BYTES};
use crate::recipient::RecipientKey;

/// 1.2.840.113549.1.7.3, id-envelopedData.
const ENVELOPED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x03];
/// 1.2.840.113549.1.7.1, id-data.
const DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01];
/// 2.16.840.1.101.3.4.1.42, id-aes256-CBC.
const AES_256_CBC: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01, 0x2a];
/// The whole AlgorithmIdentifier of RSAES-OAEP with explicit SHA-256 and MGF1-SHA-256 (RFC 4055, 4.1): one encoding is accepted.
const OAEP_SHA256: &[u8] = &[
    0x30, 0x3c, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x07, 0x30, 0x2f, 0xa0, 0x0f, 0x30, 0x0d,
    0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0xa1, 0x1c, 0x30, 0x1a, 0x06, 0x09,
    0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03,
    0x04, 0x02, 0x01, 0x05, 0x00,
];
/// The version of an EnvelopedData and of a KeyTransRecipientInfo that name a recipient by key identifier.
const VERSION_2: &[u8] = &[2];

/// Why a CMS message was not read or not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Longer than KMS ever answers.
    #[error("the CMS message is {0} bytes long and KMS sends at most {MAX_CIPHERTEXT_BYTES}")]
    TooLong(usize),
    /// An element runs past the end of the message or of the element around it.
    #[error("the CMS message is cut short")]
    Truncated,
    /// A length in a form that neither DER nor KMS writes.
    #[error(
        "the CMS message has a length in a form that is not accepted (long where short would do, or indefinite on a primitive)"
    )]
    BadLength,
    /// Another element than the one that KMS sends in this place.
    #[error("the CMS message does not have the shape that KMS sends: {what} was expected")]
    Unexpected {
        /// The element that was looked for.
        what: &'static str,
    },
    /// Another content type than enveloped data around plain data.
    #[error("the CMS message is not enveloped data")]
    WrongContentType,
    /// A version other than 2.
    #[error("the CMS message has a version other than 2")]
    WrongVersion,
    /// No recipient, or more than one.
    #[error("the CMS message has not exactly one recipient")]
    NotOneRecipient,
    /// The recipient is not named by a subject key identifier of the length that KMS uses.
    #[error("the CMS recipient is not named by a {KEY_IDENTIFIER_BYTES}-byte subject key identifier")]
    WrongRecipientIdentifier,
    /// The key is wrapped by another algorithm.
    #[error("the CMS message's key is not wrapped by RSAES-OAEP with SHA-256 and MGF1 with SHA-256")]
    WrongKeyEncryption,
    /// The wrapped key is not as long as an RSA-2048 modulus.
    #[error("the CMS message's wrapped key is {0} bytes long instead of {RSA_BYTES}")]
    WrongWrappedKeyLength(usize),
    /// The content is encrypted by another algorithm, or its IV has another length.
    #[error("the CMS message's content is not encrypted by AES-256-CBC with a {BLOCK_BYTES}-byte IV")]
    WrongContentEncryption,
    /// The ciphertext is empty or not whole blocks.
    #[error("the CMS message's ciphertext of {0} bytes is not a whole number of AES blocks")]
    WrongCiphertextLength(usize),
    /// Bytes after the message.
    #[error("bytes follow the CMS message")]
    TrailingBytes,
    /// The wrapped key does not unwrap to 32 bytes, or the padding of the content is wrong; which one is not told.
    #[error("the CMS message does not open with this key: it was made for another enclave, or changed on its way")]
    DoesNotOpen,
}

/// The parts of a message, all that is not fixed by its shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The recipient's subject key identifier. KMS does not document how it is derived, so it is only carried.
    pub key_identifier: [u8; KEY_IDENTIFIER_BYTES],
    /// The content-encryption key, wrapped to the recipient's RSA key.
    pub encrypted_key: [u8; RSA_BYTES],
    /// The CBC initialisation vector.
    pub iv: [u8; BLOCK_BYTES],
    /// The encrypted content, its chunks joined; one or more AES blocks.
    pub ciphertext: Vec<u8>,
}

impl Envelope {
    /// Reads a message.
    ///
    /// # Errors
    /// An [`Error`] for each way in which the message departs from the one shape; never [`Error::DoesNotOpen`].
    pub fn read(message: &[u8]) -> Result<Self, Error> {
        if message.len() > MAX_CIPHERTEXT_BYTES {
            return Err(Error::TooLong(message.len()));
        }
        let mut reader = Reader::new(message);
        let content_info = reader.enter(SEQUENCE, "ContentInfo")?;
        expect(reader.primitive(OBJECT_IDENTIFIER, "contentType")?, ENVELOPED_DATA, Error::WrongContentType)?;
        let content = reader.enter(CONTEXT_0_CONSTRUCTED, "content")?;
        let enveloped = reader.enter(SEQUENCE, "EnvelopedData")?;
        expect(reader.primitive(INTEGER, "EnvelopedData.version")?, VERSION_2, Error::WrongVersion)?;
        let (key_identifier, encrypted_key) = recipient(&mut reader)?;
        let (iv, ciphertext) = encrypted_content(&mut reader)?;
        reader.leave(enveloped, "the end of EnvelopedData")?;
        reader.leave(content, "the end of content")?;
        reader.leave(content_info, "the end of ContentInfo")?;
        reader.finish()?;
        Ok(Self { key_identifier, encrypted_key, iv, ciphertext })
    }
}

/// Opens a message that came from KMS over TLS that ends in this process; see the module's warning on CBC.
///
/// # Errors
/// An [`Error`] for a message of another shape, and [`Error::DoesNotOpen`] for one that this key does not open.
pub fn open_cms(message: &[u8], key: &RecipientKey) -> Result<Zeroizing<Vec<u8>>, Error> {
    let envelope = Envelope::read(message)?;
    let content_key = key.unwrap_key(&envelope.encrypted_key).ok_or(Error::DoesNotOpen)?;
    let cipher = UnboundCipherKey::new(&AES_256, content_key.as_slice())
        .and_then(PaddedBlockDecryptingKey::cbc_pkcs7)
        .map_err(|_| Error::DoesNotOpen)?;
    let mut content = Zeroizing::new(envelope.ciphertext);
    let iv = DecryptionContext::Iv128(FixedLength::from(envelope.iv));
    let length = cipher.decrypt(content.as_mut_slice(), iv).map_err(|_| Error::DoesNotOpen)?.len();
    content.truncate(length);
    Ok(content)
}

/// RecipientInfos: exactly one KeyTransRecipientInfo.
fn recipient(reader: &mut Reader<'_>) -> Result<([u8; KEY_IDENTIFIER_BYTES], [u8; RSA_BYTES]), Error> {
    let recipients = reader.enter(SET, "recipientInfos")?;
    if reader.is_over(&recipients) {
        return Err(Error::NotOneRecipient);
    }
    let info = reader.enter(SEQUENCE, "KeyTransRecipientInfo")?;
    expect(reader.primitive(INTEGER, "KeyTransRecipientInfo.version")?, VERSION_2, Error::WrongVersion)?;
    if reader.peek() != Some(CONTEXT_0) {
        return Err(Error::WrongRecipientIdentifier);
    }
    let key_identifier = reader.primitive(CONTEXT_0, "subjectKeyIdentifier")?;
    let key_identifier = key_identifier.try_into().map_err(|_| Error::WrongRecipientIdentifier)?;
    reader.verbatim(OAEP_SHA256, Error::WrongKeyEncryption)?;
    let wrapped = reader.primitive(OCTET_STRING, "encryptedKey")?;
    let wrapped = wrapped.try_into().map_err(|_| Error::WrongWrappedKeyLength(wrapped.len()))?;
    reader.leave(info, "the end of KeyTransRecipientInfo")?;
    if !reader.is_over(&recipients) {
        return Err(Error::NotOneRecipient);
    }
    reader.leave(recipients, "the end of recipientInfos")?;
    Ok((key_identifier, wrapped))
}

/// EncryptedContentInfo.
fn encrypted_content(reader: &mut Reader<'_>) -> Result<([u8; BLOCK_BYTES], Vec<u8>), Error> {
    let info = reader.enter(SEQUENCE, "encryptedContentInfo")?;
    expect(reader.primitive(OBJECT_IDENTIFIER, "the content's type")?, DATA, Error::WrongContentType)?;
    let algorithm = reader.enter(SEQUENCE, "contentEncryptionAlgorithm")?;
    let identifier = reader.primitive(OBJECT_IDENTIFIER, "the content encryption's algorithm")?;
    expect(identifier, AES_256_CBC, Error::WrongContentEncryption)?;
    let iv = reader.primitive(OCTET_STRING, "the IV")?.try_into().map_err(|_| Error::WrongContentEncryption)?;
    reader.leave(algorithm, "the end of contentEncryptionAlgorithm")?;
    let ciphertext = if reader.peek() == Some(CONTEXT_0) {
        reader.primitive(CONTEXT_0, "encryptedContent")?.to_vec()
    } else {
        chunks(reader)?
    };
    if ciphertext.is_empty() || ciphertext.len() % BLOCK_BYTES != 0 {
        return Err(Error::WrongCiphertextLength(ciphertext.len()));
    }
    reader.leave(info, "the end of encryptedContentInfo")?;
    Ok((iv, ciphertext))
}

/// The constructed form of encryptedContent: primitive OCTET STRINGs to join, none of them empty.
fn chunks(reader: &mut Reader<'_>) -> Result<Vec<u8>, Error> {
    let scope = reader.enter(CONTEXT_0_CONSTRUCTED, "encryptedContent")?;
    let mut joined = Vec::new();
    while !reader.is_over(&scope) {
        let chunk = reader.primitive(OCTET_STRING, "a chunk of encryptedContent")?;
        if chunk.is_empty() {
            return Err(Error::WrongCiphertextLength(0));
        }
        joined.extend_from_slice(chunk);
    }
    reader.leave(scope, "the end of encryptedContent")?;
    Ok(joined)
}

fn expect(found: &[u8], expected: &[u8], mismatch: Error) -> Result<(), Error> {
    if found == expected { Ok(()) } else { Err(mismatch) }
}
