//! One upgraded WebSocket connection: our own reading and writing around the context of `actix_web_actors`.
//!
//! The usual way, `ws::start`, keeps an HTTP dispatcher with its buffers for the life of the connection, cannot bound
//! the length that a frame header announces, and blocks an actor whose peer does not read. Here a task owns the socket:
//! it passes the frames to the actor one by one through a [`FrameGuard`], writes what the actor sends, disconnects a
//! peer that does not read, and lingers after a close so that the close frame arrives. It must not know the protocols
//! on the connection. Implements the frame layer of `docs/protocol/sysclient.md` 1.2 and
//! `docs/protocol/appwebsocket.md` section 1.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix::{Actor, AsyncContext as _, StreamHandler};
use actix_codec::Decoder as _;
use actix_http::ws::{Codec, Frame};
use actix_web_actors::ws::{CloseCode, CloseReason, Message, ProtocolError, WebsocketContext};
use bytes::{Buf as _, Bytes, BytesMut};
use futures_util::Stream;
use futures_util::stream::pending;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use crate::connection::handle::ConnectionHandle;
use crate::core::protocol::close::Close;
use crate::core::protocol::frame_guard::{DataKind, FrameGuard};

/// Bytes read at once; they live on the stack, so an idle connection holds none.
const READ_AT_ONCE: usize = 16 * 1024;

/// After a close frame the peer may still send this much, which is thrown away, so that the frame is read before the
/// socket goes.
const LINGER_BYTES: usize = 8 * 1024 * 1024;

/// Bounds of one connection.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// What the peer may speak.
    pub speech: DataKind,
    /// Longest message of the peer, in bytes, ever.
    pub longest: usize,
    /// Bytes that may wait for a peer that does not read.
    pub window: usize,
    /// How long a peer may take none of them.
    pub write_timeout: Duration,
    /// How long the peer has to end its side after a close frame; known devices never echo the frame
    /// (`docs/protocol/sysclient.md` 1.2).
    pub linger: Duration,
}

/// A complete message or event of the peer.
#[derive(Debug)]
pub enum Incoming {
    /// A binary message, its fragments joined.
    Binary(Bytes),
    /// A text message, its fragments joined.
    Text(String),
    /// A ping to be answered.
    Ping(Bytes),
    /// A pong.
    Pong(Bytes),
    /// The peer closes.
    Close,
    /// The peer broke a rule of the frame layer.
    Fault(Close),
}

/// Joins the fragments of a message. The guard has already bounded their sum.
#[derive(Debug, Default)]
pub struct FragmentJoiner(Option<Box<(bool, Vec<u8>)>>);

impl FragmentJoiner {
    /// Takes what the context delivers; `None` while a message is incomplete.
    pub fn take(&mut self, message: Result<Message, ProtocolError>, handle: &ConnectionHandle) -> Option<Incoming> {
        use actix_http::ws::Item;
        Some(match message {
            Ok(Message::Binary(bytes)) => Incoming::Binary(bytes),
            Ok(Message::Text(text)) => Incoming::Text(text.to_string()),
            Ok(Message::Ping(bytes)) => Incoming::Ping(bytes),
            Ok(Message::Pong(bytes)) => Incoming::Pong(bytes),
            Ok(Message::Close(_)) => Incoming::Close,
            Ok(Message::Nop) => return None,
            Ok(Message::Continuation(Item::FirstText(bytes))) => return self.begin(true, &bytes, handle),
            Ok(Message::Continuation(Item::FirstBinary(bytes))) => return self.begin(false, &bytes, handle),
            Ok(Message::Continuation(Item::Continue(bytes))) => {
                let message = &mut self.0.as_mut()?.1;
                message.extend_from_slice(&bytes);
                handle.hold_message(message.capacity());
                return None;
            }
            Ok(Message::Continuation(Item::Last(bytes))) => {
                let (text, mut whole) = *self.0.take()?;
                handle.hold_message(0);
                whole.extend_from_slice(&bytes);
                if text {
                    String::from_utf8(whole).map_or(Incoming::Fault(Close::Malformed), Incoming::Text)
                } else {
                    Incoming::Binary(whole.into())
                }
            }
            // The guard has let the frame pass, so what is left is text that is not UTF-8.
            Err(_) => Incoming::Fault(handle.fault().unwrap_or(Close::Malformed)),
        })
    }

    fn begin(&mut self, text: bool, bytes: &[u8], handle: &ConnectionHandle) -> Option<Incoming> {
        handle.hold_message(bytes.len());
        self.0 = Some(Box::new((text, bytes.to_vec())));
        None
    }
}

/// The close frame for a reason.
pub fn close_frame(close: Close) -> CloseReason {
    CloseReason { code: CloseCode::from(close.code()), description: Some(close.text().into()) }
}

/// The same as bytes of a server, which are not masked.
fn close_bytes(close: Close) -> Bytes {
    let payload = [&close.code().to_be_bytes(), close.text().as_bytes()].concat();
    // A reason is a few words.
    let length = u8::try_from(payload.len()).unwrap_or_default();
    [&[0x88, length][..], &payload].concat().into()
}

/// The ends of the handshake.
#[derive(Debug, Default)]
pub struct Opening {
    /// What is still to be written of it.
    pub answer: Bytes,
    /// What came with it of the frames that follow.
    pub first: Bytes,
}

/// Runs `actor` on `io` until the connection is over.
///
/// What is returned is as small as the connection itself; an `async fn` around it would hold every argument twice.
pub fn run<T, A>(
    io: T,
    opening: Opening,
    actor: A,
    handle: ConnectionHandle,
    bounds: Bounds,
) -> impl Future<Output = ()>
where
    T: AsyncRead + AsyncWrite + Unpin + 'static,
    A: Actor<Context = WebsocketContext<A>> + StreamHandler<Result<Message, ProtocolError>>,
{
    let io = Rc::new(RefCell::new(io));
    let inbound = Inbound {
        io: Rc::clone(&io),
        guard: FrameGuard::new(bounds.speech),
        handle: handle.clone(),
        rest: opening.first,
        codec: Codec::new().max_size(bounds.longest),
        frame: BytesMut::new(),
        over: false,
    };
    // The stream that the context decodes by itself keeps its buffer for life, so it gets nothing to read.
    let actor = WebsocketContext::with_factory(pending(), |context| {
        context.add_stream(inbound);
        actor
    });
    Outbound {
        io,
        actor: Some(Box::pin(actor)),
        queued: opening.answer.len(),
        queue: Some(opening.answer).filter(|answer| !answer.is_empty()).into_iter().collect(),
        bounds,
        handle,
        timer: None,
        may_discard: LINGER_BYTES,
    }
}

/// The reading side: the frames of the peer for the actor, one by one.
struct Inbound<T> {
    io: Rc<RefCell<T>>,
    guard: FrameGuard,
    handle: ConnectionHandle,
    /// Bytes that were read and not checked yet.
    rest: Bytes,
    codec: Codec,
    /// The received part of the current frame; without a buffer between frames.
    frame: BytesMut,
    over: bool,
}

impl<T: AsyncRead + Unpin> Inbound<T> {
    /// The next frame; `None` at the end of the connection.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, ProtocolError>>> {
        loop {
            if self.rest.is_empty() {
                match ready!(read_some(&mut *self.io.borrow_mut(), cx)) {
                    Ok(bytes) if !bytes.is_empty() => self.rest = bytes,
                    _ => return Poll::Ready(None),
                }
            }
            let seen = match self.guard.scan(&self.rest, self.handle.longest() as u64) {
                Ok(seen) => seen,
                Err(close) => {
                    self.handle.set_fault(close);
                    return Poll::Ready(Some(Err(ProtocolError::Overflow)));
                }
            };
            let whole = seen.bytes == self.rest.len();
            // If everything was used, no empty slice is kept, because it would keep the whole buffer alive.
            let piece = if whole { std::mem::take(&mut self.rest) } else { self.rest.split_to(seen.bytes) };
            if self.frame.is_empty() {
                // Most frames are read alone: the bytes that were read become the frame.
                self.frame = piece.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&*shared));
            } else {
                self.frame.extend_from_slice(&piece);
            }
            if seen.frame_ends {
                let frame = self.codec.decode(&mut self.frame);
                self.frame = BytesMut::new();
                self.handle.hold_frame(0);
                return Poll::Ready(frame.transpose());
            }
            self.handle.hold_frame(self.frame.capacity());
        }
    }
}

impl<T: AsyncRead + Unpin> Stream for Inbound<T> {
    type Item = Result<Message, ProtocolError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.over {
            return Poll::Ready(None);
        }
        let message = ready!(this.poll_frame(cx)).map(|frame| frame.and_then(message));
        if !matches!(message, Some(Ok(_))) {
            this.over = true;
            this.rest = Bytes::new();
        }
        Poll::Ready(message)
    }
}

fn message(frame: Frame) -> Result<Message, ProtocolError> {
    Ok(match frame {
        Frame::Text(bytes) => {
            let not_utf8 = |error| ProtocolError::Io(io::Error::new(io::ErrorKind::InvalidData, error));
            Message::Text(bytes.try_into().map_err(not_utf8)?)
        }
        Frame::Binary(bytes) => Message::Binary(bytes),
        Frame::Continuation(item) => Message::Continuation(item),
        Frame::Ping(bytes) => Message::Ping(bytes),
        Frame::Pong(bytes) => Message::Pong(bytes),
        Frame::Close(reason) => Message::Close(reason),
    })
}

/// Reads into a buffer on the stack, in a frame of its own: nothing of it lives on in the idle connection's future.
#[inline(never)]
fn read_some<T: AsyncRead + Unpin>(io: &mut T, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
    // To fill it with zeros first would cost more than the read.
    let mut buffer = [const { MaybeUninit::uninit() }; READ_AT_ONCE];
    let mut buffer = ReadBuf::uninit(&mut buffer);
    ready!(Pin::new(io).poll_read(cx, &mut buffer))?;
    Poll::Ready(Ok(Bytes::copy_from_slice(buffer.filled())))
}

/// The writing side, and the task of the connection: it drives the actor, whose output it writes.
struct Outbound<T, S> {
    io: Rc<RefCell<T>>,
    /// The actor's output; `None` when the actor has ended.
    actor: Option<Pin<Box<S>>>,
    queue: VecDeque<Bytes>,
    queued: usize,
    bounds: Bounds,
    handle: ConnectionHandle,
    /// Runs while the peer takes nothing although something waits, and after the close.
    timer: Option<Pin<Box<Sleep>>>,
    may_discard: usize,
}

impl<T, S, E> Outbound<T, S>
where
    T: AsyncRead + AsyncWrite + Unpin,
    S: Stream<Item = Result<Bytes, E>>,
{
    /// Takes the output of the actor, as much as may wait.
    fn poll_actor(&mut self, cx: &mut Context<'_>) {
        while let Some(actor) = &mut self.actor {
            match actor.as_mut().poll_next(cx) {
                Poll::Pending => return,
                Poll::Ready(Some(Ok(bytes))) => {
                    self.queued += bytes.len();
                    self.queue.push_back(bytes);
                    if self.is_piled_up() && self.poll_write(cx).is_pending() {
                        return;
                    }
                }
                Poll::Ready(None | Some(Err(_))) => self.actor = None,
            }
        }
    }

    fn is_piled_up(&self) -> bool {
        self.queued > self.bounds.window + self.handle.exempted()
    }

    /// Writes what waits; an error is the end of the connection.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(front) = self.queue.front_mut() {
            match Pin::new(&mut *self.io.borrow_mut()).poll_write(cx, front) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(written)) => {
                    self.timer = None;
                    self.queued -= written;
                    front.advance(written);
                    if front.is_empty() {
                        self.queue.pop_front();
                    }
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        // What TLS has sealed waits in its stream until the kernel takes it.
        Pin::new(&mut *self.io.borrow_mut()).poll_flush(cx)
    }

    /// Whether `limit` has run out since the timer was last off.
    fn timed_out(&mut self, limit: Duration, cx: &mut Context<'_>) -> bool {
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(limit)));
        timer.as_mut().poll(cx).is_ready()
    }

    /// Others need the place: ends the connection at once. The close frame is sent if the kernel takes it.
    fn give_way(&mut self, cx: &mut Context<'_>) {
        self.handle.set_fault(Close::Overload);
        self.actor = None;
        let close = close_bytes(Close::Overload);
        self.queued += close.len();
        self.queue.push_back(close);
        if matches!(self.poll_write(cx), Poll::Ready(Ok(()))) {
            // What remains of the end is left to the kernel.
            let _ = Pin::new(&mut *self.io.borrow_mut()).poll_shutdown(cx);
        }
    }

    /// Ends our side, then throws away what the peer still sends until it ends its side.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if Pin::new(&mut *self.io.borrow_mut()).poll_shutdown(cx).is_ready() {
            while self.may_discard > 0 {
                match read_some(&mut *self.io.borrow_mut(), cx) {
                    Poll::Ready(Ok(bytes)) if !bytes.is_empty() => {
                        self.may_discard = self.may_discard.saturating_sub(bytes.len());
                    }
                    Poll::Ready(_) => return Poll::Ready(()),
                    Poll::Pending => break,
                }
            }
        }
        if self.timed_out(self.bounds.linger, cx) { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl<T, S, E> Future for Outbound<T, S>
where
    T: AsyncRead + AsyncWrite + Unpin,
    S: Stream<Item = Result<Bytes, E>>,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if this.handle.poll_evicted(cx) {
            this.give_way(cx);
            return Poll::Ready(());
        }
        this.poll_actor(cx);
        match this.poll_write(cx) {
            Poll::Ready(Ok(())) if this.actor.is_some() => {
                this.timer = None;
                this.handle.mark_flushed();
                // Hours may pass before the next one.
                this.queue = VecDeque::new();
                return Poll::Pending;
            }
            Poll::Ready(Ok(())) => return this.poll_linger(cx),
            Poll::Ready(Err(_)) => {
                this.actor = None;
                return Poll::Ready(());
            }
            Poll::Pending => {}
        }
        if this.is_piled_up() || this.timed_out(this.bounds.write_timeout, cx) {
            this.handle.set_fault(Close::NotReading);
            this.actor = None;
            return Poll::Ready(());
        }
        Poll::Pending
    }
}
