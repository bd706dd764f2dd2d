//! How simulated phones and service clients reach a server: WebSocket over tokio-tungstenite, HTTP over reqwest.
//!
//! One task owns a [`Link`] and both reads and writes it. Pings are answered by the library while the link is read. Nothing
//! here knows a protocol of the broker, tries a second time or keeps anything.

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

/// Name resolution, TCP, TLS and the upgrade together.
const CONNECT_TIME: Duration = Duration::from_secs(20);
/// A message must have left for the kernel within this time.
const SEND_TIME: Duration = Duration::from_secs(10);
/// A server of devices pings every 30 s and gives up after 90 s (`docs/protocol/sysclient.md` 1.2); so does this side.
pub const DEVICE_SILENCE: Duration = Duration::from_secs(90);
/// How long a close handshake may take (`docs/protocol/sysclient.md` 1.2).
const CLOSE_TIME: Duration = Duration::from_secs(2);
/// One whole HTTP exchange.
const HTTP_TIME: Duration = Duration::from_secs(30);

/// Why a peer could not be reached or was lost.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// Not reached within the time for connecting, or not ready to take a message.
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
    /// An error of HTTP. The address is left out: its query may hold a code or token.
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

/// What a link has received.
#[derive(Debug)]
pub enum Received {
    /// A binary message.
    Binary(Bytes),
    /// A text message.
    Text(Box<str>),
    /// The end: close code if the peer sent one (1005: a close without a code), and its reason.
    Closed(Option<u16>, Box<str>),
}

/// An open WebSocket connection, of the client side.
#[derive(Debug)]
pub struct Link {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    silence: Option<Duration>,
    heard: Instant,
}

impl Link {
    /// Connects to a `ws://` or `wss://` address with `TCP_NODELAY`.
    ///
    /// Messages longer than `limit` bytes end the connection. With `silence`, a link that brings nothing for so long, not even
    /// a ping, counts as closed.
    pub async fn connect(url: &str, limit: usize, silence: Option<Duration>) -> Result<Self, LinkError> {
        choose_crypto();
        let config = WebSocketConfig::default()
            // Small, because it is allocated at once and there may be ten thousand links.
            .read_buffer_size(4096)
            .write_buffer_size(0)
            .max_message_size(Some(limit))
            .max_frame_size(Some(limit));
        let connecting = connect_async_with_config(url, Some(config), true);
        let (socket, _) = timeout(CONNECT_TIME, connecting).await.map_err(|_| LinkError::Timeout)??;
        Ok(Self { socket, silence, heard: Instant::now() })
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

    /// The next message. May be dropped and called again without loss.
    pub async fn receive(&mut self) -> Received {
        loop {
            let next = match self.silence {
                None => self.socket.next().await,
                Some(limit) => match timeout_at(self.heard + limit, self.socket.next()).await {
                    Ok(next) => next,
                    Err(_) => return Received::Closed(None, "silence".into()),
                },
            };
            self.heard = Instant::now();
            match next {
                Some(Ok(Message::Binary(bytes))) => return Received::Binary(bytes),
                Some(Ok(Message::Text(text))) => return Received::Text(text.as_str().into()),
                Some(Ok(Message::Close(frame))) => {
                    // Polling once more writes the echo. Waiting here would lose the code if the caller stopped waiting.
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

    /// Closes with a code and waits a moment for the echo.
    pub async fn close(mut self, code: u16) {
        let frame = CloseFrame { code: CloseCode::from(code), reason: "".into() };
        let closing = async {
            if self.socket.close(Some(frame)).await.is_ok() {
                // The echo is enough; who closes the TCP connection first does not matter.
                while let Some(Ok(message)) = self.socket.next().await
                    && !message.is_close()
                {}
            }
        };
        let _ = timeout(CLOSE_TIME, closing).await;
    }
}

/// An HTTP client as a device has one: it follows redirections and knows no proxy. Cheap to clone; share it.
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

/// One GET. A body longer than `limit` bytes is an error, found before it is kept.
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

/// One PUT. A status that is no success is an error.
pub async fn put(http: &reqwest::Client, url: &str, body: String) -> Result<(), LinkError> {
    expect_success(&http.put(url).body(body).send().await?)
}

fn expect_success(response: &reqwest::Response) -> Result<(), LinkError> {
    let status = response.status();
    if status.is_success() { Ok(()) } else { Err(LinkError::Refused(status.as_u16())) }
}

/// Both libraries are built without a choice of their own.
pub(super) fn choose_crypto() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // An error means that the program has chosen before: just as well.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    });
}
