//! The real module: `/dev/nsm` of a Nitro Enclave, through AWS's own driver crate.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use aws_nitro_enclaves_nsm_api::api::{Digest as DeviceDigest, ErrorCode, Request, Response};
use aws_nitro_enclaves_nsm_api::driver::nsm_process_request;
use serde_bytes::ByteBuf;

use crate::{AttestRequest, Description, Digest, Error, Nsm, Pcr, Result, limits};

/// Where the kernel puts the module.
pub const DEVICE_PATH: &str = "/dev/nsm";

/// The Nitro Security Module of the enclave that this process runs in. Opened once, closed when dropped.
#[derive(Debug)]
pub struct Device {
    // AWS's `nsm_init` reports a failure as -1 and keeps the reason to itself, so the file is opened here.
    file: OwnedFd,
}

impl Device {
    /// Opens the device. [`Error::NoDevice`] tells a machine that is no enclave from one whose device is broken.
    pub fn open() -> Result<Self> {
        match OpenOptions::new().read(true).write(true).open(DEVICE_PATH) {
            Ok(file) => Ok(Self { file: file.into() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::NoDevice),
            Err(error) => Err(Error::Open(error)),
        }
    }

    fn call(&self, request: Request) -> Result<Response> {
        refuse_error(nsm_process_request(self.file.as_raw_fd(), request))
    }
}

impl Nsm for Device {
    fn describe(&self) -> Result<Description> {
        description(self.call(Request::DescribeNSM)?)
    }

    fn describe_pcr(&self, index: u16) -> Result<Pcr> {
        match self.call(Request::DescribePCR { index })? {
            Response::DescribePCR { lock, data } => Ok(Pcr { locked: lock, value: data }),
            _ => Err(Error::UnexpectedResponse { asked: "DescribePCR" }),
        }
    }

    fn get_random(&self) -> Result<Vec<u8>> {
        match self.call(Request::GetRandom)? {
            Response::GetRandom { random } if (1..=limits::RANDOM).contains(&random.len()) => Ok(random),
            _ => Err(Error::UnexpectedResponse { asked: "GetRandom" }),
        }
    }

    fn extend(&self, index: u16, data: &[u8]) -> Result<Vec<u8>> {
        match self.call(Request::ExtendPCR { index, data: data.to_vec() })? {
            Response::ExtendPCR { data } => Ok(data),
            _ => Err(Error::UnexpectedResponse { asked: "ExtendPCR" }),
        }
    }

    fn lock(&self, index: u16) -> Result<()> {
        match self.call(Request::LockPCR { index })? {
            Response::LockPCR => Ok(()),
            _ => Err(Error::UnexpectedResponse { asked: "LockPCR" }),
        }
    }

    fn lock_range(&self, count: u16) -> Result<()> {
        match self.call(Request::LockPCRs { range: count })? {
            Response::LockPCRs => Ok(()),
            _ => Err(Error::UnexpectedResponse { asked: "LockPCRs" }),
        }
    }

    fn attest(&self, request: &AttestRequest) -> Result<Vec<u8>> {
        let request = Request::Attestation {
            user_data: request.user_data.clone().map(ByteBuf::from),
            nonce: request.nonce.clone().map(ByteBuf::from),
            public_key: request.public_key.clone().map(ByteBuf::from),
        };
        match self.call(request)? {
            Response::Attestation { document } => Ok(document),
            _ => Err(Error::UnexpectedResponse { asked: "Attestation" }),
        }
    }
}

fn description(response: Response) -> Result<Description> {
    match response {
        Response::DescribeNSM {
            version_major,
            version_minor,
            version_patch,
            module_id,
            max_pcrs,
            locked_pcrs,
            digest,
        } => Ok(Description {
            version: (version_major, version_minor, version_patch),
            module_id,
            max_pcrs,
            locked_pcrs,
            digest: match digest {
                DeviceDigest::SHA256 => Digest::Sha256,
                DeviceDigest::SHA384 => Digest::Sha384,
                DeviceDigest::SHA512 => Digest::Sha512,
            },
        }),
        _ => Err(Error::UnexpectedResponse { asked: "DescribeNSM" }),
    }
}

fn refuse_error(response: Response) -> Result<Response> {
    let Response::Error(code) = response else { return Ok(response) };
    Err(match code {
        ErrorCode::InvalidArgument => Error::InvalidArgument,
        ErrorCode::InvalidIndex => Error::InvalidIndex,
        ErrorCode::InvalidResponse => Error::InvalidResponse,
        ErrorCode::ReadOnlyIndex => Error::ReadOnlyIndex,
        ErrorCode::InvalidOperation => Error::InvalidOperation,
        ErrorCode::BufferTooSmall => Error::BufferTooSmall,
        ErrorCode::InputTooLarge => Error::InputTooLarge,
        // `Success` inside an error is a contradiction, not a success.
        ErrorCode::Success | ErrorCode::InternalError => Error::InternalError,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn without_the_device_opening_says_that_this_is_no_enclave() {
        if Path::new(DEVICE_PATH).exists() {
            println!("skipped: this machine has {DEVICE_PATH}");
            return;
        }
        let error = Device::open().unwrap_err();
        assert!(matches!(error, Error::NoDevice), "{error:?}");
        assert!(error.to_string().contains("not a Nitro Enclave"), "{error}");
    }

    #[test]
    fn a_device_that_does_not_know_the_ioctl_is_an_internal_error() {
        // /dev/null opens like the device and answers ENOTTY to its ioctl.
        let file = OpenOptions::new().read(true).write(true).open("/dev/null").unwrap();
        let device = Device { file: file.into() };
        assert!(matches!(device.get_random(), Err(Error::InternalError)));
        assert!(matches!(device.attest(&AttestRequest::default()), Err(Error::InternalError)));
    }

    #[test]
    fn a_request_beyond_the_devices_buffer_is_refused_before_the_ioctl() {
        let file = OpenOptions::new().read(true).write(true).open("/dev/null").unwrap();
        let device = Device { file: file.into() };
        assert!(matches!(device.extend(16, &[0; limits::REQUEST]), Err(Error::InputTooLarge)));
    }

    #[test]
    fn each_error_code_of_the_device_has_its_own_error() {
        let of = |code| refuse_error(Response::Error(code)).unwrap_err();
        assert!(matches!(of(ErrorCode::InvalidArgument), Error::InvalidArgument));
        assert!(matches!(of(ErrorCode::InvalidIndex), Error::InvalidIndex));
        assert!(matches!(of(ErrorCode::InvalidResponse), Error::InvalidResponse));
        assert!(matches!(of(ErrorCode::ReadOnlyIndex), Error::ReadOnlyIndex));
        assert!(matches!(of(ErrorCode::InvalidOperation), Error::InvalidOperation));
        assert!(matches!(of(ErrorCode::BufferTooSmall), Error::BufferTooSmall));
        assert!(matches!(of(ErrorCode::InputTooLarge), Error::InputTooLarge));
        assert!(matches!(of(ErrorCode::InternalError), Error::InternalError));
        assert!(matches!(of(ErrorCode::Success), Error::InternalError));
    }

    #[test]
    fn a_description_carries_over_every_field() {
        let response = Response::DescribeNSM {
            version_major: 1,
            version_minor: 2,
            version_patch: 3,
            module_id: "i-0-enc0".into(),
            max_pcrs: 32,
            locked_pcrs: BTreeSet::from([0, 16]),
            digest: DeviceDigest::SHA384,
        };
        let expected = Description {
            version: (1, 2, 3),
            module_id: "i-0-enc0".into(),
            max_pcrs: 32,
            locked_pcrs: BTreeSet::from([0, 16]),
            digest: Digest::Sha384,
        };
        assert_eq!(description(response).unwrap(), expected);
        let error = description(Response::LockPCR).unwrap_err();
        assert!(matches!(error, Error::UnexpectedResponse { asked: "DescribeNSM" }));
    }
}
