//! WebSockets through a passthrough address (`docs/protocol/sysclient.md` 8.5): handles upgrade requests on the raw
//! socket, without actix.
//!
//! After the answer 101, bytes are relayed in both directions until one side closes. Memory is bounded: at most one
//! piece is read ahead from the client, and the device is asked for more only after the client has read the previous
//! bytes.

use std::time::Duration;

use actix_http::header::HeaderMap;
use actix_http::{HttpMessage as _, Request};
use actix_web::http::StatusCode;
use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, split};
use tokio::time::timeout;

use super::{Access, Passthrough, RETRY, Refused, SANDBOX, admit, draft};
use crate::app_connection::session_keys::Admitted;
use crate::connection::http;
use crate::core::protocol::sysclient::tunnel::request::{Address, Refusal};
use crate::core::protocol::sysclient::tunnel::{Failure, Head};
use crate::core::session::device::event::{Output, TunnelRequest};
use crate::device::tunnel::Tunnel;
use crate::metrics::TunnelUse;

/// Longest piece sent to the device, and most bytes that are read ahead.
const PIECE: usize = 65_536;

/// Time limit for the client to read an answer other than 101.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// Carries one upgrade request. `rest` is what follows `/passthrough` in its address, `first` what came after its head.
pub async fn carry<T>(services: &Passthrough, request: &Request, rest: &str, mut io: T, first: Bytes)
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    match open(services, request, rest).await {
        Ok(Opened { tunnel, mut access, admitted }) => {
            http::authenticated();
            // The pipe ends soon after the connection of the device.
            let in_flight = services.in_flight.begin();
            let client = Client { io: &mut io, input: BytesMut::from(&first[..]) };
            let outcome = tokio::select! {
                outcome = client.run(tunnel, admitted) => outcome,
                // A pipe, or an answer that has begun, is broken off.
                () = access.ended() => Ok(()),
            };
            drop(in_flight);
            if let Err(refused) = outcome {
                let _ = timeout(ANSWER_TIMEOUT, refuse(&mut io, refused)).await;
            }
        }
        Err(refused) => {
            let _ = timeout(ANSWER_TIMEOUT, refuse(&mut io, refused)).await;
        }
    }
}

struct Opened {
    tunnel: Tunnel,
    access: Access,
    admitted: Admitted,
}

async fn open(services: &Passthrough, request: &Request, rest: &str) -> Result<Opened, Refused> {
    let address = Address::read(rest).ok_or(Refused::KEY)?;
    let permit = admit(services, &address).await?;
    let fields = request.headers();
    let has_body = |fields: &HeaderMap| fields.get("content-length").is_some_and(|length| length != "0");
    let draft = draft(request.method(), &address.target(), fields, fields.contains_key("upgrade"))?;
    if has_body(fields) {
        // A body could not be told apart from the first bytes of the pipe.
        return Err(Refusal::Head.into());
    }
    let (bytes, expects) = draft.with_body(b"")?;
    let tunnel = Tunnel::open(permit.device, TunnelRequest { bytes, expects }, TunnelUse::Pipe);
    Ok(Opened { tunnel, access: permit.access, admitted: permit.admitted })
}

/// The connection of the client.
struct Client<'a, T> {
    io: &'a mut T,
    /// Bytes from the client that have not been sent to the device yet.
    input: BytesMut,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Client<'_, T> {
    /// Waits for the head of the answer and then relays. The admission is held as long as this runs.
    async fn run(mut self, mut tunnel: Tunnel, _admitted: Admitted) -> Result<(), Refused> {
        let head = loop {
            tokio::select! {
                output = tunnel.next() => match output {
                    Output::Head(head) => break head,
                    Output::Failed(failure) | Output::Abort(failure) => return Err(failure.into()),
                    Output::Refused(refused) => return Err(refused.into()),
                    Output::Body(_) | Output::Sent | Output::Done => return Err(Failure::NotHttp.into()),
                },
                read = self.io.read_buf(&mut self.input), if self.input.len() < PIECE => {
                    if !matches!(read, Ok(1..)) {
                        return Ok(());
                    }
                }
            }
        };
        if self.io.write_all(&head_bytes(&head)).await.is_err() || self.io.flush().await.is_err() {
            return Ok(());
        }
        if head.status == 101 {
            self.pipe(tunnel).await;
        } else {
            let _ = self.answer(tunnel, head.length.is_none()).await;
        }
        Ok(())
    }

    /// Relays in both directions until one side closes.
    async fn pipe(mut self, mut tunnel: Tunnel) {
        let (mut reader, mut writer) = split(self.io);
        let (mut sending, mut over, mut flushed) = (false, false, true);
        let mut output = Bytes::new();
        loop {
            if !sending && !self.input.is_empty() {
                let piece = self.input.split_to(self.input.len().min(PIECE));
                tunnel.pipe(piece.freeze());
                sending = true;
            }
            if over && flushed {
                break;
            }
            tokio::select! {
                said = tunnel.wait(), if !over => match said {
                    Output::Body(bytes) => (output, flushed) = (bytes, false),
                    Output::Sent => sending = false,
                    Output::Head(_) => {}
                    Output::Done => over = true,
                    Output::Failed(_) | Output::Abort(_) | Output::Refused(_) => return,
                },
                passed = pass(&mut writer, &output), if !flushed => match passed {
                    Ok(0) => {
                        flushed = true;
                        tunnel.taken();
                    }
                    Ok(count) => output.advance(count),
                    Err(_) => return,
                },
                read = reader.read_buf(&mut self.input), if self.input.len() < PIECE => {
                    if !matches!(read, Ok(1..)) {
                        return;
                    }
                }
            }
        }
        let _ = writer.shutdown().await;
    }

    /// Relays an answer other than 101. The connection is closed afterwards, because the client may have sent bytes
    /// meanwhile.
    async fn answer(mut self, mut tunnel: Tunnel, chunked: bool) -> std::io::Result<()> {
        loop {
            match tunnel.next().await {
                Output::Body(bytes) if chunked => {
                    let size = format!("{:x}\r\n", bytes.len());
                    let chunk = [size.as_bytes(), &bytes, b"\r\n"].concat();
                    timeout(ANSWER_TIMEOUT, self.send(&chunk)).await??;
                }
                Output::Body(bytes) => timeout(ANSWER_TIMEOUT, self.send(&bytes)).await??,
                Output::Head(_) | Output::Sent => {}
                Output::Done if chunked => {
                    self.io.write_all(b"0\r\n\r\n").await?;
                    return self.io.shutdown().await;
                }
                Output::Done => return self.io.shutdown().await,
                // Without the final chunk the client notices that the answer is incomplete.
                Output::Failed(_) | Output::Abort(_) | Output::Refused(_) => return Ok(()),
            }
        }
    }

    async fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.io.write_all(bytes).await?;
        self.io.flush().await
    }
}

/// Writes some of `bytes`. If `bytes` is empty, flushes (over TLS, bytes may be buffered in the stream) and returns 0.
async fn pass(writer: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> std::io::Result<usize> {
    if bytes.is_empty() {
        writer.flush().await?;
        return Ok(0);
    }
    match writer.write(bytes).await? {
        0 => Err(std::io::ErrorKind::WriteZero.into()),
        count => Ok(count),
    }
}

/// The head for the client.
fn head_bytes(head: &Head) -> Vec<u8> {
    let reason =
        StatusCode::from_u16(head.status).ok().and_then(|status| status.canonical_reason()).unwrap_or_default();
    let mut out = format!("HTTP/1.1 {} {reason}\r\n", head.status).into_bytes();
    for field in &head.fields {
        out.extend([field.name.as_bytes(), b": ", &field.value, b"\r\n"].concat());
    }
    if head.status == 101 {
        out.extend(b"Connection: Upgrade\r\n\r\n");
        return out;
    }
    for (name, value) in [("Referrer-Policy", "no-referrer"), ("Cache-Control", "private")] {
        if !head.fields.iter().any(|field| field.name.eq_ignore_ascii_case(name)) {
            out.extend(format!("{name}: {value}\r\n").bytes());
        }
    }
    let end = match head.length {
        Some(length) => format!("Content-Length: {length}"),
        None => "Transfer-Encoding: chunked".into(),
    };
    out.extend(format!("Content-Security-Policy: {SANDBOX}\r\n{end}\r\nConnection: close\r\n\r\n").bytes());
    out
}

async fn refuse<T>(io: &mut T, Refused(status, text): Refused) -> std::io::Result<()>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or_default();
    let retry = if status == 503 { format!("Retry-After: {RETRY}\r\n") } else { String::new() };
    let answer = format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n{retry}Referrer-Policy: no-referrer\r\n\
         Cache-Control: private\r\nConnection: close\r\n\r\n{text}\n",
        text.len() + 1
    );
    io.write_all(answer.as_bytes()).await?;
    io.shutdown().await?;
    // Waits until the client has closed, too, so that a reset does not overtake the answer.
    let mut rest = [0; 512];
    while io.read(&mut rest).await? > 0 {}
    Ok(())
}
