//! `loadtest tunnel`: throughput of one tunnel and its cost at the broker, with a device that serves a long page, and
//! one HTTP client.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use bytes::Bytes;
use clap::Args;
use provbroker::core::model::ids::Secret;
use provbroker::core::protocol::appws::login::{AppIdentity, write_login};
use provbroker::core::protocol::sysclient::frame::{
    DeviceEvent, FromDevice, FromServer, ServerEvent, decode_from_server,
};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::servers::Server;
use client::{Device, TEXT, receive, send, upgrade};

mod client;

const DOMAIN: &str = "tunnel.example";
const PASSWORD: &str = "of the domain";
const TOKEN: &str = "t0ken";

/// Limit for each wait.
const TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Args)]
pub struct Arguments {
    /// Length of the page in megabytes
    #[arg(long, default_value_t = 200)]
    megabytes: usize,
    /// Bytes per receive of the device; known devices send 8000 whatever is requested
    #[arg(long, default_value_t = 8_000, value_parser = clap::value_parser!(u16).range(1..=65_000))]
    piece: u16,
    /// Program of the broker [default: the one beside this program]
    #[arg(long)]
    broker: Option<PathBuf>,
    /// Write the figures to this file as well
    #[arg(long)]
    json: Option<PathBuf>,
}

/// Measures, prints and stops the broker.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let config = folder.path().join("broker.toml");
    std::fs::write(&config, configuration(folder.path()))?;
    let program = match &arguments.broker {
        Some(program) => program.clone(),
        None => std::env::current_exe()?.with_file_name("provbroker"),
    };
    let server = Server::broker(&program, &config, &[])?;
    let mut device = Device::new()?;
    let path = format!("/example.com/devices/sysclients?domain={DOMAIN}&token={TOKEN}&category=phones");
    device.register(server.address, &path)?;
    server.wait_for("provbroker_members", 1.0, 100)?;
    let id = device.id().to_owned();
    let mut stream = device.into_stream().context("the device has no connection")?;
    let (_app, key) = log_in(server.address)?;

    let piece = usize::from(arguments.piece);
    let passthrough = format!("/example.com/devices/passthrough/{id}/{key}/");
    // One warm-up, one measurement.
    let lengths = [1_000_000, arguments.megabytes * 1_000_000];
    let serving = std::thread::spawn(move || lengths.iter().try_for_each(|&length| serve(&mut stream, length, piece)));
    fetch(server.address, &passthrough, lengths[0])?;
    let (rss, cpu, start) = (server.rss()?, server.cpu()?, Instant::now());
    fetch(server.address, &passthrough, lengths[1])?;
    let (seconds, cpu, rss) = (start.elapsed().as_secs_f64(), server.cpu()? - cpu, (rss, server.rss()?));
    serving.join().map_err(|_| anyhow!("the device panicked"))??;

    // Exact: far below 2^53.
    #[allow(clippy::cast_precision_loss)]
    let megabytes = arguments.megabytes as f64;
    let (speed, cost) = (megabytes / seconds, cpu * 1e3 / megabytes);
    let [before, after] = [rss.0, rss.1].map(|bytes| bytes / 1024);
    println!(
        "one tunnel, {megabytes} MB in pieces of {piece}: {speed:.1} MB/s, {cost:.2} ms CPU of the broker per MB, \
         RSS {before} -> {after} KiB"
    );
    if let Some(file) = &arguments.json {
        let report = json!({
            "megabytes": megabytes, "piece": piece, "seconds": seconds, "mb_per_second": speed,
            "cpu_ms_per_mb": cost, "rss_before": rss.0, "rss_after": rss.1,
        });
        std::fs::write(file, format!("{report:#}\n")).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

fn configuration(folder: &std::path::Path) -> String {
    let store = format!("embedded:{}", folder.join("broker.redb").display());
    format!(
        "[server]\nroles = [\"directory\", \"devices\"]\nlisten = \"127.0.0.1:0\"\nops_listen = \"127.0.0.1:0\"\nworkers = 1\n[store]\nurl = {store:?}\n\
         [log]\nformat = \"json\"\nfilter = \"warn,provbroker::app=info\"\n\
         [[domains]]\nname = \"{DOMAIN}\"\npassword = \"{PASSWORD}\"\nauto_token = \"{TOKEN}\"\n\
         [[domains.categories]]\nname = \"phones\"\nprovisioning = true\n"
    )
}

fn connect(server: SocketAddr) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(server)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    Ok(stream)
}

/// Logs in as an app; returns its connection and the key of the session.
fn log_in(server: SocketAddr) -> anyhow::Result<(TcpStream, String)> {
    let mut stream = connect(server)?;
    upgrade(&mut stream, server, "/example.com/devices")?;
    let mut ask = |text: &str| -> anyhow::Result<Value> {
        send(&mut stream, TEXT, text.as_bytes())?;
        Ok(serde_json::from_slice(&receive(&mut stream)?)?)
    };
    let challenge = ask(r#"{"mt":"AppChallenge"}"#)?["challenge"].as_str().context("no challenge")?.to_owned();
    let identity =
        AppIdentity { app: "innovaphone-devices-api", domain: DOMAIN, sip: "", guid: "", dn: "", info: None };
    let result = ask(&write_login(&identity, None, &challenge, &Secret::new(PASSWORD)))?;
    if result["ok"] != true {
        bail!("not logged in: {result}");
    }
    let key = ask(r#"{"mt":"GetLoginInfo"}"#)?["key"].as_str().context("no key")?.to_owned();
    Ok((stream, key))
}

/// Serves one request with a page of this length.
fn serve(stream: &mut TcpStream, length: usize, piece: usize) -> anyhow::Result<()> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
    let page = Bytes::from(vec![b'x'; piece]);
    let (mut head, mut left) = (Some(Bytes::from(head)), length);
    loop {
        let FromServer::Tunnel { session, event } = decode_from_server(&receive(stream)?.into())? else { continue };
        let answer = match event {
            ServerEvent::Send(_) => DeviceEvent::SendResult,
            ServerEvent::Receive(_) => DeviceEvent::ReceiveResult(head.take().unwrap_or_else(|| {
                let bytes = page.slice(..left.min(piece));
                left -= bytes.len();
                bytes
            })),
            ServerEvent::Shutdown => {
                send(stream, 2, &FromDevice::Tunnel { session, event: DeviceEvent::Shutdown }.encode())?;
                return Ok(());
            }
        };
        send(stream, 2, &FromDevice::Tunnel { session, event: answer }.encode())?;
    }
}

/// Reads the full page.
fn fetch(server: SocketAddr, path: &str, length: usize) -> anyhow::Result<()> {
    let mut stream = connect(server)?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut buffer = vec![0; 1 << 18];
    let (mut head, mut body) = (Vec::new(), None);
    loop {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        if let Some(body) = &mut body {
            *body += read;
        } else {
            head.extend_from_slice(&buffer[..read]);
            body = head.windows(4).position(|four| four == b"\r\n\r\n").map(|at| head.len() - at - 4);
        }
    }
    if !head.starts_with(b"HTTP/1.1 200 ") || body != Some(length) {
        bail!("incomplete page: {body:?} bytes of {length}");
    }
    Ok(())
}
