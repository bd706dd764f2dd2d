//! A file server for simulated phones: serves the addresses of a build list.
//!
//! It answers every `GET` under `/fw/` with some bytes and records the paths. One request per connection.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Longest request head, in bytes.
const HEAD_MAX: usize = 8192;

/// A running file server; it ends when dropped.
#[derive(Debug)]
pub struct FileServer {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl FileServer {
    /// Serves on a free port of loopback.
    pub async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let (address, asked) = (listener.local_addr()?, Arc::<Mutex<Vec<String>>>::default());
        let log = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            while let Ok((io, _)) = listener.accept().await {
                // A phone that disconnects in between asks again.
                tokio::spawn(serve(io, Arc::clone(&log)));
            }
        });
        Ok(Self { address, asked, task })
    }

    /// The base address of its files; ends with `/`.
    pub fn base(&self) -> String {
        format!("http://{}/fw/", self.address)
    }

    /// The requested files, in order, without the base.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for FileServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut io: TcpStream, asked: Arc<Mutex<Vec<String>>>) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if head.len() > HEAD_MAX || io.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let head = String::from_utf8_lossy(&head);
    let file = head.strip_prefix("GET /fw/").and_then(|rest| rest.split(' ').next());
    let answer = match file {
        Some(file) => {
            asked.lock().unwrap_or_else(PoisonError::into_inner).push(file.to_owned());
            let body = format!("not really {file}\n");
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
        }
        None => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".into(),
    };
    io.write_all(answer.as_bytes()).await?;
    io.shutdown().await
}
