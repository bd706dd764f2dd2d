//! Runs a simulated exchange on real sockets: one task owns the machine's timers, each connection has a reader and a
//! writer.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, accept_async_with_config, connect_async_with_config};

use super::machine::{Action, ConnId, Event, ExchangeSim};
use crate::core::model::time::Tick;
use crate::sim::transport::choose_crypto;
use crate::sim::{Clock, sleep_until_tick};

/// Longest accepted message.
const MESSAGE_LIMIT: usize = 1 << 20;
/// Bound of outgoing messages per connection; a peer that does not read is disconnected.
const WAITING: usize = 65_536;
/// Bound of queued events of all connections.
const EVENTS: usize = 1_024;
const FRAGMENT: usize = 4_096;

/// Who opens the connections.
#[derive(Debug)]
pub enum ConnectionSource {
    /// Peers connect to this listener.
    Listen(TcpListener),
    /// The simulator connects, again after each end.
    Dial {
        /// `ws://` or `wss://`, path included.
        url: String,
        /// Pause before the next attempt.
        again: Duration,
    },
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

enum Input {
    Opened(Box<Socket>, bool),
    Text(ConnId, String),
    Closed(ConnId),
}

/// A running simulated exchange. Dropping it drops all connections.
#[derive(Debug)]
pub struct Running {
    sim: Arc<Mutex<ExchangeSim>>,
    clock: Arc<Clock>,
    changed: Arc<Notify>,
    address: Option<SocketAddr>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Running {
    /// Starts on the current runtime.
    pub fn start(sim: ExchangeSim, source: ConnectionSource) -> io::Result<Self> {
        choose_crypto();
        let address = match &source {
            ConnectionSource::Listen(listener) => Some(listener.local_addr()?),
            ConnectionSource::Dial { .. } => None,
        };
        let sim = Arc::new(Mutex::new(sim));
        let (clock, changed) = (Arc::new(Clock::start()), Arc::new(Notify::new()));
        let (stop, stopped) = oneshot::channel();
        let (events, inputs) = mpsc::channel(EVENTS);
        let task = Task {
            sim: Arc::clone(&sim),
            clock: Arc::clone(&clock),
            changed: Arc::clone(&changed),
            ended: Arc::new(Notify::new()),
            events,
            writers: BTreeMap::new(),
            last: 0,
        };
        let task = tokio::spawn(task.run(source, inputs, stopped));
        Ok(Self { sim, clock, changed, address, stop: Some(stop), task })
    }

    /// Listening address, if it listens.
    pub const fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Inspects or changes the machine.
    pub fn with<R>(&self, act: impl FnOnce(&mut ExchangeSim, Tick) -> R) -> R {
        let result = act(&mut locked(&self.sim), self.clock.now());
        self.changed.notify_one();
        result
    }

    /// Drops all connections, as a power cut does, and returns the machine, whose objects survive.
    pub async fn stop(mut self) -> Option<ExchangeSim> {
        if let Some(stop) = self.stop.take() {
            // If the task has ended already, there is nothing to stop.
            let _ = stop.send(());
        }
        // A panic of the task has been reported by the runtime.
        let _ = self.task.await;
        let sim = Arc::into_inner(self.sim)?.into_inner();
        let mut sim = sim.unwrap_or_else(PoisonError::into_inner);
        let mut actions = Vec::new();
        for conn in sim.connections() {
            sim.on(Event::Closed(conn), self.clock.now(), &mut actions);
        }
        Some(sim)
    }
}

/// A panic while it was locked has been reported; the state is good enough for a simulator.
fn locked(sim: &Mutex<ExchangeSim>) -> MutexGuard<'_, ExchangeSim> {
    sim.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Writer {
    texts: mpsc::Sender<String>,
    reading: JoinHandle<()>,
    writing: JoinHandle<()>,
}

struct Task {
    sim: Arc<Mutex<ExchangeSim>>,
    clock: Arc<Clock>,
    changed: Arc<Notify>,
    /// A connection has ended.
    ended: Arc<Notify>,
    events: mpsc::Sender<Input>,
    writers: BTreeMap<ConnId, Writer>,
    last: ConnId,
}

impl Task {
    async fn run(
        mut self,
        source: ConnectionSource,
        mut inputs: mpsc::Receiver<Input>,
        mut stop: oneshot::Receiver<()>,
    ) {
        let opener = tokio::spawn(open(source, self.events.clone(), Arc::clone(&self.ended)));
        loop {
            let wake = locked(&self.sim).next_wake();
            tokio::select! {
                // Also resolves when the handle is dropped.
                _ = &mut stop => break,
                input = inputs.recv() => match input {
                    Some(input) => self.on_input(input),
                    None => break,
                },
                () = sleep_until_tick(&self.clock, wake) => self.on(Event::Timer),
                // The machine was changed through the handle.
                () = self.changed.notified() => self.on(Event::Timer),
            }
        }
        opener.abort();
        for id in self.writers.keys().copied().collect::<Vec<_>>() {
            self.cut(id);
        }
    }

    fn on_input(&mut self, input: Input) {
        match input {
            Input::Opened(socket, dialled) => {
                self.last += 1;
                let id = self.last;
                let (sink, stream) = (*socket).split();
                let (texts, unsent) = mpsc::channel(WAITING);
                let fragments = Arc::clone(&self.sim);
                let writing = tokio::spawn(write(sink, unsent, fragments));
                let reading = tokio::spawn(read(stream, id, self.events.clone()));
                self.writers.insert(id, Writer { texts, reading, writing });
                self.on(if dialled { Event::Dialled(id) } else { Event::Accepted(id) });
            }
            Input::Text(id, text) if self.writers.contains_key(&id) => self.on(Event::Text(id, &text)),
            Input::Text(..) => {}
            Input::Closed(id) => {
                self.cut(id);
                self.on(Event::Closed(id));
            }
        }
    }

    fn on(&mut self, event: Event<'_>) {
        let mut actions = Vec::new();
        locked(&self.sim).on(event, self.clock.now(), &mut actions);
        for action in actions {
            match action {
                Action::Send(id, text) => {
                    if let Some(writer) = self.writers.get(&id)
                        && writer.texts.try_send(text).is_err()
                    {
                        self.cut(id);
                    }
                }
                Action::Cut(id) => self.cut(id),
            }
        }
    }

    fn cut(&mut self, id: ConnId) {
        if let Some(writer) = self.writers.remove(&id) {
            writer.reading.abort();
            writer.writing.abort();
            self.ended.notify_one();
        }
    }
}

async fn open(source: ConnectionSource, events: mpsc::Sender<Input>, ended: Arc<Notify>) {
    let config = WebSocketConfig::default().max_message_size(Some(MESSAGE_LIMIT)).max_frame_size(Some(MESSAGE_LIMIT));
    match source {
        ConnectionSource::Listen(listener) => loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            // Small messages must not be delayed.
            let _ = stream.set_nodelay(true);
            let events = events.clone();
            tokio::spawn(async move {
                if let Ok(socket) = accept_async_with_config(MaybeTlsStream::Plain(stream), Some(config)).await {
                    // The task may have ended.
                    let _ = events.send(Input::Opened(Box::new(socket), false)).await;
                }
            });
        },
        ConnectionSource::Dial { url, again } => loop {
            if let Ok((socket, _)) = connect_async_with_config(&url, Some(config), true).await {
                if events.send(Input::Opened(Box::new(socket), true)).await.is_err() {
                    return;
                }
                // Only one connection at a time.
                ended.notified().await;
            }
            tokio::time::sleep(again).await;
        },
    }
}

async fn read(mut stream: SplitStream<Socket>, id: ConnId, events: mpsc::Sender<Input>) {
    while let Some(Ok(message)) = stream.next().await {
        if let Message::Text(text) = message
            && events.send(Input::Text(id, text.as_str().into())).await.is_err()
        {
            return;
        }
    }
    // The task may have ended.
    let _ = events.send(Input::Closed(id)).await;
}

async fn write(mut sink: SplitSink<Socket, Message>, mut texts: mpsc::Receiver<String>, sim: Arc<Mutex<ExchangeSim>>) {
    while let Some(text) = texts.recv().await {
        let fragments = locked(&sim).switches.fragments;
        let sent = if fragments { send_in_parts(&mut sink, text).await } else { sink.send(Message::text(text)).await };
        if sent.is_err() {
            return;
        }
    }
}

async fn send_in_parts(
    sink: &mut SplitSink<Socket, Message>,
    text: String,
) -> Result<(), tokio_tungstenite::tungstenite::Error> {
    let bytes = text.into_bytes();
    let parts: Vec<&[u8]> = bytes.chunks(FRAGMENT).collect();
    for (n, part) in parts.iter().enumerate() {
        let kind = if n == 0 { Data::Text } else { Data::Continue };
        let frame = Frame::message(part.to_vec(), OpCode::Data(kind), n + 1 == parts.len());
        sink.send(Message::Frame(frame)).await?;
    }
    Ok(())
}
