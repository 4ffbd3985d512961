//! An HTTP server in front of a registry, which counts and breaks.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// What happens to a request.
#[derive(Clone)]
pub enum Fault {
    /// It is answered here.
    Answer(u16, Vec<(&'static str, String)>, &'static str),
    /// It is answered here before its body is read, and the connection ends.
    Early(u16),
    /// The connection ends after so many bytes of its body.
    CutRequest(u64),
    /// The connection ends after so many bytes of the answer's body.
    CutAnswer(usize),
    /// It goes through, and its answer gets other headers.
    Headers(Vec<(&'static str, String)>),
    /// It goes through, and a byte of its answer is another.
    Spoil,
    /// It is answered here, with so many bytes of 7.
    Sevens(usize),
    /// Its body is read and thrown away, and it is answered here.
    Swallow(u16, Vec<(&'static str, String)>),
}

struct Rule {
    method: Method,
    part: String,
    times: usize,
    fault: Fault,
}

/// What was asked.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: Method,
    pub path: String,
    pub body: u64,
    pub authorized: bool,
}

#[derive(Default)]
struct Inner {
    rules: Mutex<Vec<Rule>>,
    seen: Mutex<Vec<Seen>>,
    swallowed: AtomicU64,
}

#[derive(Clone)]
pub struct Front {
    pub address: SocketAddr,
    inner: Arc<Inner>,
}

impl Front {
    /// In front of the registry at this port.
    pub async fn start(upstream: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let front = Self { address: listener.local_addr().unwrap(), inner: Arc::default() };
        let server = front.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let front = server.clone();
                tokio::spawn(async move {
                    let service = service_fn(move |request| front.clone().serve(request, upstream));
                    http1::Builder::new().serve_connection(TokioIo::new(stream), service).await.ok();
                });
            }
        });
        front
    }

    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// The next `times` requests of this method whose path has this part meet the fault.
    pub fn fault(&self, method: Method, part: &str, times: usize, fault: Fault) {
        self.inner.rules.lock().unwrap().push(Rule { method, part: part.to_owned(), times, fault });
    }

    pub fn clear(&self) {
        self.inner.rules.lock().unwrap().clear();
        self.inner.seen.lock().unwrap().clear();
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.inner.seen.lock().unwrap().clone()
    }

    /// Bytes of the uploads' bodies.
    pub fn uploaded(&self) -> u64 {
        self.seen().iter().filter(|seen| seen.path.contains("/blobs/uploads/")).map(|seen| seen.body).sum()
    }

    pub fn swallowed(&self) -> u64 {
        self.inner.swallowed.load(Ordering::Relaxed)
    }

    fn matching(&self, method: &Method, path: &str) -> Option<Fault> {
        let mut rules = self.inner.rules.lock().unwrap();
        let rule = rules.iter_mut().find(|r| r.times > 0 && r.method == *method && path.contains(&r.part))?;
        rule.times -= 1;
        Some(rule.fault.clone())
    }

    async fn serve(self, request: Request<Incoming>, upstream: u16) -> Result<Response<Body>, &'static str> {
        let (head, mut body) = request.into_parts();
        let path = head.uri.path_and_query().unwrap().to_string();
        let fault = self.matching(&head.method, &path);
        let seen = |body: u64| {
            let authorized = head.headers.contains_key("authorization");
            let seen = Seen { method: head.method.clone(), path: path.clone(), body, authorized };
            self.inner.seen.lock().unwrap().push(seen);
        };
        if let Some(Fault::Early(status)) = fault {
            return Ok(answer(status, &[("connection", "close".to_owned())], b""));
        }
        let cut = if let Some(Fault::CutRequest(after)) = &fault { *after } else { u64::MAX };
        let swallow = matches!(fault, Some(Fault::Swallow(..)));
        let (mut bytes, mut length) = (Vec::new(), 0);
        while let Some(frame) = body.frame().await {
            let Some(data) = frame.ok().and_then(|frame| frame.into_data().ok()) else { break };
            length += data.len() as u64;
            if swallow {
                self.inner.swallowed.fetch_add(data.len() as u64, Ordering::Relaxed);
            } else {
                bytes.extend_from_slice(&data);
            }
            if length >= cut {
                break;
            }
        }
        seen(length);
        match fault {
            Some(Fault::CutRequest(_)) => Err("cut"),
            Some(Fault::Answer(status, headers, text)) => Ok(answer(status, &headers, text.as_bytes())),
            Some(Fault::Sevens(length)) => Ok(sevens(length)),
            Some(Fault::Swallow(status, headers)) => Ok(answer(status, &headers, b"")),
            fault => pass(Request::from_parts(head, Full::new(bytes.into())), upstream, fault).await,
        }
    }
}

fn answer(status: u16, headers: &[(&'static str, String)], body: &[u8]) -> Response<Body> {
    let mut response = Response::new(full(Bytes::copy_from_slice(body)));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    for (name, value) in headers {
        response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::try_from(value).unwrap());
    }
    response
}

async fn pass(
    request: Request<Full<Bytes>>,
    upstream: u16,
    fault: Option<Fault>,
) -> Result<Response<Body>, &'static str> {
    let stream = TcpStream::connect(("127.0.0.1", upstream)).await.map_err(|_| "no upstream")?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|_| "no upstream")?;
    tokio::spawn(connection);
    let (mut head, body) = sender.send_request(request).await.map_err(|_| "no answer")?.into_parts();
    let mut body = body.collect().await.map_err(|_| "half an answer")?.to_bytes();
    match fault {
        Some(Fault::CutAnswer(after)) => {
            let pieces = [Ok(Frame::data(body.slice(..after.min(body.len())))), Err(std::io::Error::other("cut"))];
            let body = StreamBody::new(futures_util::stream::iter(pieces)).boxed_unsync();
            return Ok(Response::from_parts(head, body));
        }
        Some(Fault::Headers(headers)) => {
            for (name, value) in headers {
                head.headers.insert(HeaderName::from_static(name), HeaderValue::try_from(value).unwrap());
            }
        }
        Some(Fault::Spoil) => {
            let mut other = body.to_vec();
            if let Some(byte) = other.last_mut() {
                *byte ^= 1;
            }
            body = other.into();
        }
        _ => {}
    }
    Ok(Response::from_parts(head, full(body)))
}

fn sevens(length: usize) -> Response<Body> {
    const PIECE: usize = 64 * 1024;
    let pieces = (0..length.div_ceil(PIECE))
        .map(move |at| Ok(Frame::data(Bytes::from(vec![7; PIECE.min(length - at * PIECE)]))));
    Response::new(StreamBody::new(futures_util::stream::iter(pieces)).boxed_unsync())
}

fn full(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}
