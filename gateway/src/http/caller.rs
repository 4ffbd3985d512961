//! Who makes a request, for each handler that has to know.

use std::net::IpAddr;

use axum::extract::FromRequestParts;
use http::header;
use http::request::Parts;

use super::problem::Problem;
use crate::access::{Caller, Denied};
use crate::gateway::Gateway;

/// From where a connection comes, where that is known.
#[derive(Clone, Copy)]
pub(super) struct From(pub(super) Option<IpAddr>);

impl From {
    pub(super) fn of(parts: &Parts) -> Option<IpAddr> {
        parts.extensions.get::<Self>().and_then(|from| from.0)
    }
}

impl FromRequestParts<Gateway> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, gateway: &Gateway) -> Result<Self, Problem> {
        let from = From::of(parts);
        let known = gateway.access.identify(&parts.method, &parts.headers, from).await;
        if let Err(denied @ (Denied::Unknown | Denied::Locked { .. } | Denied::Provider)) = known
            && parts.headers.contains_key(header::AUTHORIZATION)
        {
            gateway.sign_in_refused(denied, from).await?;
        }
        Ok(known?)
    }
}

/// From where a request comes.
pub(super) struct Origin(pub(super) Option<IpAddr>);

impl FromRequestParts<Gateway> for Origin {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &Gateway) -> Result<Self, Self::Rejection> {
        Ok(Self(From::of(parts)))
    }
}
