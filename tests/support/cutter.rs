//! A line between a device and the broker that breaks once, after a given number of messages of the broker.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A running line; it ends when dropped.
pub struct Cutter {
    /// Where the device connects.
    pub addr: SocketAddr,
    passed: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Cutter {
    /// A line to `broker` that breaks, without a word to either side, when so many messages of the broker have passed.
    /// Connections after that one are left alone.
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
                // One at a time: the device comes back when the line is broken. `left` counts over all of them.
                left = pass(device, broker, left, &count).await;
                if left == 0 {
                    left = usize::MAX;
                }
            }
        });
        Self { addr, passed, task }
    }

    /// How many messages of the broker have passed.
    pub fn passed(&self) -> usize {
        self.passed.load(Ordering::Relaxed)
    }
}

impl Drop for Cutter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Carries bytes both ways until one side ends or `left` messages have passed; how many are left.
async fn pass(device: TcpStream, broker: TcpStream, mut left: usize, passed: &AtomicUsize) -> usize {
    // Small messages go to and fro; waiting to join them would cost 40 ms each.
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
            // Pings and closes come when they like; only messages are counted.
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

/// Passes the answer to the upgrade on.
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
