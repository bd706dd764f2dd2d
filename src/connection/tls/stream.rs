//! One TLS connection of the server side, which holds no buffer while it is idle.
//!
//! The stream of `tokio-rustls` keeps a read buffer of 4 KiB for its life. Here rustls is used through its unbuffered
//! interface: bytes are read into the stack, and only an incomplete record is kept. At most one sealed record and one
//! session ticket wait for the kernel. The protocol itself is that of rustls.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus};
use rustls::{Error, HandshakeKind, ProtocolVersion, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::connection::client_stream::Encryption;

/// Bytes read at once; they live on the stack.
const READ_AT_ONCE: usize = 16 * 1024;

/// Plain bytes that are sealed together: the maximum of one record.
const RECORD: usize = 16 * 1024;

/// Largest overhead of a record over its content.
const OVERHEAD: usize = 256;

/// Up to this many sealed bytes wait to be sent with the next write; a session ticket is shorter.
const TICKET: usize = 1024;

/// Most bytes of an incomplete handshake message, which may come in several records.
const UNFINISHED: usize = 64 * 1024;

/// Most bytes of one before the handshake is done: a peer without a certificate has nothing long to say.
const UNFINISHED_HANDSHAKE: usize = 16 * 1024;

/// A connection after its handshake.
pub struct TlsStream<T> {
    io: T,
    session: UnbufferedServerConnection,
    /// Received bytes of an incomplete record.
    incoming: Vec<u8>,
    /// Decrypted bytes that were not read yet.
    opened: Bytes,
    /// Sealed bytes that were not given to the kernel yet.
    sealed: BytesMut,
    /// Waker of the task that waits until the kernel takes more.
    writer: Option<Waker>,
    /// The peer has announced that it sends nothing more.
    over: bool,
    closing: bool,
    /// Aborted: the session is not used any more.
    failed: bool,
}

/// What the session waits for when it cannot continue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waits {
    /// For bytes of the peer: the handshake is not done.
    Shaking,
    /// For anything: the handshake is done.
    Ready,
    /// For nothing: both sides have closed.
    Closed,
}

/// What to seal when the session is ready for it.
enum Outgoing<'a> {
    Nothing,
    Data(&'a [u8]),
    Close,
}

fn broken(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

impl<T: AsyncRead + AsyncWrite + Unpin> TlsStream<T> {
    /// Performs the handshake. If it fails, an alert was sent to the peer if possible.
    pub async fn accept(io: T, config: Arc<ServerConfig>) -> io::Result<Self> {
        let session = UnbufferedServerConnection::new(config).map_err(broken)?;
        let mut stream = Self {
            io,
            session,
            incoming: Vec::new(),
            opened: Bytes::new(),
            sealed: BytesMut::new(),
            writer: None,
            over: false,
            closing: false,
            failed: false,
        };
        loop {
            let done = stream.proceed(&Outgoing::Nothing);
            if !(matches!(done, Ok(Waits::Ready)) && stream.protocol_version() == Some(ProtocolVersion::TLSv1_3)) {
                poll_fn(|cx| stream.poll_sealed(cx)).await?;
            }
            match done? {
                Waits::Shaking if !poll_fn(|cx| stream.poll_more(cx)).await? => {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                Waits::Shaking => {}
                // What remains of TLS 1.3 is a ticket, which is not urgent: it is sent with the first answer, or when
                // there is nothing to read.
                Waits::Ready => return Ok(stream),
                Waits::Closed => return Err(io::ErrorKind::ConnectionAborted.into()),
            }
        }
    }

    /// Whether the session was resumed; known after the handshake.
    pub fn handshake_kind(&self) -> Option<HandshakeKind> {
        self.session.handshake_kind()
    }

    /// The version that was agreed on.
    pub fn protocol_version(&self) -> Option<ProtocolVersion> {
        self.session.protocol_version()
    }

    /// Processes received bytes in the session and performs one of its requests.
    fn proceed(&mut self, wish: &Outgoing<'_>) -> io::Result<Waits> {
        if self.failed {
            return Err(broken("broken off"));
        }
        let mut result = self.process(wish);
        let longest = if matches!(result, Ok(Waits::Shaking)) { UNFINISHED_HANDSHAKE } else { UNFINISHED };
        if result.is_ok() && self.incoming.len() > longest {
            result = Err(Error::General("a message that does not end".into()));
        }
        if result.is_err() {
            self.failed = true;
            self.incoming.clear();
        }
        if self.incoming.is_empty() {
            self.incoming = Vec::new();
        }
        result.map_err(broken)
    }

    fn process(&mut self, wish: &Outgoing<'_>) -> Result<Waits, Error> {
        let mut opened = Vec::new();
        let waits = loop {
            let UnbufferedStatus { mut discard, state } = self.session.process_tls_records(&mut self.incoming);
            let waits = match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record?;
                        discard += record.discard;
                        opened.extend_from_slice(record.payload);
                    }
                    None
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    append(&mut self.sealed, 1024, |room| data.encode(room))?;
                    None
                }
                Ok(ConnectionState::TransmitTlsData(transmit)) => {
                    // It is in `sealed`, which is sent in order.
                    transmit.done();
                    None
                }
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    match wish {
                        Outgoing::Nothing => {}
                        Outgoing::Data(bytes) => {
                            append(&mut self.sealed, bytes.len() + OVERHEAD, |room| traffic.encrypt(bytes, room))?;
                        }
                        Outgoing::Close => append(&mut self.sealed, OVERHEAD, |room| traffic.queue_close_notify(room))?,
                    }
                    Some(Ok(Waits::Ready))
                }
                Ok(ConnectionState::BlockedHandshake) => Some(Ok(Waits::Shaking)),
                Ok(ConnectionState::PeerClosed) => {
                    self.over = true;
                    None
                }
                Ok(ConnectionState::Closed) => Some(Ok(Waits::Closed)),
                // Early data is not offered.
                Ok(_) => Some(Err(Error::General("unexpected state".into()))),
                Err(error) => Some(Err(error)),
            };
            self.incoming.drain(..discard);
            if waits.as_ref().is_some_and(Result::is_err) {
                // The alert is sent first; the session is not used after it.
                let UnbufferedStatus { state, .. } = self.session.process_tls_records(&mut self.incoming);
                if let Ok(ConnectionState::EncodeTlsData(mut alert)) = state {
                    append(&mut self.sealed, OVERHEAD, |room| alert.encode(room))?;
                }
            }
            if let Some(waits) = waits {
                break waits;
            }
        };
        if !opened.is_empty() {
            // More is read only when all is processed, so usually nothing is left.
            self.opened = if self.opened.is_empty() { opened } else { [&self.opened[..], &opened].concat() }.into();
        }
        waits
    }

    /// Reads from the socket; false at the end.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        read_some(&mut self.io, &mut self.incoming, cx)
    }

    /// Writes sealed bytes to the socket.
    fn poll_sealed(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.sealed.is_empty() {
            match Pin::new(&mut self.io).poll_write(cx, &self.sealed)? {
                Poll::Ready(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(written) => self.sealed.advance(written),
                Poll::Pending => {
                    self.writer = Some(cx.waker().clone());
                    return Poll::Pending;
                }
            }
        }
        self.sealed = BytesMut::new();
        self.writer = None;
        Poll::Ready(Ok(()))
    }

    /// The same for a reader, which does not wait for it. Only one task is woken when the kernel takes more, and that
    /// must remain the writer.
    fn send_sealed(&mut self, cx: &Context<'_>) -> io::Result<()> {
        let writer = self.writer.take().unwrap_or_else(|| cx.waker().clone());
        match self.poll_sealed(&mut Context::from_waker(&writer)) {
            Poll::Ready(sent) => sent,
            Poll::Pending => Ok(()),
        }
    }
}

impl<T> Encryption for TlsStream<T> {
    fn is_encrypted(&self) -> bool {
        true
    }
}

/// Reads into a buffer on the stack, in a frame of its own.
#[inline(never)]
fn read_some<T: AsyncRead + Unpin>(io: &mut T, to: &mut Vec<u8>, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
    let mut buffer = [const { MaybeUninit::uninit() }; READ_AT_ONCE];
    let mut buffer = ReadBuf::uninit(&mut buffer);
    ready!(Pin::new(io).poll_read(cx, &mut buffer))?;
    to.extend_from_slice(buffer.filled());
    Poll::Ready(Ok(!buffer.filled().is_empty()))
}

/// Why a text was not written into the buffer.
enum Short {
    Needs(usize),
    Failed,
}

impl From<EncodeError> for Short {
    fn from(error: EncodeError) -> Self {
        if let EncodeError::InsufficientSize(room) = error { Self::Needs(room.required_size) } else { Self::Failed }
    }
}

impl From<EncryptError> for Short {
    fn from(error: EncryptError) -> Self {
        if let EncryptError::InsufficientSize(room) = error { Self::Needs(room.required_size) } else { Self::Failed }
    }
}

/// Appends what `write` puts into the buffer that it gets; at first it gets `room` bytes.
fn append<E: Into<Short>>(
    to: &mut BytesMut,
    mut room: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, E>,
) -> Result<(), Error> {
    let start = to.len();
    loop {
        to.resize(start + room, 0);
        match write(&mut to[start..]).map_err(Into::into) {
            Ok(written) => {
                to.truncate(start + written);
                return Ok(());
            }
            Err(Short::Needs(more)) if more > room => room = more,
            Err(_) => {
                to.truncate(start);
                return Err(Error::General("cannot be sealed".into()));
            }
        }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsStream<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.opened.is_empty() {
            if this.over {
                return Poll::Ready(Ok(()));
            }
            let Poll::Ready(more) = this.poll_more(cx) else {
                this.send_sealed(cx)?;
                return Poll::Pending;
            };
            if !more? {
                // Without `close_notify` the data may have been cut off by somebody in between.
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            let result = this.proceed(&Outgoing::Nothing);
            this.send_sealed(cx)?;
            result?;
        }
        let some = this.opened.split_to(this.opened.len().min(buf.remaining()));
        buf.put_slice(&some);
        if this.opened.is_empty() {
            // No empty slice is kept, because it would keep the whole buffer alive.
            this.opened = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsStream<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.sealed.len() > TICKET {
            ready!(this.poll_sealed(cx))?;
        }
        if this.closing {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let some = &bytes[..bytes.len().min(RECORD)];
        if this.proceed(&Outgoing::Data(some))? != Waits::Ready {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        match this.poll_sealed(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            // The bytes count as written, even if the kernel has not taken all of them.
            _ => Poll::Ready(Ok(some.len())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_sealed(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.closing {
            this.closing = true;
            if !this.failed {
                this.proceed(&Outgoing::Close)?;
            }
        }
        ready!(this.poll_sealed(cx))?;
        Pin::new(&mut this.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
