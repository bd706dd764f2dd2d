//! Transport of simulated phones and service clients: WebSocket over tokio-tungstenite, HTTP over reqwest.
//!
//! One task owns a [`Link`] and both reads and writes it. The library answers pings while the link is read. Knows no
//! protocol of the broker, and does not retry.

use std::sync::Once;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use crate::core::model::root_cause::innermost;

/// Limit for name resolution, TCP, TLS and the upgrade together.
const CONNECT_TIME: Duration = Duration::from_secs(20);
/// Limit for sending one message.
const SEND_TIME: Duration = Duration::from_secs(10);
/// Servers of devices ping every 30 s and give up after 90 s (`docs/protocol/sysclient.md` 1.2); so does this side.
pub const DEVICE_SILENCE: Duration = Duration::from_secs(90);
/// Limit for a close handshake (`docs/protocol/sysclient.md` 1.2).
const CLOSE_TIME: Duration = Duration::from_secs(2);
/// Limit for one HTTP request.
const HTTP_TIME: Duration = Duration::from_secs(30);

/// Errors of a link.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// Timed out while connecting or sending.
    #[error("timed out")]
    Timeout,
    /// The upgrade, or a transfer, was answered with an HTTP status.
    #[error("refused with HTTP status {0}")]
    Refused(u16),
    /// The HTTP answer is longer than allowed.
    #[error("answer longer than {0} bytes")]
    TooLong(usize),
    /// An error of the WebSocket, TLS or TCP.
    #[error("{0}")]
    WebSocket(Box<WsError>),
    /// An HTTP error. The address is left out: its query may contain a code or token.
    #[error("{}", innermost(&**.0))]
    Http(Box<reqwest::Error>),
}

impl From<WsError> for LinkError {
    fn from(error: WsError) -> Self {
        match error {
            WsError::Http(response) => Self::Refused(response.status().as_u16()),
            error => Self::WebSocket(Box::new(error)),
        }
    }
}

impl From<reqwest::Error> for LinkError {
    fn from(error: reqwest::Error) -> Self {
        Self::Http(Box::new(error.without_url()))
    }
}

/// A received message or the end.
#[derive(Debug)]
pub enum Received {
    /// A binary message.
    Binary(Bytes),
    /// A text message.
    Text(Box<str>),
    /// The end: close code if the peer sent one (1005: a close without a code), and its reason.
    Closed(Option<u16>, Box<str>),
}

/// The client side of an open WebSocket connection.
#[derive(Debug)]
pub struct Link {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    silence: Option<Duration>,
    last_received: Instant,
}

impl Link {
    /// Connects to a `ws://` or `wss://` address with `TCP_NODELAY`.
    ///
    /// Messages longer than `limit` bytes end the connection. With `silence`, a link that receives nothing for that
    /// long, not even a ping, counts as closed.
    pub async fn connect(url: &str, limit: usize, silence: Option<Duration>) -> Result<Self, LinkError> {
        choose_crypto();
        let config = WebSocketConfig::default()
            // Small, because it is allocated up front and there may be ten thousand links.
            .read_buffer_size(4096)
            .write_buffer_size(0)
            .max_message_size(Some(limit))
            .max_frame_size(Some(limit));
        let connecting = connect_async_with_config(url, Some(config), true);
        let (socket, _) = timeout(CONNECT_TIME, connecting).await.map_err(|_| LinkError::Timeout)??;
        Ok(Self { socket, silence, last_received: Instant::now() })
    }

    /// Sends a binary message.
    pub async fn send_binary(&mut self, bytes: Vec<u8>) -> Result<(), LinkError> {
        self.send(Message::binary(bytes)).await
    }

    /// Sends a text message.
    pub async fn send_text(&mut self, text: String) -> Result<(), LinkError> {
        self.send(Message::text(text)).await
    }

    async fn send(&mut self, message: Message) -> Result<(), LinkError> {
        timeout(SEND_TIME, self.socket.send(message)).await.map_err(|_| LinkError::Timeout)?.map_err(LinkError::from)
    }

    /// The next message. Cancel-safe.
    pub async fn receive(&mut self) -> Received {
        loop {
            let next = match self.silence {
                None => self.socket.next().await,
                Some(limit) => match timeout_at(self.last_received + limit, self.socket.next()).await {
                    Ok(next) => next,
                    Err(_) => return Received::Closed(None, "silence".into()),
                },
            };
            self.last_received = Instant::now();
            match next {
                Some(Ok(Message::Binary(bytes))) => return Received::Binary(bytes),
                Some(Ok(Message::Text(text))) => return Received::Text(text.as_str().into()),
                Some(Ok(Message::Close(frame))) => {
                    // Polling once more sends the echo. Awaiting could lose the code if the caller is cancelled.
                    let _ = self.socket.next().now_or_never();
                    return frame.map_or_else(
                        || Received::Closed(Some(1005), "".into()),
                        |frame| Received::Closed(Some(frame.code.into()), frame.reason.as_str().into()),
                    );
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Err(error)) => return Received::Closed(None, error.to_string().into()),
                None => return Received::Closed(None, "lost".into()),
            }
        }
    }

    /// Closes with a code and waits briefly for the echo.
    pub async fn close(mut self, code: u16) {
        let frame = CloseFrame { code: CloseCode::from(code), reason: "".into() };
        let closing = async {
            if self.socket.close(Some(frame)).await.is_ok() {
                // The echo suffices; who closes the TCP connection first does not matter.
                while let Some(Ok(message)) = self.socket.next().await
                    && !message.is_close()
                {}
            }
        };
        let _ = timeout(CLOSE_TIME, closing).await;
    }
}

/// An HTTP client like that of a device: follows redirections, uses no proxy. Cheap to clone; share it.
pub fn http_client() -> Result<reqwest::Client, LinkError> {
    choose_crypto();
    Ok(reqwest::Client::builder().no_proxy().timeout(HTTP_TIME).connect_timeout(CONNECT_TIME).build()?)
}

/// An HTTP answer.
#[derive(Debug)]
pub struct Answer {
    /// Status.
    pub status: u16,
    /// The body.
    pub body: Bytes,
}

/// One GET. A body longer than `limit` bytes is an error, detected before it is buffered.
pub async fn get(http: &reqwest::Client, url: &str, limit: usize) -> Result<Answer, LinkError> {
    let mut response = http.get(url).send().await?;
    let status = response.status().as_u16();
    let mut body = BytesMut::new();
    while let Some(piece) = response.chunk().await? {
        if body.len() + piece.len() > limit {
            return Err(LinkError::TooLong(limit));
        }
        body.extend_from_slice(&piece);
    }
    Ok(Answer { status, body: body.freeze() })
}

/// One GET whose body is only counted: the bytes of a 200. Any other status is an error.
pub async fn load(http: &reqwest::Client, url: &str) -> Result<usize, LinkError> {
    let mut response = http.get(url).send().await?;
    expect_success(&response)?;
    let mut bytes = 0;
    while let Some(piece) = response.chunk().await? {
        bytes += piece.len();
    }
    Ok(bytes)
}

/// One PUT. Any status but success is an error.
pub async fn put(http: &reqwest::Client, url: &str, body: String) -> Result<(), LinkError> {
    expect_success(&http.put(url).body(body).send().await?)
}

fn expect_success(response: &reqwest::Response) -> Result<(), LinkError> {
    let status = response.status();
    if status.is_success() { Ok(()) } else { Err(LinkError::Refused(status.as_u16())) }
}

/// Both libraries are built without a default crypto provider.
pub(super) fn choose_crypto() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // An error means that a provider was installed before.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    });
}
