//! Why an image cannot be read, built or signed.

use crate::image::Kind;
use crate::limits;

/// What this crate's functions return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an image cannot be read, built or signed: one variant for each reason, with what to do about it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// Shorter than a header.
    #[error("not an enclave image: it has {0} bytes, and the header alone takes 548")]
    TooShort(usize),
    /// Longer than [`limits::IMAGE`].
    #[error("the image has {0} bytes, more than the {most} that are read", most = limits::IMAGE)]
    TooLarge(usize),
    /// Another kind of file.
    #[error("not an enclave image: it does not start with \".eif\"")]
    Magic,
    /// A version of the format that is not known here.
    #[error("the image is of version {0} of the format; version 4 is what is read: build it again")]
    Version(u16),
    /// Bits that nobody has defined are set.
    #[error("the image uses bits of its header that have no meaning: it is damaged, or made by an unknown tool")]
    Reserved,
    /// More sections than the table holds.
    #[error("the image has {0} sections; {most} is the most", most = limits::SECTIONS)]
    TooManySections(usize),
    /// The checksum does not fit.
    #[error("the image is damaged: its checksum is {computed:08x}, and its header says {stated:08x}")]
    Checksum {
        /// What the header says.
        stated: u32,
        /// What it should say.
        computed: u32,
    },
    /// Table and sections tell different things.
    #[error(
        "the header's table is wrong about section {0}: tools that trust it would read another image than the rest"
    )]
    Table(usize),
    /// A section is longer than the file.
    #[error("the image is cut off in section {0}")]
    Truncated(usize),
    /// Something behind the last section.
    #[error("{0} bytes follow the image's last section, which belong to none")]
    Trailing(usize),
    /// A kind of section that is not known here.
    #[error("section {index} is of the unknown kind {number}")]
    SectionKind {
        /// Which section.
        index: usize,
        /// The format's number.
        number: u16,
    },
    /// A section that an image must have, or not where it must be.
    #[error("the image has no {0} where one must be: a kernel, then its command line, then ramdisks")]
    Missing(Kind),
    /// A section that an image has once.
    #[error("the image has more than one {0}")]
    Repeated(Kind),

    /// A command line that no image can have.
    #[error("the command line cannot be used: {0}")]
    CommandLine(&'static str),
    /// Metadata that cannot be read.
    #[error("the metadata cannot be read: {0}")]
    Metadata(String),
    /// A name or a version in the metadata.
    #[error("{0:?} is no name or version: give 1 to {most} bytes without control characters", most = limits::NAME)]
    Name(String),
    /// Not a kernel.
    #[error(
        "the kernel is not an x86 bzImage: give arch/x86/boot/bzImage of a kernel's build or blobs/x86_64/bzImage of nitro-cli, not vmlinux"
    )]
    Kernel,
    /// A part of a kernel.
    #[error("the kernel is cut off: by its own header it has {stated} bytes, and there are {bytes}")]
    KernelCutOff {
        /// What its header says.
        stated: u64,
        /// How many there are.
        bytes: usize,
    },
    /// Not a program that can be the first one.
    #[error("the init program cannot be used: {0}; build it for x86_64-unknown-linux-musl")]
    Init(&'static str),
    /// Not a configuration.
    #[error("the configuration cannot be used: {0}")]
    Configuration(String),
    /// The ramdisk could not be compressed.
    #[error("the ramdisk could not be compressed: {0}")]
    Compression(String),

    /// Not a signing certificate.
    #[error("the signing certificate cannot be used: {0}")]
    Certificate(&'static str),
    /// The certificate's validity has not begun.
    #[error("the signing certificate is not valid yet; an enclave does not start from an image that it signed")]
    NotYetValid,
    /// The certificate's validity is over.
    #[error(
        "the signing certificate has expired; an enclave does not start from an image that it signed: get a new one for the same key, and let key policies and clients accept its PCR8"
    )]
    Expired,
    /// Not a private key.
    #[error("the signing key cannot be used: give a private key on P-384 in PEM, as PKCS #8 or SEC 1, not encrypted")]
    PrivateKey,
    /// The signature was not made by the certificate's key.
    #[error("the signing key is not the certificate's: the signature does not verify under it")]
    OtherKey,
    /// A signature section that cannot be read.
    #[error("the signature section cannot be read: {0}")]
    SignatureSection(&'static str),
    /// The signature is of another image.
    #[error("the signature is of another image: what it signs is not this image's PCR0")]
    SignedOther,
    /// The signature is wrong.
    #[error("the signature does not verify under its certificate's key")]
    BadSignature,
    /// CBOR could not be written.
    #[error("the signature could not be encoded: {0}")]
    Encoding(String),
}
