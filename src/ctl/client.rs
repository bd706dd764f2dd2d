//! HTTP client: log-in, and calls with the token.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, stream};
use reqwest::{Method, Response, Url};
use serde_json::{Value, json};

use super::CtlError;
use super::call::Body;
use crate::core::model::ids::Secret;

/// Time limit of connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest pause in an answer. Revoking the codes of a large roll-out takes minutes.
const READ_TIMEOUT: Duration = Duration::from_secs(300);

/// Bytes of a file that are read at once.
const CHUNK: usize = 64 * 1024;

/// A client that is logged in.
pub(super) struct Client {
    http: reqwest::Client,
    /// The address as given, for error messages.
    shown: String,
    root: Url,
    token: Secret,
}

impl Client {
    /// Logs in: exchanges the password of a domain, or of the instance, for a token.
    pub async fn log_in(url: &str, domain: Option<&str>, password: &Secret) -> Result<Self, CtlError> {
        let bad = || CtlError::Arguments("--url: must be an address like https://broker.example".into());
        let root = Url::parse(url).map_err(|_| bad())?;
        let plain = root.query().is_none() && root.fragment().is_none() && root.username().is_empty();
        if !matches!(root.scheme(), "http" | "https") || !plain || root.password().is_some() {
            return Err(bad());
        }
        // A redirect would send password and token to another server.
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| CtlError::unreachable(url, &error))?;
        let mut this = Self { http, shown: root.to_string(), root, token: Secret::default() };
        let credentials = Body::Json(json!({"domain": domain, "password": password}));
        let answer: Value = this.json(this.call("POST", "/api/v1/token", &[], credentials).await?).await?.1;
        let token = answer.get("token").and_then(Value::as_str);
        this.token =
            Secret::new(token.ok_or_else(|| CtlError::Answer("the answer of the broker has no token".into()))?);
        Ok(this)
    }

    /// Performs a call; an answer without success is an error.
    pub async fn call(
        &self,
        method: &str,
        path: &str,
        query: &[(&str, String)],
        body: Body,
    ) -> Result<Response, CtlError> {
        let mut url = self.root.clone();
        url.set_path(&format!("{}{path}", self.root.path().trim_end_matches('/')));
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        // All methods are constants of this program.
        let mut request = self.http.request(Method::from_bytes(method.as_bytes()).unwrap_or_default(), url);
        if !self.token.is_empty() {
            request = request.bearer_auth(self.token.expose());
        }
        request = match body {
            Body::None => request,
            Body::Json(value) => request.json(&value),
            Body::Text(text) => request.header("content-type", "application/json").body(text),
            Body::Bundle(file, key) => {
                let request = request.header("content-type", "application/octet-stream");
                request.header("bundle-key", key.expose()).body(chunks(&file)?)
            }
            Body::Csv(file) => request.header("content-type", "text/csv").body(chunks(&file)?),
        };
        let answer = request.send().await.map_err(|error| self.lost(&error))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let body = answer.bytes().await.map_err(|error| self.lost(&error))?;
        Err(CtlError::refused(status.as_u16(), &body))
    }

    /// The JSON of an answer, as received and as a value.
    pub async fn json(&self, answer: Response) -> Result<(Bytes, Value), CtlError> {
        let body = answer.bytes().await.map_err(|error| self.lost(&error))?;
        let value = serde_json::from_slice(&body);
        let value = value
            .map_err(|_| CtlError::Answer(format!("the answer of {} is not JSON; is it a broker?", self.shown)))?;
        Ok((body, value))
    }

    /// The error for a connection that was lost or not made.
    pub fn lost(&self, error: &reqwest::Error) -> CtlError {
        CtlError::unreachable(&self.shown, error)
    }
}

/// Streams a file in chunks; `-` is standard input.
fn chunks(file: &Path) -> Result<reqwest::Body, CtlError> {
    let from: Box<dyn Read + Send> = if file == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(File::open(file).map_err(|error| CtlError::Arguments(format!("{}: {error}", file.display())))?)
    };
    Ok(reqwest::Body::wrap_stream(read(from)))
}

fn read(from: Box<dyn Read + Send>) -> impl Stream<Item = std::io::Result<Bytes>> {
    stream::try_unfold(from, |mut from| async move {
        let piece = tokio::task::spawn_blocking(move || {
            let mut piece = vec![0; CHUNK];
            let length = from.read(&mut piece)?;
            piece.truncate(length);
            Ok::<_, std::io::Error>((piece, from))
        });
        let (piece, from) = piece.await.map_err(std::io::Error::other)??;
        Ok((!piece.is_empty()).then(|| (Bytes::from(piece), from)))
    })
}
