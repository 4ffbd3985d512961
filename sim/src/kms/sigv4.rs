//! Signature Version 4, the verifying side (IAM user guide, "Create a signed AWS API request").
//!
//! KMS takes only `POST /` without a query, which keeps the canonical request short.

use aws_lc_rs::{constant_time, digest, hmac};
use http::request::Parts;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

use super::limits::MAX_SKEW;
use super::principal::{Principal, Principals};
use crate::exception::Exception;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const SERVICE: &str = "kms";
/// Headers without which a signature could be moved to another request.
const ALWAYS_SIGNED: [&str; 3] = ["host", "x-amz-date", "x-amz-target"];

/// What an `Authorization` header says.
struct Authorization<'a> {
    access_key_id: &'a str,
    date: &'a str,
    region: &'a str,
    service: &'a str,
    signed_headers: &'a str,
    signature: &'a str,
}

/// Finds out who signed a request, and that it was for this service, here and now.
pub(crate) fn authenticate<'p>(
    parts: &Parts,
    body: &[u8],
    principals: &'p Principals,
    region: &str,
    now: OffsetDateTime,
) -> Result<&'p Principal, Exception> {
    let authorization = header(parts, "authorization")
        .ok_or_else(|| Exception::new("MissingAuthenticationTokenException", "Missing Authentication Token"))?;
    let authorization = Authorization::parse(authorization).ok_or_else(|| {
        Exception::new(
            "IncompleteSignatureException",
            "The Authorization header is not a complete AWS4-HMAC-SHA256 one",
        )
    })?;
    let time = check_scope(parts, &authorization, region)?;
    check_signed_headers(parts, authorization.signed_headers)?;
    let principal = principals.get(authorization.access_key_id).ok_or_else(unrecognised)?;
    check_token(parts, principal)?;
    check_signature(parts, body, &authorization, time, principal)?;
    if (now - time).unsigned_abs() > MAX_SKEW {
        let message = format!("Signature expired: {time} is not within 5 minutes of {now}");
        return Err(Exception::new("InvalidSignatureException", message));
    }
    if principal.expiration.is_some_and(|end| end <= now) {
        return Err(expired_token());
    }
    Ok(principal)
}

/// The refusal of credentials that have ended.
pub(crate) fn expired_token() -> Exception {
    Exception::new("ExpiredTokenException", "The security token included in the request is expired")
}

impl<'a> Authorization<'a> {
    fn parse(header: &'a str) -> Option<Self> {
        let (mut credential, mut signed_headers, mut signature) = (None, None, None);
        for field in header.strip_prefix(ALGORITHM)?.split(',') {
            let (name, value) = field.trim().split_once('=')?;
            let slot = match name {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut signed_headers,
                "Signature" => &mut signature,
                _ => return None,
            };
            if slot.replace(value).is_some() {
                return None;
            }
        }
        let mut scope = credential?.split('/');
        let parsed = Self {
            access_key_id: scope.next()?,
            date: scope.next()?,
            region: scope.next()?,
            service: scope.next()?,
            signed_headers: signed_headers?,
            signature: signature?,
        };
        (scope.next() == Some("aws4_request") && scope.next().is_none()).then_some(parsed)
    }
}

fn check_scope(parts: &Parts, authorization: &Authorization<'_>, region: &str) -> Result<OffsetDateTime, Exception> {
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    let date = header(parts, "x-amz-date").unwrap_or_default();
    let time = PrimitiveDateTime::parse(date, format).map_err(|_| {
        Exception::new("IncompleteSignatureException", "X-Amz-Date is missing or not of the form 20260102T030405Z")
    })?;
    let wrong = |message: String| Err(Exception::new("InvalidSignatureException", message));
    if !date.starts_with(authorization.date) || authorization.date.len() != 8 {
        return wrong("Credential should be scoped to the day of X-Amz-Date".into());
    }
    if authorization.region != region {
        return wrong(format!("Credential should be scoped to a valid region, not {:?}", authorization.region));
    }
    if authorization.service != SERVICE {
        return wrong(format!("Credential should be scoped to correct service: '{SERVICE}'"));
    }
    Ok(time.assume_utc())
}

fn check_signed_headers(parts: &Parts, signed_headers: &str) -> Result<(), Exception> {
    let signed: Vec<&str> = signed_headers.split(';').collect();
    let token = parts.headers.contains_key("x-amz-security-token").then_some("x-amz-security-token");
    match ALWAYS_SIGNED.into_iter().chain(token).find(|name| !signed.contains(name)) {
        Some(name) => Err(Exception::new("InvalidSignatureException", format!("'{name}' must be a signed header"))),
        None => Ok(()),
    }
}

fn check_token(parts: &Parts, principal: &Principal) -> Result<(), Exception> {
    let given = header(parts, "x-amz-security-token").unwrap_or_default();
    let expected = principal.session_token.as_deref().unwrap_or_default();
    constant_time::verify_slices_are_equal(given.as_bytes(), expected.as_bytes()).map_err(|_| unrecognised())
}

fn check_signature(
    parts: &Parts,
    body: &[u8],
    authorization: &Authorization<'_>,
    time: OffsetDateTime,
    principal: &Principal,
) -> Result<(), Exception> {
    let mismatch = || {
        let message = "The request signature we calculated does not match the signature you provided. Check your AWS Secret \
                       Access Key and signing method.";
        Exception::new("InvalidSignatureException", message)
    };
    let canonical = canonical_request(parts, body, authorization.signed_headers).ok_or_else(mismatch)?;
    let Authorization { date, region, service, .. } = *authorization;
    let stamp = time
        .format(format_description!("[year][month][day]T[hour][minute][second]Z"))
        .map_err(|_| Exception::internal())?;
    let to_sign =
        format!("{ALGORITHM}\n{stamp}\n{date}/{region}/{service}/aws4_request\n{}", sha256_hex(canonical.as_bytes()));
    let secret = format!("AWS4{}", principal.secret_access_key);
    let mut key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    for scope in [date, region, service, "aws4_request"] {
        key = hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, scope.as_bytes()).as_ref());
    }
    let signature = hex::decode(authorization.signature).map_err(|_| mismatch())?;
    hmac::verify(&key, to_sign.as_bytes(), &signature).map_err(|_| mismatch())
}

/// None when a signed header is absent.
fn canonical_request(parts: &Parts, body: &[u8], signed_headers: &str) -> Option<String> {
    let mut canonical = format!("{}\n/\n\n", parts.method);
    for name in signed_headers.split(';') {
        let mut values = Vec::new();
        for value in parts.headers.get_all(name) {
            let words: Vec<&str> = value.to_str().ok()?.split_ascii_whitespace().collect();
            values.push(words.join(" "));
        }
        if values.is_empty() {
            return None;
        }
        canonical.push_str(&format!("{name}:{}\n", values.join(",")));
    }
    canonical.push_str(&format!("\n{signed_headers}\n{}", sha256_hex(body)));
    Some(canonical)
}

fn header<'a>(parts: &'a Parts, name: &str) -> Option<&'a str> {
    parts.headers.get(name).and_then(|value| value.to_str().ok())
}

fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, bytes))
}

fn unrecognised() -> Exception {
    Exception::new("UnrecognizedClientException", "The security token included in the request is invalid.")
}
