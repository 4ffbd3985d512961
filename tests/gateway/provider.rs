//! Sign-in at a provider of identities: a small one, which can be made to lie.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cloister_tests::{Gateway, Setup, World};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// What the provider does with the code that it gives out.
#[derive(Default)]
struct State {
    /// The parameters of the last request for a sign-in.
    asked: BTreeMap<String, String>,
    /// Claims that take the place of the right ones.
    lie: Value,
    keys_asked: usize,
}

struct Provider {
    issuer: String,
    key: EcdsaKeyPair,
    state: Mutex<State>,
}

fn new_key() -> EcdsaKeyPair {
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref()).unwrap()
}

/// A token in ES256 (RFC 7515).
fn token(key: &EcdsaKeyPair, claims: &Value) -> String {
    let head = URL_SAFE_NO_PAD.encode(json!({"alg": "ES256", "kid": "k1", "typ": "JWT"}).to_string());
    let signed = format!("{head}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let signature = key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn parameters(query: &str) -> BTreeMap<String, String> {
    let decoded = |text: &str| {
        let bytes: Vec<u8> = percent_decode(text);
        String::from_utf8(bytes).unwrap()
    };
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), decoded(value)))
        .collect()
}

fn percent_decode(text: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((&first, after)) = rest.split_first() {
        if first == b'%' {
            bytes.push(u8::from_str_radix(std::str::from_utf8(&after[..2]).unwrap(), 16).unwrap());
            rest = &after[2..];
        } else {
            bytes.push(first);
            rest = after;
        }
    }
    bytes
}

impl Provider {
    async fn start() -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let provider = Arc::new(Self { issuer, key: new_key(), state: Mutex::default() });
        let shared = Arc::clone(&provider);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let provider = Arc::clone(&shared);
                tokio::spawn(async move {
                    let service = service_fn(move |request| Arc::clone(&provider).answer(request));
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await
                });
            }
        });
        provider
    }

    fn claims(&self, audience: &str) -> Value {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        json!({"iss": self.issuer, "aud": audience, "sub": "4711", "exp": now + 300, "iat": now,
            "preferred_username": "ruth", "name": "Dr Ruth", "realm": {"roles": ["radiologist"]}})
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let path = request.uri().path().to_owned();
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let issuer = &self.issuer;
        let answer = match path.as_str() {
            "/.well-known/openid-configuration" => json!({"issuer": issuer, "jwks_uri": format!("{issuer}/keys"),
                "authorization_endpoint": format!("{issuer}/authorize"), "token_endpoint": format!("{issuer}/token")}),
            "/keys" => {
                self.state.lock().unwrap().keys_asked += 1;
                let point = self.key.public_key().as_ref();
                let [x, y] = [&point[1..33], &point[33..65]].map(|half| URL_SAFE_NO_PAD.encode(half));
                json!({"keys": [{"kty": "EC", "crv": "P-256", "kid": "k1", "use": "sig", "alg": "ES256", "x": x, "y": y}]})
            }
            "/token" => self.exchange(&parameters(std::str::from_utf8(&body).unwrap())),
            _ => json!({}),
        };
        let status = if answer.get("error").is_some() { 400 } else { 200 };
        Ok(Response::builder().status(status).body(Full::from(answer.to_string())).unwrap())
    }

    /// A code for a token, if the verifier is the challenge's (RFC 7636, section 4.6).
    fn exchange(&self, given: &BTreeMap<String, String>) -> Value {
        let state = self.state.lock().unwrap();
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, given["code_verifier"].as_bytes()));
        let right = given["code"] == "the-code"
            && given["grant_type"] == "authorization_code"
            && given["redirect_uri"] == state.asked["redirect_uri"]
            && challenge == state.asked["code_challenge"];
        if !right {
            return json!({"error": "invalid_grant"});
        }
        let mut claims = self.claims("cloister");
        claims["nonce"] = json!(state.asked["nonce"]);
        for (name, value) in state.lie.as_object().into_iter().flatten() {
            claims[name] = value.clone();
        }
        json!({"id_token": token(&self.key, &claims), "access_token": "opaque", "token_type": "Bearer"})
    }
}

async fn gateway(provider: &Provider) -> (World, Gateway) {
    let world = World::start(Setup::default()).await;
    let folder = world.folder().join("gateway");
    let more = format!(
        "[access.oidc]\nissuer = {:?}\nclient_id = \"cloister\"\npublic_url = \"http://127.0.0.1\"\n\
         role_claim = \"realm.roles\"\nreader = \"radiologist\"\nadministrator = \"pacs-admin\"\n",
        provider.issuer
    );
    let gateway = Gateway::start(&folder, &[&world.server], &world.policy_file(), &more);
    (world, gateway)
}

/// Begins a sign-in as a browser does: what the provider is asked, and the browser's cookie.
async fn begin(provider: &Provider, gateway: &Gateway) -> (BTreeMap<String, String>, String) {
    let begun = gateway.client().get("/api/v1/session/oidc").await;
    assert_eq!(begun.status, 303);
    let (endpoint, query) = begun.header("location").unwrap().split_once('?').unwrap();
    assert_eq!(endpoint, format!("{}/authorize", provider.issuer));
    let asked = parameters(query);
    assert_eq!((asked["response_type"].as_str(), asked["code_challenge_method"].as_str()), ("code", "S256"));
    assert_eq!((asked["client_id"].as_str(), asked["scope"].as_str()), ("cloister", "openid"));
    assert_eq!(asked["redirect_uri"], "http://127.0.0.1/api/v1/session/oidc/callback");
    provider.state.lock().unwrap().asked = asked.clone();
    (asked, begun.header("set-cookie").unwrap().split(';').next().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_signs_in_at_the_provider_is_known_here_by_name_and_role() {
    let provider = Provider::start().await;
    let (_world, gateway) = gateway(&provider).await;
    assert_eq!(gateway.client().get("/api/v1/session").await.json()["sign_in"], "oidc");
    let (asked, cookie) = begin(&provider, &gateway).await;
    let back = format!("/api/v1/session/oidc/callback?state={}&code=the-code", asked["state"]);
    // Another browser cannot be made to end it.
    assert_eq!(gateway.client().get(&back).await.status, 403);
    let (asked, _) = begin(&provider, &gateway).await;
    let back = format!("/api/v1/session/oidc/callback?state={}&code=the-code", asked["state"]);
    assert_eq!(gateway.client().with("cookie", &cookie).get(&back).await.status, 403, "another sign-in's cookie");

    let (asked, cookie) = begin(&provider, &gateway).await;
    let back = format!("/api/v1/session/oidc/callback?state={}&code=the-code", asked["state"]);
    let browser = gateway.client().with("cookie", &cookie);
    let ended = browser.get(&back).await;
    assert_eq!((ended.status, ended.header("location")), (303, Some("/")));
    let session = ended.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let user = gateway.client().with("cookie", &session).get("/api/v1/session").await.json();
    assert_eq!(user["user"], json!({"name": "ruth", "display": "Dr Ruth", "role": "reader"}));
    assert_eq!(browser.get(&back).await.status, 401, "a state is good for once");
    let passwords = gateway
        .client()
        .ask("POST", "/api/v1/session", "application/json", "{\"user\":\"a\",\"password\":\"b\"}")
        .await;
    assert_eq!(passwords.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_not_for_this_sign_in_opens_nothing() {
    let provider = Provider::start().await;
    let (_world, gateway) = gateway(&provider).await;
    for lie in [
        json!({"nonce": "another"}),
        json!({"aud": "another"}),
        json!({"iss": "https://another.example"}),
        json!({"exp": 1_000_000_000}),
        json!({"realm": {"roles": ["visitor"]}}),
    ] {
        provider.state.lock().unwrap().lie = lie.clone();
        let (asked, cookie) = begin(&provider, &gateway).await;
        let back = format!("/api/v1/session/oidc/callback?state={}&code=the-code", asked["state"]);
        let ended = gateway.client().with("cookie", &cookie).get(&back).await;
        assert_eq!((ended.status, ended.problem().as_str()), (401, "sign-in-refused"), "{lie}");
    }
    provider.state.lock().unwrap().lie = Value::Null;
    let (asked, cookie) = begin(&provider, &gateway).await;
    let wrong = format!("/api/v1/session/oidc/callback?state={}&code=another-code", asked["state"]);
    assert_eq!(gateway.client().with("cookie", &cookie).get(&wrong).await.status, 401);
    // A person's browser is sent to the page, which has words for it.
    let (asked, cookie) = begin(&provider, &gateway).await;
    let browser = gateway.client().with("cookie", &cookie).with("accept", "text/html,application/xhtml+xml,*/*;q=0.8");
    let denied = format!("/api/v1/session/oidc/callback?state={}&error=access_denied", asked["state"]);
    let ended = browser.get(&denied).await;
    assert_eq!((ended.status, ended.header("location")), (303, Some("/?sign-in=sign-in-refused")));
    assert_eq!(ended.header("set-cookie"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn machines_bring_tokens_and_forged_ones_do_not_keep_the_provider_busy() {
    let provider = Provider::start().await;
    let (_world, gateway) = gateway(&provider).await;
    let bearer = |token: &str| gateway.client().with("authorization", &format!("Bearer {token}"));
    let right = token(&provider.key, &provider.claims("cloister"));
    assert_eq!(bearer(&right).get("/api/v1/exams").await.status, 200);
    let check = bearer(&right).ask("POST", "/api/v1/enclaves/check", "text/plain", "").await;
    assert_eq!(check.status, 200, "a token needs no word against forgery");
    let forged = token(&new_key(), &provider.claims("cloister"));
    let unsigned = format!(
        "{}.{}.",
        URL_SAFE_NO_PAD.encode("{\"alg\":\"none\"}"),
        URL_SAFE_NO_PAD.encode(provider.claims("cloister").to_string())
    );
    // The provider's public key, taken for a secret.
    let confused = right.replacen(
        right.split('.').next().unwrap(),
        &URL_SAFE_NO_PAD.encode("{\"alg\":\"HS256\",\"kid\":\"k1\"}"),
        1,
    );
    let unknown = format!("{}.{}", URL_SAFE_NO_PAD.encode("{\"alg\":\"ES256\",\"kid\":\"k2\"}"), "e30.AAAA");
    for wrong in [&forged, &unsigned, &confused, &unknown, "a.b.c", ""] {
        for _ in 0..5 {
            assert_eq!(bearer(wrong).get("/api/v1/exams").await.status, 401, "{wrong}");
        }
    }
    assert_eq!(provider.state.lock().unwrap().keys_asked, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machines_stream_of_events_ends_with_its_token() {
    const LEEWAY_SECONDS: u64 = 60;
    let provider = Provider::start().await;
    let (_world, gateway) = gateway(&provider).await;
    let streams = |seconds: u64| {
        let mut claims = provider.claims("cloister");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        claims["exp"] = json!(now + seconds - LEEWAY_SECONDS);
        let token = token(&provider.key, &claims);
        let machine = gateway.client().with("authorization", &format!("Bearer {token}"));
        // The answer comes when the stream has ended.
        tokio::spawn(async move { machine.get("/api/v1/events").await })
    };
    let (short, long) = (streams(10), streams(600));
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert!(!short.is_finished(), "it is good for some seconds more");
    let ended = tokio::time::timeout(std::time::Duration::from_secs(60), short).await;
    assert_eq!(ended.expect("the stream ends").unwrap().status, 200);
    assert!(!long.is_finished(), "another's token is still good");
    long.abort();
}
