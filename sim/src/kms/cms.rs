//! Writes `CiphertextForRecipient` as KMS does: CMS EnvelopedData in BER, its outer elements of indefinite length.

use aws_lc_rs::cipher::{AES_256, DecryptionContext, PaddedBlockEncryptingKey, UnboundCipherKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey};
use aws_lc_rs::{digest, rand};

/// How the encrypted content is written. KMS has been seen to send both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ContentForm {
    /// `[0]` constructed, of indefinite length, holding OCTET STRINGs of at most this many bytes.
    #[default]
    OneChunk,
    /// The same with chunks of 16 bytes, so that even a data key takes several.
    SmallChunks,
    /// `[0]` primitive.
    Primitive,
}

const MODULUS_BYTES: usize = 256;
const SMALL_CHUNK: usize = 16;
/// Longer than any content.
const ONE_CHUNK: usize = 8192;

const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const NULL: u8 = 0x05;
const OBJECT_IDENTIFIER: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const CONTEXT_0: u8 = 0x80;
const CONTEXT_0_CONSTRUCTED: u8 = 0xa0;
const CONTEXT_1_CONSTRUCTED: u8 = 0xa1;

const ID_DATA: &[u8] = &[42, 134, 72, 134, 247, 13, 1, 7, 1];
const ID_ENVELOPED_DATA: &[u8] = &[42, 134, 72, 134, 247, 13, 1, 7, 3];
const ID_RSAES_OAEP: &[u8] = &[42, 134, 72, 134, 247, 13, 1, 1, 7];
const ID_MGF1: &[u8] = &[42, 134, 72, 134, 247, 13, 1, 1, 8];
const ID_SHA256: &[u8] = &[96, 134, 72, 1, 101, 3, 4, 2, 1];
const ID_AES256_CBC: &[u8] = &[96, 134, 72, 1, 101, 3, 4, 1, 42];

/// Encrypts `plaintext` to the RSA-2048 public key `spki_der` (SubjectPublicKeyInfo, DER).
///
/// # Errors
/// `Unspecified` when the key is not RSA-2048, as AWS-LC says no more.
pub fn seal(plaintext: &[u8], spki_der: &[u8], form: ContentForm) -> Result<Vec<u8>, Unspecified> {
    let public = PublicEncryptingKey::from_der(spki_der).map_err(|_| Unspecified)?;
    if public.key_size_bytes() != MODULUS_BYTES {
        return Err(Unspecified);
    }
    let mut content_key = [0; 32];
    rand::fill(&mut content_key)?;
    let mut wrapped = vec![0; MODULUS_BYTES];
    OaepPublicEncryptingKey::new(public)?.encrypt(&OAEP_SHA256_MGF1SHA256, &content_key, &mut wrapped, None)?;

    let mut ciphertext = plaintext.to_vec();
    let cipher = PaddedBlockEncryptingKey::cbc_pkcs7(UnboundCipherKey::new(&AES_256, &content_key)?)?;
    let DecryptionContext::Iv128(iv) = cipher.encrypt(&mut ciphertext)? else { return Err(Unspecified) };
    // KMS does not say what its identifier is of; a digest of the key has the right length.
    let key_identifier = digest::digest(&digest::SHA256, spki_der);
    Ok(message(key_identifier.as_ref(), &wrapped, iv.as_ref(), &ciphertext, form))
}

fn message(key_identifier: &[u8], wrapped: &[u8], iv: &[u8], ciphertext: &[u8], form: ContentForm) -> Vec<u8> {
    let recipient = [
        definite(INTEGER, &[2]),
        definite(CONTEXT_0, key_identifier),
        definite(
            SEQUENCE,
            &[definite(OBJECT_IDENTIFIER, ID_RSAES_OAEP), definite(SEQUENCE, &oaep_parameters())].concat(),
        ),
        definite(OCTET_STRING, wrapped),
    ];
    let algorithm = [definite(OBJECT_IDENTIFIER, ID_AES256_CBC), definite(OCTET_STRING, iv)];
    let encrypted_content = [
        definite(OBJECT_IDENTIFIER, ID_DATA),
        definite(SEQUENCE, &algorithm.concat()),
        match form {
            ContentForm::Primitive => definite(CONTEXT_0, ciphertext),
            ContentForm::OneChunk => chunked(ciphertext, ONE_CHUNK),
            ContentForm::SmallChunks => chunked(ciphertext, SMALL_CHUNK),
        },
    ];
    let enveloped = [
        definite(INTEGER, &[2]),
        definite(SET, &definite(SEQUENCE, &recipient.concat())),
        indefinite(SEQUENCE, &encrypted_content.concat()),
    ];
    let content = indefinite(CONTEXT_0_CONSTRUCTED, &indefinite(SEQUENCE, &enveloped.concat()));
    indefinite(SEQUENCE, &[definite(OBJECT_IDENTIFIER, ID_ENVELOPED_DATA), content].concat())
}

fn oaep_parameters() -> Vec<u8> {
    let sha256 = definite(SEQUENCE, &[definite(OBJECT_IDENTIFIER, ID_SHA256), definite(NULL, &[])].concat());
    let mgf = definite(SEQUENCE, &[definite(OBJECT_IDENTIFIER, ID_MGF1), sha256.clone()].concat());
    [definite(CONTEXT_0_CONSTRUCTED, &sha256), definite(CONTEXT_1_CONSTRUCTED, &mgf)].concat()
}

fn chunked(ciphertext: &[u8], size: usize) -> Vec<u8> {
    let chunks: Vec<Vec<u8>> = ciphertext.chunks(size).map(|chunk| definite(OCTET_STRING, chunk)).collect();
    indefinite(CONTEXT_0_CONSTRUCTED, &chunks.concat())
}

fn indefinite(tag: u8, content: &[u8]) -> Vec<u8> {
    [&[tag, 0x80], content, &[0, 0]].concat()
}

fn definite(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let digits: Vec<u8> = length.into_iter().skip_while(|byte| *byte == 0).collect();
    let mut element = vec![tag];
    match digits[..] {
        [] => element.push(0),
        [short] if short < 0x80 => element.push(short),
        _ => {
            // At most eight digits, so the cast cannot cut.
            element.push(0x80 | digits.len() as u8);
            element.extend_from_slice(&digits);
        }
    }
    element.extend_from_slice(content);
    element
}
