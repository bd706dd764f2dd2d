//! A small OpenID provider on the loopback: it publishes its metadata and keys, exchanges codes for tokens, and
//! answers whatever a test configures. It has no sign-in page: a test decides what a code stands for.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub const CLIENT: &str = "provbroker";
/// Contains characters that have to be escaped.
pub const SECRET: &str = "client secret: +%&ü";

/// A key that signs tokens.
pub struct Key {
    pub id: &'static str,
    pair: EcdsaKeyPair,
}

impl Key {
    pub fn new(id: &'static str) -> Self {
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random).unwrap();
        Self { id, pair }
    }

    fn public(&self) -> Value {
        let (x, y) = self.pair.public_key().as_ref()[1..].split_at(32);
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        json!({"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.id, "x": text(x), "y": text(y)})
    }

    /// A valid token.
    pub fn sign(&self, claims: &Value) -> String {
        self.sign_with(&json!({}), claims)
    }

    /// A token whose header has further members, or others.
    pub fn sign_with(&self, more: &Value, claims: &Value) -> String {
        let mut header = json!({"alg": "ES256", "typ": "JWT", "kid": self.id});
        for (name, value) in more.as_object().unwrap() {
            header[name] = value.clone();
        }
        let message = parts(&header, claims);
        let signature = self.pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// A token that anybody who knows the public key can make.
    pub fn sign_with_public_key(&self, claims: &Value) -> String {
        let message = parts(&json!({"alg": "HS256", "typ": "JWT", "kid": self.id}), claims);
        let secret = hmac::Key::new(hmac::HMAC_SHA256, self.pair.public_key().as_ref());
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(hmac::sign(&secret, message.as_bytes())))
    }

    /// An unsigned token.
    pub fn not_signed(&self, claims: &Value) -> String {
        format!("{}.", parts(&json!({"alg": "none", "kid": self.id}), claims))
    }
}

fn parts(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}

/// What a code is exchanged for.
struct Grant {
    token: String,
    challenge: String,
}

#[derive(Default)]
struct State {
    published: Vec<Value>,
    grants: BTreeMap<String, Grant>,
    userinfo: Value,
    /// Overrides members of the metadata.
    metadata: Value,
    /// Requests so far, by path.
    requests: BTreeMap<String, u64>,
    wrong: Vec<String>,
}

/// See the module. Runs in its own thread.
pub struct Provider {
    pub addr: SocketAddr,
    state: Arc<Mutex<State>>,
    runtime: Handle,
    /// Ends the thread when it is dropped.
    _alive: oneshot::Sender<()>,
    serving: Option<JoinHandle<()>>,
}

impl Provider {
    pub fn start(keys: &[&Key]) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let (alive, ended) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let handle = runtime.handle().clone();
        std::thread::spawn(move || runtime.block_on(ended));
        let mut provider = Self { addr, state: Arc::default(), runtime: handle, _alive: alive, serving: None };
        provider.publish(keys);
        provider.serve(listener);
        provider
    }

    fn serve(&mut self, listener: std::net::TcpListener) {
        let (state, issuer) = (Arc::clone(&self.state), self.issuer());
        listener.set_nonblocking(true).unwrap();
        self.serving = Some(self.runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            let mut open = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                open.spawn(connection(stream, Arc::clone(&state), issuer.clone()));
                while open.try_join_next().is_some() {}
            }
        }));
    }

    pub fn issuer(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Publishes only these keys from now on.
    pub fn publish(&self, keys: &[&Key]) {
        self.state.lock().unwrap().published = keys.iter().map(|key| key.public()).collect();
    }

    /// Exchanges a code for a token. The code is accepted repeatedly, so a broker that relies on the provider to
    /// refuse it is detected.
    pub fn grant(&self, code: &str, token: &str, challenge: &str) {
        let grant = Grant { token: token.into(), challenge: challenge.into() };
        self.state.lock().unwrap().grants.insert(code.into(), grant);
    }

    pub fn say_more(&self, userinfo: Value) {
        self.state.lock().unwrap().userinfo = userinfo;
    }

    /// Publishes other metadata.
    pub fn describe(&self, metadata: Value) {
        self.state.lock().unwrap().metadata = metadata;
    }

    pub fn requests(&self, path: &str) -> u64 {
        let state = self.state.lock().unwrap();
        assert!(state.wrong.is_empty(), "{:?}", state.wrong);
        state.requests.get(path).copied().unwrap_or_default()
    }

    /// Stops at once, whatever it is doing.
    pub async fn die(&mut self) {
        let serving = self.serving.take().unwrap();
        serving.abort();
        let _ = serving.await;
    }

    /// Starts again at the same address.
    pub fn come_back(&mut self) {
        self.serve(std::net::TcpListener::bind(self.addr).unwrap());
    }
}

async fn connection(mut stream: TcpStream, state: Arc<Mutex<State>>, issuer: String) {
    let mut bytes = Vec::new();
    let (head, body) = loop {
        if stream.read_buf(&mut bytes).await.is_ok_and(|read| read == 0) {
            return;
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = field(head, "content-length").map_or(0, |length| length.parse().unwrap());
        if body.len() >= length {
            break (head.to_owned(), body.to_owned());
        }
    };
    let (status, answer) = answer(&mut state.lock().unwrap(), &issuer, &head, &body);
    let answer = answer.to_string();
    let head = format!("HTTP/1.1 {status} x\r\nContent-Type: application/json\r\nConnection: close\r\n");
    let _ = stream.write_all(format!("{head}Content-Length: {}\r\n\r\n{answer}", answer.len()).as_bytes()).await;
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = head.lines().filter_map(|line| line.split_once(": "));
    fields.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

fn answer(state: &mut State, issuer: &str, head: &str, body: &str) -> (u16, Value) {
    let path = head.split(' ').nth(1).unwrap_or_default();
    *state.requests.entry(path.into()).or_default() += 1;
    match path {
        "/.well-known/openid-configuration" => {
            let mut metadata = json!({
                "issuer": issuer,
                "authorization_endpoint": format!("{issuer}/auth?tenant=1"),
                "token_endpoint": format!("{issuer}/token"),
                "jwks_uri": format!("{issuer}/keys"),
                "userinfo_endpoint": format!("{issuer}/me"),
            });
            for (key, value) in state.metadata.as_object().into_iter().flatten() {
                metadata[key] = value.clone();
            }
            (200, metadata)
        }
        // One with an unknown algorithm is among them.
        "/keys" => {
            let keys = [vec![json!({"kty": "new", "kid": 7})], state.published.clone()].concat();
            (200, json!({ "keys": keys }))
        }
        "/me" if field(head, "authorization") == Some("Bearer access") => (200, state.userinfo.clone()),
        "/token" => match token(state, head, body) {
            Ok(token) => (200, json!({"access_token": "access", "token_type": "Bearer", "id_token": token})),
            Err((error, why)) => {
                if error != "invalid_grant" {
                    state.wrong.push(why.into());
                }
                (400, json!({"error": error, "error_description": why}))
            }
        },
        _ => (404, json!({})),
    }
}

fn token(state: &State, head: &str, body: &str) -> Result<String, (&'static str, &'static str)> {
    let form: BTreeMap<String, String> = url::form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    let has = |key: &str, value: &str| form.get(key).is_some_and(|found| found == value);
    let in_body = state.metadata["token_endpoint_auth_methods_supported"] == json!(["client_secret_post"]);
    let known = if in_body {
        has("client_id", CLIENT) && has("client_secret", SECRET) && field(head, "authorization").is_none()
    } else {
        let escaped = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let expected = format!("Basic {}", STANDARD.encode(format!("{}:{}", escaped(CLIENT), escaped(SECRET))));
        field(head, "authorization") == Some(&*expected)
    };
    if !known {
        return Err(("invalid_client", "who is this?"));
    }
    let redirect = form.get("redirect_uri").is_some_and(|to| to.ends_with("/ui/oidc/callback"));
    if !has("grant_type", "authorization_code") || !redirect {
        return Err(("invalid_request", "grant type or redirection"));
    }
    let grant = form.get("code").and_then(|code| state.grants.get(code)).ok_or(("invalid_grant", "no such code"))?;
    let verifier = form.get("code_verifier").map(String::as_str).unwrap_or_default();
    if URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)) != grant.challenge {
        return Err(("invalid_request", "PKCE"));
    }
    Ok(grant.token.clone())
}
