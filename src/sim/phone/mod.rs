//! A simulated phone, complete by `docs/protocol/update-script.md` section 7.
//!
//! It requests its update address, runs the script, shows the form, takes a typed code, connects to the given address
//! of Devices, stores its password, reconnects after every loss, and serves a small web page through the tunnel. The
//! rules are those of [`DeviceClient`](crate::core::session::device::client::DeviceClient) and
//! [`Settings`](crate::core::session::device::settings::Settings); this module has the sockets, timers and the state
//! file.

mod carry_out;
mod event;
mod orders;
mod state_file;
mod task;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

pub use event::{PhoneEvent, without_query};
pub use state_file::StateFileError;

use super::observe::EventSender;
use crate::core::model::device::{EthIf, Facts};
use crate::core::model::ids::{Code, HardwareId};
use crate::core::protocol::script::files;
use crate::core::session::device::settings::Machine;

/// Bound of the command queue.
const WAITING_COMMANDS: usize = 64;

/// Options of a simulated phone.
#[derive(Debug, Clone)]
pub struct PhoneOptions {
    /// Hardware identifier; for a phone its MAC address.
    pub id: HardwareId,
    /// Product name.
    pub product: Box<str>,
    /// Release, which the version text begins with.
    pub release: Box<str>,
    /// First page of its web server, in HTML; `None`: one that describes the phone.
    pub page: Option<Arc<str>>,
    /// The phone's own IP address, as it reports it.
    pub ip: IpAddr,
    /// Initial update address; `None`: it requests nothing until a script or a person sets one.
    pub init_url: Option<String>,
    /// Initial address of Devices, as for automatic provisioning.
    pub sysadmin: Option<String>,
    /// File that stores passwords and settings; `None`: not stored. Stored addresses take precedence over both above.
    pub state_file: Option<PathBuf>,
    /// Length of a minute of the poll intervals; 60 s for a real phone.
    pub minute: Duration,
    /// Wait between a lost connection and the next attempt.
    pub reconnect: Duration,
    /// How long a restart takes.
    pub restart: Duration,
}

impl PhoneOptions {
    /// An `IP112` with real intervals, without any address.
    pub fn new(id: HardwareId) -> Self {
        Self {
            id,
            product: "IP112".into(),
            release: "13r3 sr9".into(),
            page: None,
            ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            init_url: None,
            sysadmin: None,
            state_file: None,
            minute: Duration::from_secs(60),
            reconnect: Duration::from_secs(2),
            restart: Duration::from_secs(3),
        }
    }
}

/// The machine of a phone as delivered.
fn machine(options: &PhoneOptions) -> Machine {
    Machine {
        mac: options.id.as_str().into(),
        product: options.product.clone(),
        release: options.release.clone(),
        fw_build: "136012".into(),
        bc_build: "136012".into(),
        hw_build: "300".into(),
        ip: options.ip.to_string().into(),
    }
}

/// The facts of the identify.
fn facts(machine: &Machine, ip: IpAddr) -> Facts {
    let text = Some(ip.to_string().into());
    let (ipv4, ipv6) = if ip.is_ipv4() { (text, None) } else { (None, text) };
    Facts {
        product: machine.product.clone(),
        version: machine.version().into(),
        platform: "PHONE".into(),
        fw_build: Some(machine.fw_build.clone()),
        bc_build: Some(machine.bc_build.clone()),
        major: machine.release.split(' ').next().map(Into::into),
        fw: Some(files::firmware(&machine.product).into()),
        bc: Some(files::boot_code(&machine.product).into()),
        eth_ifs: vec![EthIf { name: "ETH0".into(), ipv4, ipv6 }],
        ..Facts::default()
    }
}

#[derive(Debug)]
enum Command {
    TypeCode(Code),
    Run(Box<str>),
    Close,
    Kill,
    Restart,
    Stop,
}

/// The handle of a running phone. Dropping it stops the phone.
#[derive(Debug)]
pub struct Phone {
    commands: mpsc::Sender<Command>,
    task: JoinHandle<()>,
}

impl Phone {
    /// Starts a phone on the current runtime. `http` comes from [`http_client`](super::transport::http_client); share
    /// it between phones. Fails only if there is an unreadable state file.
    pub fn start(
        options: PhoneOptions,
        http: reqwest::Client,
    ) -> Result<(Self, mpsc::Receiver<PhoneEvent>), StateFileError> {
        let (observer, events) = EventSender::new(PhoneEvent::Missed);
        let (commands, receiver) = mpsc::channel(WAITING_COMMANDS);
        let phone = task::Task::new(options, http, observer)?;
        Ok((Self { commands, task: tokio::spawn(phone.run(receiver)) }, events))
    }

    /// A person types a code. It is sent to the directory at once, and to Devices until a password is received for
    /// it.
    pub async fn type_code(&self, code: Code) {
        self.command(Command::TypeCode(code)).await;
    }

    /// A person or an update server runs a line of the command language.
    pub async fn run(&self, line: &str) {
        self.command(Command::Run(line.into())).await;
    }

    /// Closes the connection to Devices with a close frame; the phone reconnects.
    pub async fn close_connection(&self) {
        self.command(Command::Close).await;
    }

    /// Drops the connection to Devices without a close frame; the phone reconnects.
    pub async fn kill_connection(&self) {
        self.command(Command::Kill).await;
    }

    /// Power-cycles the phone: settings that were not written are lost.
    pub async fn restart(&self) {
        self.command(Command::Restart).await;
    }

    /// Stops the phone and waits for its task.
    pub async fn stop(self) {
        self.command(Command::Stop).await;
        // A panic of the task has been reported by the runtime.
        let _ = self.task.await;
    }

    async fn command(&self, command: Command) {
        // The task ends only when stopped; then commands have no effect.
        let _ = self.commands.send(command).await;
    }
}
