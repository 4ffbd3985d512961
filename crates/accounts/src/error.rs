//! Why something could not be read, planned or changed.

use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};

use crate::limits::{CODE_CHARS, MAX_TRIES, MESSAGE_CHARS};

/// What this crate's calls return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why something could not be read, planned or changed: one variant for each thing to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A name is not one of AWS's.
    #[error("{given:?} is not {what}: {rule}")]
    Name {
        /// What it should name.
        what: &'static str,
        /// What was given.
        given: String,
        /// What such names are made of.
        rule: &'static str,
    },
    /// No region is set.
    #[error("no region: give --region, or set AWS_REGION")]
    NoRegion,
    /// No credentials are set, or they cannot be had.
    #[error("no AWS credentials: set AWS_PROFILE, or log in ({0})")]
    NoCredentials(String),
    /// An identity of China's or the US government's regions.
    #[error("{arn} is of another partition than aws: China's and GovCloud's accounts are not provided for")]
    Partition {
        /// Whose credentials.
        arn: String,
    },
    /// KMS does not know whom a policy names.
    #[error(
        "KMS does not know one of {principals}: a policy can name only roles that are there. Has the data owner made its role (cloister consumer init)? KMS said: {said}"
    )]
    UnknownPrincipal {
        /// Whom the policy names.
        principals: String,
        /// KMS's words.
        said: String,
    },
    /// The credentials are of another account than the one that was meant.
    #[error("these credentials are {arn}, of the account {found}, and not of {expected}: nothing was changed")]
    OtherAccount {
        /// The account that was meant.
        expected: String,
        /// The credentials' own.
        found: String,
        /// Whose they are.
        arn: String,
    },
    /// The HTTP client could not be made.
    #[error("the connection to AWS cannot be set up: {0}")]
    Http(#[from] cloister_aws_http::Error),
    /// AWS cannot be reached.
    #[error("{call} had no answer: {said}")]
    Unreachable {
        /// The call, such as `ecr:CreateRepository`.
        call: &'static str,
        /// What is in the way.
        said: String,
    },
    /// The identity may not do it.
    #[error("{call} is not allowed to this identity ({said}). Give it the permission, or use another profile")]
    Denied {
        /// The call.
        call: &'static str,
        /// AWS's words.
        said: String,
    },
    /// The credentials have ended.
    #[error(
        "{call}: the AWS credentials have expired. Log in again and run the command again: what was done stays done"
    )]
    Expired {
        /// The call.
        call: &'static str,
    },
    /// Too many calls, even after the last try.
    #[error(
        "{call} is throttled, after {MAX_TRIES} tries with growing pauses. Run the command again later: what was done stays done"
    )]
    Throttled {
        /// The call.
        call: &'static str,
    },
    /// Another refusal.
    #[error("{call} was refused ({code}): {said}")]
    Refused {
        /// The call.
        call: &'static str,
        /// AWS's name for it.
        code: String,
        /// AWS's words.
        said: String,
    },
    /// An answer lacks what it has to have.
    #[error("the answer to {call} has no {what}")]
    Incomplete {
        /// The call.
        call: &'static str,
        /// What is missing.
        what: &'static str,
    },
    /// A policy document that cannot be read.
    #[error("{what} is not a policy that can be changed: {problem}. Nothing was changed")]
    Policy {
        /// Whose policy.
        what: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A bound of AWS's would be passed.
    #[error("{what} would have {count} {unit}, and AWS takes {limit}. Nothing was changed")]
    TooMany {
        /// What grows.
        what: String,
        /// How many it would have.
        count: usize,
        /// How many it may have.
        limit: usize,
        /// Of what.
        unit: &'static str,
    },
    /// Measurements that nothing may be released to.
    #[error("{0}")]
    Measurements(&'static str),
    /// A key was made, and what should follow failed.
    #[error(
        "the key {arn} was made, and what was to follow was not: {source}. Run the command again with --key {arn} (or --signing-key {arn}, if it is that one), or delete that key"
    )]
    HalfMade {
        /// The new key.
        arn: String,
        /// What failed.
        source: Box<Error>,
    },
    /// Something else has the name.
    #[error("{0}")]
    Conflict(String),
}

/// The names that AWS's services have for the same things.
const DENIED: [&str; 4] = ["AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "NotAuthorized"];
const EXPIRED: [&str; 4] = ["ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired"];
const THROTTLED: [&str; 5] =
    ["Throttling", "ThrottlingException", "ThrottledException", "TooManyRequestsException", "RequestLimitExceeded"];

/// What a call that failed comes to.
pub(crate) fn refused<E, R>(call: &'static str) -> impl Fn(SdkError<E, R>) -> Error
where
    E: ProvideErrorMetadata,
    SdkError<E, R>: std::error::Error,
{
    move |error| match error.as_service_error() {
        Some(service) => service_error(call, service),
        None => Error::Unreachable { call, said: reasons(&error) },
    }
}

/// An error and what is behind it.
pub(crate) fn reasons(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        said.push_str(": ");
        said.push_str(&error.to_string());
        next = error.source();
    }
    bounded(&said, MESSAGE_CHARS)
}

fn service_error(call: &'static str, error: &impl ProvideErrorMetadata) -> Error {
    let code = bounded(error.code().unwrap_or("no code"), CODE_CHARS);
    let said = bounded(error.message().unwrap_or("no reason given"), MESSAGE_CHARS);
    match code.as_str() {
        code if DENIED.contains(&code) => Error::Denied { call, said },
        code if EXPIRED.contains(&code) => Error::Expired { call },
        code if THROTTLED.contains(&code) => Error::Throttled { call },
        _ => Error::Refused { call, code, said },
    }
}

/// None where AWS says that there is nothing of that name.
pub(crate) fn absent<T, E, R>(
    call: &'static str,
    answer: std::result::Result<T, SdkError<E, R>>,
    codes: &[&str],
) -> Result<Option<T>>
where
    E: ProvideErrorMetadata,
    SdkError<E, R>: std::error::Error,
{
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(error) => {
            let code = error.as_service_error().and_then(ProvideErrorMetadata::code);
            if code.is_some_and(|code| codes.contains(&code)) { Ok(None) } else { Err(refused(call)(error)) }
        }
    }
}

/// The beginning of a text from outside, in printable characters.
fn bounded(text: &str, most: usize) -> String {
    text.chars().take(most).map(|c| if c.is_control() { ' ' } else { c }).collect()
}
