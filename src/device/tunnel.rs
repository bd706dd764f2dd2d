//! HTTP requests to devices that are members on this node, and their answers (`docs/protocol/sysclient.md` section 7).
//!
//! The requester may live on another thread than the device. A [`Tunnel`] is the requester's end: it receives the
//! output of the device's session, confirms to the session what it has taken, and ends the session when it is dropped.
//! The session bounds the bytes in flight: it asks the device for more only when the previous piece has been taken.
//! [`TunnelReaders`] is the other end, at the actor of the device.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc;

use crate::connection::messages::{DeviceMessage, DeviceRecipient};
use crate::core::model::ids::{DeviceKey, DomainName};
use crate::core::protocol::sysclient::tunnel::Failure;
use crate::core::session::device::event::{Output, TunnelId, TunnelRefused, TunnelRequest};
use crate::metrics::{self, Counter, Direction, Gauge, Held, TunnelEnd, TunnelUse};
use crate::tenant::TenantDirectory;

/// Bound of outputs that a session has before one is taken: a head, a piece, a confirmed send, the end.
const OUTPUTS: usize = 8;

/// The readers of the answers of one device.
#[derive(Default)]
// A pointer instead of an empty map: there is one of these for every idle device.
#[allow(clippy::box_collection)]
pub struct TunnelReaders(Option<Box<HashMap<TunnelId, mpsc::Sender<Output>>>>);

impl TunnelReaders {
    /// Adds a reader.
    pub fn add(&mut self, id: TunnelId, outputs: mpsc::Sender<Output>) {
        self.0.get_or_insert_default().insert(id, outputs);
    }

    /// Removes a reader.
    pub fn remove(&mut self, id: TunnelId) {
        let Some(readers) = &mut self.0 else { return };
        readers.remove(&id);
        if readers.is_empty() {
            self.0 = None;
        }
    }

    /// Passes on the output of a session.
    pub fn pass_on(&mut self, id: TunnelId, output: Output) {
        let end = !matches!(output, Output::Head(_) | Output::Body(_) | Output::Sent);
        if let Some(reader) = self.0.as_ref().and_then(|readers| readers.get(&id)) {
            // A reader that is gone reports that itself, and the session never sends more than the channel holds.
            let _ = reader.try_send(output);
        }
        if end {
            self.remove(id);
        }
    }
}

/// One request to a device, at the end of the requester.
pub struct Tunnel {
    id: TunnelId,
    device: DeviceRecipient,
    outputs: mpsc::Receiver<Output>,
    /// The head was received.
    begun: bool,
    /// Bytes were received that have not been confirmed to the session.
    untaken: bool,
    purpose: TunnelUse,
    end: Option<TunnelEnd>,
    _counted: Held,
}

impl Tunnel {
    /// Sends a request to the device of this connection. The first [`Tunnel::next`] tells whether it got a
    /// session.
    pub fn open(device: DeviceRecipient, request: TunnelRequest, purpose: TunnelUse) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = TunnelId(NEXT.fetch_add(1, Ordering::Relaxed));
        let (sender, outputs) = mpsc::channel(OUTPUTS);
        carried(Direction::ToDevice, request.bytes.len());
        device.do_send(DeviceMessage::OpenTunnel { id, request, outputs: sender });
        let counted = metrics::hold(Gauge::TunnelSessions(purpose));
        Self { id, device, outputs, begun: false, untaken: false, purpose, end: None, _counted: counted }
    }

    /// Confirms the last output and waits for the next one; nothing follows after the end. Cancel-safe.
    pub async fn next(&mut self) -> Output {
        self.taken();
        self.wait().await
    }

    /// Confirms the last output.
    pub fn taken(&mut self) {
        if std::mem::take(&mut self.untaken) {
            self.device.do_send(DeviceMessage::TunnelTaken(self.id));
        }
    }

    /// The same as [`Self::next`], but without confirming the last output.
    pub async fn wait(&mut self) -> Output {
        let lost = if self.begun { Output::Abort(Failure::Lost) } else { Output::Failed(Failure::Lost) };
        // The actor has ended without an output, as it does when its socket breaks.
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
        self.device.do_send(DeviceMessage::TunnelPipe(self.id, bytes));
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        let end = self.end.unwrap_or_else(|| {
            self.device.do_send(DeviceMessage::TunnelAbandoned(self.id));
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
    tenants: &TenantDirectory,
    domain: &DomainName,
    key: DeviceKey,
    request: TunnelRequest,
    max_bytes: usize,
) -> Result<Fetched, FetchError> {
    let device = tenants.member(domain, key).await.ok_or(FetchError::Offline)?;
    let mut tunnel = Tunnel::open(device, request, TunnelUse::Fetch);
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
