//! One request and its answer on a connection of their own.

use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use cloister_transport::{Address, Stream, connect_through, dial};
use http::{HeaderValue, Request, Response, Uri, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::connector::{Shared, Timeouts};
use crate::limits::MAX_RESPONSE_HEAD_BYTES;
use crate::target::Target;
use crate::{Egress, Error};

/// Asks and hands over the whole answer, whatever its status.
pub(crate) async fn exchange(shared: &Shared, timeouts: Timeouts, request: HttpRequest) -> Result<HttpResponse, Error> {
    let request = request.try_into_http1x().map_err(|error| Error::Request(error.to_string()))?;
    let target = Target::of(request.uri(), &shared.egress)?;
    let request = prepare(request, &target)?;
    if target.tls {
        let connect = async {
            let stream = reach(&shared.egress, &target, timeouts).await?;
            secure(shared, &target, stream).await
        };
        let after = timeouts.connect;
        let stream =
            timeout(after, connect).await.map_err(|_| Error::ConnectTimeout { host: target.host.clone(), after })??;
        ask(stream, request, &target, timeouts, shared.most).await
    } else {
        let stream = reach(&shared.egress, &target, timeouts).await?;
        ask(stream, request, &target, timeouts, shared.most).await
    }
}

/// Origin form, a `Host`, and the body from memory.
fn prepare(request: Request<SdkBody>, target: &Target) -> Result<Request<Full<Bytes>>, Error> {
    let (mut parts, body) = request.into_parts();
    let body = body.bytes().ok_or_else(|| Error::Request("its body is a stream".to_owned()))?;
    let body = Full::new(Bytes::copy_from_slice(body));
    let refused = |error: http::Error| Error::Request(error.to_string());
    if !parts.headers.contains_key(header::HOST) {
        let host = HeaderValue::try_from(target.authority()).map_err(|error| refused(error.into()))?;
        parts.headers.insert(header::HOST, host);
    }
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    parts.uri = Uri::try_from(path).map_err(|error| refused(error.into()))?;
    Ok(Request::from_parts(parts, body))
}

async fn reach(egress: &Egress, target: &Target, timeouts: Timeouts) -> Result<Stream, Error> {
    let Target { host, port, .. } = target;
    Ok(match egress {
        Egress::Direct => dial(&Address::Tcp { host: host.clone(), port: *port }, timeouts.connect).await?,
        Egress::Proxy(proxy) => connect_through(proxy, host, *port, timeouts.connect).await?,
    })
}

async fn secure(
    shared: &Shared,
    target: &Target,
    stream: Stream,
) -> Result<tokio_rustls::client::TlsStream<Stream>, Error> {
    let name = ServerName::try_from(target.host.clone())
        .map_err(|_| Error::Url { url: target.host.clone(), problem: "its host is no name" })?;
    TlsConnector::from(std::sync::Arc::clone(&shared.tls))
        .connect(name, stream)
        .await
        .map_err(|source| Error::Handshake { host: target.host.clone(), source })
}

async fn ask<S>(
    stream: S,
    request: Request<Full<Bytes>>,
    target: &Target,
    timeouts: Timeouts,
    most: usize,
) -> Result<HttpResponse, Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let after = timeouts.read;
    let answer = timeout(after, answer(stream, request, target, most)).await;
    let response = answer.map_err(|_| Error::ReadTimeout { host: target.host.clone(), after })??;
    HttpResponse::try_from(response).map_err(|error| Error::Request(error.to_string()))
}

async fn answer<S>(
    stream: S,
    request: Request<Full<Bytes>>,
    target: &Target,
    most: usize,
) -> Result<Response<SdkBody>, Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let broken = |source| Error::Http { host: target.host.clone(), source };
    let mut builder = http1::Builder::new();
    builder.max_buf_size(MAX_RESPONSE_HEAD_BYTES);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(broken)?;
    // Dropped with this future, and the connection with it.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let (parts, body) = sender.send_request(request).await.map_err(broken)?.into_parts();
    let body = Limited::new(body, most).collect().await.map_err(|error| match error.downcast::<hyper::Error>() {
        Ok(source) => broken(*source),
        Err(error) if error.is::<LengthLimitError>() => Error::TooLarge { host: target.host.clone(), limit: most },
        Err(error) => Error::Request(error.to_string()),
    })?;
    Ok(Response::from_parts(parts, SdkBody::from(body.to_bytes())))
}
