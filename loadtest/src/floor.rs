//! The floor server: the lowest cost of the same task on the same libraries.
//!
//! An actor that only echoes, started with `ws::start` on a plain `HttpServer`. It is measured beside the broker, so
//! that the ratio of both holds on any machine.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;

use actix::{Actor, StreamHandler};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use actix_web_actors::ws::{self, WebsocketContext};
use anyhow::{Context as _, anyhow};
use clap::Args;

/// Same length as the broker's listen queue.
const BACKLOG: u32 = 8192;

#[derive(Args)]
pub struct Arguments {
    /// Where to listen; port 0: any free one
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Worker threads
    #[arg(long, default_value_t = 1)]
    workers: usize,
    /// Exit when standard input ends, as it does when the parent process is gone
    #[arg(long)]
    with_parent: bool,
}

struct Floor;

impl Actor for Floor {
    type Context = WebsocketContext<Self>;
}

impl StreamHandler<Result<ws::Message, ws::ProtocolError>> for Floor {
    fn handle(&mut self, item: Result<ws::Message, ws::ProtocolError>, ctx: &mut Self::Context) {
        match item {
            Ok(ws::Message::Binary(bytes)) => ctx.binary(bytes),
            Ok(ws::Message::Ping(payload)) => ctx.pong(&payload),
            _ => {}
        }
    }
}

async fn start(request: HttpRequest, stream: web::Payload) -> actix_web::Result<HttpResponse> {
    ws::start(Floor, &request, stream)
}

/// Serves until killed; first prints its address on one line.
pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    if arguments.with_parent {
        std::thread::spawn(|| {
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
            std::process::exit(0);
        });
    }
    // Needs a runtime of its own: that of the process is not an actix system.
    let served = std::thread::spawn(move || actix_web::rt::System::new().block_on(serve(arguments)));
    served.join().map_err(|_| anyhow!("the floor server panicked"))?
}

async fn serve(arguments: Arguments) -> anyhow::Result<()> {
    let server = HttpServer::new(|| App::new().default_service(web::to(start)))
        .workers(arguments.workers)
        .backlog(BACKLOG)
        .max_connections(100_000)
        .bind(arguments.listen)
        .with_context(|| format!("cannot listen on {}", arguments.listen))?;
    let address = server.addrs().first().copied().context("no address")?;
    let server = server.run();
    println!("{address}");
    std::io::stdout().flush()?;
    Ok(server.await?)
}
