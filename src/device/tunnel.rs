//! HTTP requests for devices that are members on this node, and the way back of their answers
//! (`docs/protocol/sysclient.md` section 7).
//!
//! Who makes a request may live on another thread than the device. A [`Tunnel`] is its end: it is given what the device's
//! session says, tells the session when it has it, and gives the session up when it is dropped. How much can be on the way is
//! bounded by the session, which asks the device for more only when the piece before has been taken.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use actix::{Addr, Message};
use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc;

use crate::core::model::ids::{DeviceKey, DomainName};
use crate::core::protocol::sysclient::tunnel::Failure;
use crate::core::session::device::event::{Output, TunnelId, TunnelRefused, TunnelRequest};
use crate::device::actor::DeviceActor;
use crate::metrics::{self, Counter, Direction, Gauge, Held, TunnelEnd, TunnelUse};
use crate::node::Node;
use crate::tenant::actor::Lookup;

/// More than a session ever says before something is taken: a head, a piece, a confirmed send, the end.
const OUTPUTS: usize = 8;

/// Opens a session for whoever holds the other end of `outputs`.
#[derive(Message)]
#[rtype(result = "()")]
pub struct OpenTunnel {
    /// The session.
    pub id: TunnelId,
    /// What the device is to be sent.
    pub request: TunnelRequest,
    /// Where its answer goes.
    pub outputs: mpsc::Sender<Output>,
}

/// What the taker of an answer says.
#[derive(Message)]
#[rtype(result = "()")]
pub enum FromTunnelReader {
    /// It has what it was given.
    Taken(TunnelId),
    /// Bytes for the device, after an upgrade.
    Pipe(TunnelId, Bytes),
    /// It has gone away.
    Abandon(TunnelId),
}

/// The takers of one device connection.
#[derive(Default)]
// A pointer instead of an empty map: there is one of these for every idle device.
#[allow(clippy::box_collection)]
pub struct TunnelReaders(Option<Box<HashMap<TunnelId, mpsc::Sender<Output>>>>);

impl TunnelReaders {
    /// One more.
    pub fn add(&mut self, id: TunnelId, outputs: mpsc::Sender<Output>) {
        self.0.get_or_insert_default().insert(id, outputs);
    }

    /// This one has gone away.
    pub fn remove(&mut self, id: TunnelId) {
        let Some(takers) = &mut self.0 else { return };
        takers.remove(&id);
        if takers.is_empty() {
            self.0 = None;
        }
    }

    /// Passes on what a session says.
    pub fn give(&mut self, id: TunnelId, output: Output) {
        let end = !matches!(output, Output::Head(_) | Output::Body(_) | Output::Sent);
        if let Some(taker) = self.0.as_ref().and_then(|takers| takers.get(&id)) {
            // One that is gone says so itself, and more than it has room for is never on the way.
            let _ = taker.try_send(output);
        }
        if end {
            self.remove(id);
        }
    }
}

/// One request at a device, seen from the other side.
pub struct Tunnel {
    id: TunnelId,
    phone: Addr<DeviceActor>,
    outputs: mpsc::Receiver<Output>,
    /// The head has come.
    begun: bool,
    /// Bytes have come that the session does not know to be taken.
    untaken: bool,
    purpose: TunnelUse,
    end: Option<TunnelEnd>,
    _counted: Held,
}

/// The connection of a member on this node.
pub async fn find(node: &Node, domain: &DomainName, key: DeviceKey) -> Option<Addr<DeviceActor>> {
    node.domain(domain).await?.send(Lookup(key)).await.ok().flatten()
}

impl Tunnel {
    /// Sends a request to the device of this connection. Whether there is a session for it is said by the first
    /// [`Tunnel::next`].
    pub fn open(phone: Addr<DeviceActor>, request: TunnelRequest, purpose: TunnelUse) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = TunnelId(NEXT.fetch_add(1, Ordering::Relaxed));
        let (sender, outputs) = mpsc::channel(OUTPUTS);
        carried(Direction::ToDevice, request.bytes.len());
        phone.do_send(OpenTunnel { id, request, outputs: sender });
        let counted = metrics::hold(Gauge::TunnelSessions(purpose));
        Self { id, phone, outputs, begun: false, untaken: false, purpose, end: None, _counted: counted }
    }

    /// Takes what came last, and waits for what comes next. After the end there is nothing more to come. May be dropped and
    /// called again without loss.
    pub async fn next(&mut self) -> Output {
        self.taken();
        self.wait().await
    }

    /// What came last has gone on its way.
    pub fn taken(&mut self) {
        if std::mem::take(&mut self.untaken) {
            self.phone.do_send(FromTunnelReader::Taken(self.id));
        }
    }

    /// The same as [`Self::next`], but what came last is still held.
    pub async fn wait(&mut self) -> Output {
        let lost = if self.begun { Output::Abort(Failure::Lost) } else { Output::Failed(Failure::Lost) };
        // The actor has ended without a word, as it does when its socket breaks.
        let output = self.outputs.recv().await.unwrap_or(lost);
        match &output {
            Output::Head(_) => self.begun = true,
            Output::Body(bytes) => {
                self.untaken = true;
                carried(Direction::FromDevice, bytes.len());
            }
            Output::Sent => {}
            Output::Done => self.end = Some(TunnelEnd::Done),
            Output::Refused(_) => self.end = Some(TunnelEnd::Refused),
            Output::Failed(Failure::Timeout) | Output::Abort(Failure::Timeout) => self.end = Some(TunnelEnd::Timeout),
            Output::Failed(_) | Output::Abort(_) => self.end = Some(TunnelEnd::Failed),
        }
        output
    }

    /// Bytes for the device, after an upgrade. Not again before [`Output::Sent`].
    pub fn pipe(&self, bytes: Bytes) {
        carried(Direction::ToDevice, bytes.len());
        self.phone.do_send(FromTunnelReader::Pipe(self.id, bytes));
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        let end = self.end.unwrap_or_else(|| {
            self.phone.do_send(FromTunnelReader::Abandon(self.id));
            TunnelEnd::Abandoned
        });
        metrics::count(Counter::TunnelEnded(self.purpose, end));
    }
}

fn carried(direction: Direction, bytes: usize) {
    metrics::count_many(Counter::TunnelBytes(direction), bytes as u64);
}

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Status of the device.
    pub status: u16,
    /// `Content-Type`, if it is text.
    pub content_type: Option<String>,
    /// The body.
    pub body: Bytes,
}

/// Why there is no whole answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The device is no member on this node, or was lost.
    #[error("the device is not connected")]
    Offline,
    /// The device has too many tunnel sessions.
    #[error("too many requests for the device")]
    TooMany,
    /// The body is longer than allowed.
    #[error("the answer is too long")]
    TooLarge,
    /// The device did not answer in time.
    #[error("the device did not answer in time")]
    Timeout,
    /// What it sent is no whole HTTP answer.
    #[error("{0}")]
    Failed(Failure),
}

impl From<Failure> for FetchError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Lost => Self::Offline,
            Failure::Timeout => Self::Timeout,
            Failure::NotHttp | Failure::TooLong | Failure::Cut | Failure::Unasked => Self::Failed(failure),
        }
    }
}

/// Makes a request and collects the answer, whose body may have `max_bytes`.
pub async fn fetch(
    node: &Arc<Node>,
    domain: &DomainName,
    key: DeviceKey,
    request: TunnelRequest,
    max_bytes: usize,
) -> Result<Fetched, FetchError> {
    let phone = find(node, domain, key).await.ok_or(FetchError::Offline)?;
    let mut tunnel = Tunnel::open(phone, request, TunnelUse::Fetch);
    let (mut status, mut content_type, mut body) = (0, None, BytesMut::new());
    loop {
        match tunnel.next().await {
            Output::Head(head) => {
                if head.length.is_some_and(|length| length > max_bytes as u64) {
                    return Err(FetchError::TooLarge);
                }
                status = head.status;
                let field = head.fields.iter().find(|field| field.name.eq_ignore_ascii_case("content-type"));
                content_type = field.and_then(|field| String::from_utf8(field.value.to_vec()).ok());
            }
            Output::Body(bytes) if body.len() + bytes.len() > max_bytes => return Err(FetchError::TooLarge),
            Output::Body(bytes) => body.extend_from_slice(&bytes),
            Output::Sent => {}
            Output::Done => return Ok(Fetched { status, content_type, body: body.freeze() }),
            Output::Failed(failure) | Output::Abort(failure) => return Err(failure.into()),
            Output::Refused(TunnelRefused::NotMember) => return Err(FetchError::Offline),
            Output::Refused(TunnelRefused::TooMany) => return Err(FetchError::TooMany),
        }
    }
}
