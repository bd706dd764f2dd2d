//! A connection between a device and the broker that breaks once, after a given number of messages of the broker.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A running forwarder; it stops when dropped.
pub struct Cutter {
    /// The address for the device.
    pub addr: SocketAddr,
    passed: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Cutter {
    /// Forwards to `broker` and breaks the connection, without a close on either side, after this many messages of the
    /// broker. Later connections are not broken.
    pub async fn start(broker: SocketAddr, after: usize) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let passed = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&passed);
        let task = tokio::spawn(async move {
            let mut left = after;
            loop {
                let (device, _) = listener.accept().await.unwrap();
                let broker = TcpStream::connect(broker).await.unwrap();
                // One connection at a time: the device reconnects after the break. `left` counts over all of them.
                left = pass(device, broker, left, &count).await;
                if left == 0 {
                    left = usize::MAX;
                }
            }
        });
        Self { addr, passed, task }
    }

    /// Number of messages of the broker forwarded so far.
    pub fn passed(&self) -> usize {
        self.passed.load(Ordering::Relaxed)
    }
}

impl Drop for Cutter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Forwards in both directions until one side ends or `left` messages have passed; returns how many are left.
async fn pass(device: TcpStream, broker: TcpStream, mut left: usize, passed: &AtomicUsize) -> usize {
    // Without this, Nagle's algorithm would delay small messages by 40 ms each.
    device.set_nodelay(true).unwrap();
    broker.set_nodelay(true).unwrap();
    let (mut from_device, mut to_device) = device.into_split();
    let (mut from_broker, mut to_broker) = broker.into_split();
    let up = async { tokio::io::copy(&mut from_device, &mut to_broker).await.map(drop) };
    let down = async {
        head(&mut from_broker, &mut to_device).await?;
        while left > 0 {
            let frame = frame(&mut from_broker).await?;
            to_device.write_all(&frame).await?;
            // Pings and closes occur at any time; only messages are counted.
            if frame[0] & 0x08 == 0 {
                passed.fetch_add(1, Ordering::Relaxed);
                left -= usize::from(left != usize::MAX);
            }
        }
        Ok::<(), std::io::Error>(())
    };
    tokio::select! {
        _ = up => {}
        _ = down => {}
    }
    left
}

/// Forwards the answer to the upgrade.
async fn head(from: &mut (impl AsyncRead + Unpin), to: &mut (impl AsyncWrite + Unpin)) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(from.read_u8().await?);
    }
    to.write_all(&head).await
}

/// A whole frame of a server, which is not masked.
async fn frame(from: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Vec<u8>> {
    let mut frame = vec![0; 2];
    from.read_exact(&mut frame).await?;
    let length = match frame[1] {
        126 => u64::from(from.read_u16().await?),
        127 => from.read_u64().await?,
        short => u64::from(short),
    };
    match frame[1] {
        126 => frame.extend(u16::try_from(length).unwrap().to_be_bytes()),
        127 => frame.extend(length.to_be_bytes()),
        _ => {}
    }
    let head = frame.len();
    frame.resize(head + usize::try_from(length).unwrap(), 0);
    from.read_exact(&mut frame[head..]).await?;
    Ok(frame)
}
