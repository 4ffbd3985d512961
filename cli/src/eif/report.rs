//! What `cloister eif inspect` says of an image: to a person, or as JSON (docs/eif.md).

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::time::SystemTime;

use cloister_eif::{Certificate, Image, Kernel, Kind, Section, Signature, limits, ramdisk};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::words::{meaning, rfc3339};

/// What a change of leaves every measurement as it is.
const NOT_MEASURED: [&str; 4] = [
    "the metadata",
    "the signature, whose certificate PCR8 measures",
    "the default memory and processors and the architecture in the header",
    "where kernel, command line and ramdisks end: they are measured as if they were one",
];

/// An image, in words.
#[derive(Serialize)]
pub(super) struct Report<'a> {
    bytes: usize,
    architecture: &'static str,
    default_memory: u64,
    default_cpus: u64,
    sections: Vec<Row>,
    command_line: &'a str,
    kernel: KernelFacts<'a>,
    ramdisks: Vec<Ramdisk>,
    metadata: Option<&'a Map<String, Value>>,
    signature: Option<Signed<'a>>,
    pcrs: BTreeMap<u16, String>,
    not_measured: [&'static str; 4],
}

#[derive(Serialize)]
struct Row {
    kind: String,
    bytes: usize,
    sha384: String,
    measured_into: Vec<u16>,
}

#[derive(Default, Serialize)]
struct KernelFacts<'a> {
    refused: Option<String>,
    release: Option<&'a str>,
    stated_bytes: Option<u64>,
    bytes_behind: u64,
}

#[derive(Serialize)]
struct Ramdisk {
    refused: Option<String>,
    files: Vec<File>,
}

#[derive(Serialize)]
struct File {
    path: String,
    mode: String,
    owner: String,
    time: u32,
    bytes: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<String>,
    sha384: String,
}

#[derive(Serialize)]
struct Signed<'a> {
    verifies: bool,
    refused: Option<String>,
    subject: &'a str,
    issuer: &'a str,
    not_before: String,
    not_after: String,
    certificate_refused: Option<String>,
    certificate_sha384: String,
}

impl<'a> Report<'a> {
    /// What there is to say of an image at that time.
    pub(super) fn of(image: &'a Image, at: SystemTime) -> Self {
        let header = image.header();
        let measurements = image.measurements();
        Self {
            bytes: image.to_bytes().len(),
            architecture: if header.arm64 { "arm64" } else { "x86-64" },
            default_memory: header.memory,
            default_cpus: header.cpus,
            sections: rows(image),
            command_line: image.command_line(),
            kernel: KernelFacts::of(image.kernel()),
            ramdisks: image.ramdisks().map(|section| Ramdisk::of(section.data())).collect(),
            metadata: image.metadata(),
            signature: image.signature().map(|signature| Signed::of(signature, &measurements.pcr0, at)),
            pcrs: measurements.registers().map(|(index, value)| (index, hex::encode(value))).collect(),
            not_measured: NOT_MEASURED,
        }
    }
}

impl<'a> KernelFacts<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        match Kernel::new(bytes) {
            Err(error) => Self { refused: Some(error.to_string()), ..Self::default() },
            Ok(kernel) => Self {
                refused: None,
                release: kernel.release(),
                stated_bytes: Some(kernel.stated_length()),
                bytes_behind: bytes.len() as u64 - kernel.stated_length(),
            },
        }
    }
}

impl Ramdisk {
    fn of(bytes: &[u8]) -> Self {
        match ramdisk::list(bytes) {
            Err(error) => Self { refused: Some(error.to_string()), files: Vec::new() },
            Ok(files) => Self { refused: None, files: files.iter().map(File::from).collect() },
        }
    }
}

fn rows(image: &Image) -> Vec<Row> {
    let mut ramdisks = 0;
    let row = |section: &Section| {
        let (kind, measured_into) = match section.kind() {
            Kind::Ramdisk => {
                ramdisks += 1;
                (format!("ramdisk {ramdisks}"), vec![0, if ramdisks == 1 { 1 } else { 2 }])
            }
            kind @ (Kind::Kernel | Kind::CommandLine) => (kind.to_string(), vec![0, 1]),
            kind @ (Kind::Metadata | Kind::Signature) => (kind.to_string(), Vec::new()),
        };
        Row { kind, bytes: section.data().len(), sha384: hex::encode(section.sha384()), measured_into }
    };
    image.sections().iter().map(row).collect()
}

impl From<&ramdisk::File> for File {
    fn from(file: &ramdisk::File) -> Self {
        let (major, minor) = file.device;
        Self {
            path: file.path.escape_ascii().to_string(),
            mode: format!("{:06o}", file.mode),
            owner: format!("{}:{}", file.owner, file.group),
            time: file.time,
            bytes: file.size,
            device: file.is_device().then(|| format!("{major},{minor}")),
            sha384: hex::encode(file.sha384),
        }
    }
}

impl<'a> Signed<'a> {
    fn of(signature: &'a Signature, pcr0: &[u8; limits::PCR], at: SystemTime) -> Self {
        let certificate: &Certificate = signature.certificate();
        let verified = signature.verify(pcr0);
        Self {
            verifies: verified.is_ok(),
            refused: verified.err().map(|error| error.to_string()),
            subject: certificate.subject(),
            issuer: certificate.issuer(),
            not_before: rfc3339(certificate.not_before()),
            not_after: rfc3339(certificate.not_after()),
            certificate_refused: certificate.check_validity(at).err().map(|error| error.to_string()),
            certificate_sha384: hex::encode(cloister_eif::sha384(certificate.der())),
        }
    }
}

impl Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (size, memory) = (self.bytes as f64 / 1e6, self.default_memory >> 20);
        writeln!(f, "enclave image for {}, {size:.1} MB ({} bytes)", self.architecture, self.bytes)?;
        writeln!(f, "started without numbers it gets {memory} MiB and {} processors\n", self.default_cpus)?;
        for row in &self.sections {
            let into: Vec<String> = row.measured_into.iter().map(|pcr| format!("PCR{pcr}")).collect();
            let into = if into.is_empty() { "not measured".to_owned() } else { into.join(" ") };
            writeln!(f, "{:13} {:>10}  {into:12}  SHA-384 {}", row.kind, row.bytes, row.sha384)?;
        }
        writeln!(f, "\ncommand line  {}", self.command_line)?;
        self.write_kernel(f)?;
        for (index, ramdisk) in self.ramdisks.iter().enumerate() {
            write_ramdisk(f, index + 1, ramdisk)?;
        }
        self.write_metadata(f)?;
        self.write_signature(f)?;
        for (index, value) in &self.pcrs {
            writeln!(f, "PCR{index}  {value}  {}", meaning(*index))?;
        }
        write!(f, "\nNot measured: {}.", self.not_measured.join("; "))
    }
}

/// What is quoted comes from the image: escaped, it cannot steer a terminal.
impl Report<'_> {
    fn write_kernel(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kernel = &self.kernel;
        if let Some(refused) = &kernel.refused {
            return writeln!(f, "kernel        {refused}");
        }
        writeln!(f, "kernel        {}", kernel.release.unwrap_or("without a version"))?;
        if kernel.bytes_behind > 0 {
            let behind = kernel.bytes_behind;
            writeln!(
                f,
                "              with {behind} bytes behind its end: a Secure Boot signature, or the command line's first words"
            )?;
        }
        Ok(())
    }

    fn write_metadata(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(metadata) = self.metadata else { return writeln!(f, "\nmetadata      none\n") };
        writeln!(f, "\nmetadata, which is not measured and proves nothing")?;
        for (key, value) in metadata {
            writeln!(f, "  {}: {}", key.escape_debug(), printable(&value.to_string()))?;
        }
        writeln!(f)
    }

    fn write_signature(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(signature) = &self.signature else { return writeln!(f, "signature     none\n") };
        match &signature.refused {
            None => writeln!(f, "signature     verifies over PCR0")?,
            Some(refused) => writeln!(f, "signature     REFUSED: {refused}")?,
        }
        writeln!(f, "  subject     {}", signature.subject.escape_debug())?;
        writeln!(f, "  issuer      {}", signature.issuer.escape_debug())?;
        writeln!(f, "  validity    {} to {}", signature.not_before, signature.not_after)?;
        if let Some(refused) = &signature.certificate_refused {
            writeln!(f, "              REFUSED: {refused}")?;
        }
        writeln!(f, "  SHA-384     {}\n", signature.certificate_sha384)
    }
}

fn write_ramdisk(f: &mut fmt::Formatter<'_>, number: usize, ramdisk: &Ramdisk) -> fmt::Result {
    writeln!(f, "\nramdisk {number}")?;
    if let Some(refused) = &ramdisk.refused {
        writeln!(f, "  not listed: {refused}")?;
    }
    for file in &ramdisk.files {
        let size = file.device.clone().unwrap_or_else(|| file.bytes.to_string());
        writeln!(f, "  {} {:>6} {size:>10}  {}", file.mode, file.owner, file.path)?;
    }
    Ok(())
}

/// JSON whose unprintable characters are escaped; JSON's own escapes stay as they are.
fn printable(json: &str) -> String {
    let escape = |letter: char| match letter {
        '"' | '\\' | '\'' => letter.to_string(),
        other => other.escape_debug().to_string(),
    };
    json.chars().map(escape).collect()
}
