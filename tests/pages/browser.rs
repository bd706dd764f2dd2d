//! A browser without scripts: cookies, forms, redirects.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use crate::support::raw::{Answer, LOCALHOST, exchange};
use crate::support::secrets;

/// A browser with its own cookies.
#[derive(Clone)]
pub struct Browser {
    to: SocketAddr,
    /// The address that it comes from.
    pub from: IpAddr,
    pub cookies: BTreeMap<String, String>,
    pub language: &'static str,
}

impl Browser {
    pub fn new(to: SocketAddr) -> Self {
        Self { to, from: LOCALHOST, cookies: BTreeMap::new(), language: "en" }
    }

    /// A browser in which somebody is signed in.
    pub async fn signed_in(to: SocketAddr, name: &str, password: &str) -> Self {
        let mut browser = Self::new(to);
        let answer = browser.sign_in(name, password).await;
        assert_eq!((answer.status, answer.field("location")), (303, Some("/ui/")), "{}", answer.body);
        browser
    }

    pub async fn sign_in(&mut self, name: &str, password: &str) -> Answer {
        self.submit("/ui/sign-in", "/ui/sign-in", &[("name", name), ("password", password)]).await
    }

    /// Sends a request with further header lines, each ended by CR LF, and keeps the cookies of the answer.
    pub async fn send(&mut self, method: &str, target: &str, fields: &str, body: &str) -> Answer {
        self.send_bytes(method, target, fields, body.as_bytes()).await
    }

    async fn send_bytes(&mut self, method: &str, target: &str, fields: &str, body: &[u8]) -> Answer {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookies = if cookies.is_empty() { String::new() } else { format!("Cookie: {}\r\n", cookies.join("; ")) };
        let head = format!(
            "{method} {target} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nAccept-Language: {}\r\nUser-Agent: Test\r\n\
             {cookies}{fields}Content-Length: {}\r\n\r\n",
            self.to,
            self.language,
            body.len()
        );
        let answer = exchange(self.from, self.to, [head.as_bytes(), body].concat()).await;
        for line in answer.head.lines() {
            let Some(cookie) = line.strip_prefix("set-cookie: ") else { continue };
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            if cookie.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                if name == "provbroker_session" {
                    secrets::note(value);
                }
                self.cookies.insert(name.into(), value.into());
            }
        }
        answer
    }

    pub async fn get(&mut self, target: &str) -> Answer {
        self.send("GET", target, "", "").await
    }

    /// A page that has to exist.
    pub async fn page(&mut self, target: &str) -> String {
        let answer = self.get(target).await;
        assert_eq!(answer.status, 200, "{target}: {}", answer.body);
        answer.body
    }

    /// The token of the forms of a page.
    pub async fn token(&mut self, page: &str) -> String {
        let body = self.get(page).await.body;
        let (_, rest) = body.split_once("name=\"token\" value=\"").expect("a form");
        rest.split('"').next().unwrap().to_owned()
    }

    /// Fills in a form of `page` and sends it.
    pub async fn submit(&mut self, page: &str, target: &str, fields: &[(&str, &str)]) -> Answer {
        let token = self.token(page).await;
        self.post(target, &[&[("token", &*token)], fields].concat()).await
    }

    /// The same as a form with a file in its field `file`.
    pub async fn submit_file(&mut self, page: &str, target: &str, fields: &[(&str, &str)], file: &[u8]) -> Answer {
        let token = self.token(page).await;
        let mut body = Vec::new();
        let part = |body: &mut Vec<u8>, head: &str, content: &[u8]| {
            body.extend_from_slice(format!("--limit\r\nContent-Disposition: form-data; {head}\r\n\r\n").as_bytes());
            body.extend_from_slice(content);
            body.extend_from_slice(b"\r\n");
        };
        for (name, value) in fields.iter().chain([&("token", &*token)]) {
            part(&mut body, &format!("name=\"{name}\""), value.as_bytes());
        }
        part(&mut body, "name=\"file\"; filename=\"list.csv\"", file);
        body.extend_from_slice(b"--limit--\r\n");
        let head = format!("Origin: http://{}\r\nContent-Type: multipart/form-data; boundary=limit\r\n", self.to);
        self.send_bytes("POST", target, &head, &body).await
    }

    /// Sends a form without loading its page first, from our own origin.
    pub async fn post(&mut self, target: &str, fields: &[(&str, &str)]) -> Answer {
        let origin = format!("Origin: http://{}\r\n", self.to);
        self.post_from(&origin, target, fields).await
    }

    pub async fn post_from(&mut self, origin: &str, target: &str, fields: &[(&str, &str)]) -> Answer {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let head = format!("{origin}Content-Type: application/x-www-form-urlencoded\r\n");
        self.send("POST", target, &head, &body).await
    }
}
