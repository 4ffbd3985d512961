//! An image: a header, and sections of five kinds behind it, one after the other with nothing between.

use std::fmt;

use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::header::{self, Header, SECTION_HEAD};
use crate::limits;
use crate::measure::{Measurements, sha384};
use crate::metadata::{self, Metadata};
use crate::sign::Signature;

/// What a section holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub enum Kind {
    /// The kernel.
    Kernel,
    /// The kernel's command line.
    CommandLine,
    /// A ramdisk; Linux unpacks them over one another, in their order.
    Ramdisk,
    /// The signature of PCR0, with the certificate of the key that made it.
    Signature,
    /// What the image says of itself.
    Metadata,
}

impl Kind {
    const ALL: [Self; 5] = [Self::Kernel, Self::CommandLine, Self::Ramdisk, Self::Signature, Self::Metadata];

    /// The format's number for it: 1 to 5.
    pub(crate) fn number(self) -> u16 {
        self as u16 + 1
    }

    pub(crate) fn of(number: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kernel => "kernel",
            Self::CommandLine => "command line",
            Self::Ramdisk => "ramdisk",
            Self::Signature => "signature",
            Self::Metadata => "metadata",
        })
    }
}

/// One section.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Section {
    kind: Kind,
    data: Vec<u8>,
}

impl Section {
    /// What it holds.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its content.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// SHA-384 of its content.
    pub fn sha384(&self) -> [u8; limits::PCR] {
        sha384(&self.data)
    }
}

/// What an image is built from.
pub struct Parts<'a> {
    /// The kernel, which [`crate::Kernel`] checks.
    pub kernel: &'a [u8],
    /// The kernel's command line.
    pub command_line: &'a str,
    /// What the image says of itself.
    pub metadata: &'a Metadata,
    /// The ramdisks: the first is measured into PCR1, the others into PCR2.
    pub ramdisks: Vec<Vec<u8>>,
}

/// An image whose sections have been checked, and whose signature, if it has one, has been read but not verified.
#[derive(Clone, Debug)]
pub struct Image {
    header: Header,
    sections: Vec<Section>,
    metadata: Option<Map<String, Value>>,
    signature: Option<Signature>,
}

impl Image {
    /// Builds an image for x86-64 without a signature. The same parts give the same bytes.
    ///
    /// # Errors
    /// An [`Error`] for each part that no image can hold.
    pub fn build(parts: Parts<'_>) -> Result<Self> {
        let section = |kind, data| Section { kind, data };
        let mut sections = vec![
            section(Kind::Kernel, parts.kernel.to_vec()),
            section(Kind::CommandLine, parts.command_line.as_bytes().to_vec()),
            section(Kind::Metadata, parts.metadata.encode()?),
        ];
        sections.extend(parts.ramdisks.into_iter().map(|data| section(Kind::Ramdisk, data)));
        Self::of(Header::default(), sections)
    }

    /// Adds a signature of this image.
    ///
    /// # Errors
    /// [`Error::Repeated`] when it has one, [`Error::SignedOther`] when the signature is not of this image.
    pub fn signed(mut self, signature: &Signature) -> Result<Self> {
        signature.verify(&self.measurements().pcr0)?;
        self.sections.push(Section { kind: Kind::Signature, data: signature.encode()? });
        Self::of(self.header, self.sections)
    }

    /// Reads an image. What is accepted is what AWS's tools and [`Image::to_bytes`] write: one kernel, one command line and at least one
    /// ramdisk, in this order, the table of the header telling just where each is. A signature is read, and not verified.
    ///
    /// # Errors
    /// An [`Error`] for each reason; never a panic, whatever the bytes.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        let (header, places) = Header::decode(bytes)?;
        let mut rest = bytes.get(header::HEADER..).unwrap_or_default();
        let mut sections = Vec::with_capacity(places.len());
        for (index, place) in places.into_iter().enumerate() {
            if place.offset != (bytes.len() - rest.len()) as u64 {
                return Err(Error::Table(index));
            }
            let (head, body) = rest.split_at_checked(SECTION_HEAD).ok_or(Error::Truncated(index))?;
            let kind = header::read_section_head(head, index, place)?;
            let size = usize::try_from(place.size).map_err(|_| Error::Truncated(index))?;
            let (data, behind) = body.split_at_checked(size).ok_or(Error::Truncated(index))?;
            sections.push(Section { kind, data: data.to_vec() });
            rest = behind;
        }
        if !rest.is_empty() {
            return Err(Error::Trailing(rest.len()));
        }
        Self::of(header, sections)
    }

    fn of(header: Header, sections: Vec<Section>) -> Result<Self> {
        check_order(&sections)?;
        let only = |kind| sections.iter().find(|section| section.kind == kind).map(Section::data);
        check_command_line(only(Kind::CommandLine).unwrap_or_default())?;
        let metadata = only(Kind::Metadata).map(metadata::decode).transpose()?;
        let signature = only(Kind::Signature).map(Signature::decode).transpose()?;
        let size = sections.iter().map(|section| SECTION_HEAD + section.data.len()).sum::<usize>() + header::HEADER;
        if size > limits::IMAGE {
            return Err(Error::TooLarge(size));
        }
        Ok(Self { header, sections, metadata, signature })
    }

    /// The image's file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let sizes: Vec<u64> = self.sections.iter().map(|section| section.data.len() as u64).collect();
        let mut bytes = self.header.encode(&sizes);
        for (section, size) in self.sections.iter().zip(sizes) {
            bytes.extend_from_slice(&header::section_head(section.kind, size));
            bytes.extend_from_slice(&section.data);
        }
        header::set_checksum(&mut bytes);
        bytes
    }

    /// What the header says besides where the sections are.
    pub fn header(&self) -> Header {
        self.header
    }

    /// The sections, in the order of the file.
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// The kernel's bytes.
    pub fn kernel(&self) -> &[u8] {
        self.sections.first().map(Section::data).unwrap_or_default()
    }

    /// The kernel's command line.
    pub fn command_line(&self) -> &str {
        let line = self.sections.get(1).map(Section::data).unwrap_or_default();
        std::str::from_utf8(line).unwrap_or_default()
    }

    /// The ramdisks, in their order.
    pub fn ramdisks(&self) -> impl Iterator<Item = &Section> {
        self.sections.iter().filter(|section| section.kind == Kind::Ramdisk)
    }

    /// What the image says of itself. Nothing of it is measured.
    pub fn metadata(&self) -> Option<&Map<String, Value>> {
        self.metadata.as_ref()
    }

    /// The signature, which has still to be verified.
    pub fn signature(&self) -> Option<&Signature> {
        self.signature.as_ref()
    }

    /// What the image measures to.
    pub fn measurements(&self) -> Measurements {
        Measurements::of(&self.sections, self.signature.as_ref().map(|signature| signature.certificate().der()))
    }
}

/// A kernel, its command line, and behind them at least one ramdisk and at most one of the others.
fn check_order(sections: &[Section]) -> Result<()> {
    if sections.len() > limits::SECTIONS {
        return Err(Error::TooManySections(sections.len()));
    }
    for (index, kind) in [Kind::Kernel, Kind::CommandLine].into_iter().enumerate() {
        if sections.get(index).map(Section::kind) != Some(kind) {
            return Err(Error::Missing(kind));
        }
    }
    for kind in Kind::ALL {
        match sections.iter().filter(|section| section.kind == kind).count() {
            0 if kind == Kind::Ramdisk => return Err(Error::Missing(kind)),
            0 | 1 => {}
            _ if kind == Kind::Ramdisk => {}
            _ => return Err(Error::Repeated(kind)),
        }
    }
    Ok(())
}

/// A command line is printable ASCII: where it is not, bytes of the kernel may have been passed off as part of it.
fn check_command_line(line: &[u8]) -> Result<()> {
    let refused = |reason| Err(Error::CommandLine(reason));
    if line.len() > limits::COMMAND_LINE {
        return refused("it has more bytes than Linux reads, 2047");
    }
    if line.iter().any(|byte| !matches!(byte, b' '..=b'~')) {
        return refused("it holds other bytes than printable ASCII");
    }
    Ok(())
}
