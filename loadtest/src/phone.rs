//! `loadtest phone`: one simulated phone with its display and keys on the terminal.

use std::io::BufRead as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use provbroker::core::model::ids::{Code, HardwareId};
use provbroker::core::session::device::client::{Observation, Proof};
use provbroker::core::session::device::settings::Part;
use provbroker::sim::phone::{Phone, PhoneEvent, PhoneOptions};
use provbroker::sim::transport::http_client;
use tokio::sync::mpsc;

use crate::terminal::{closed, typed_code};
use crate::timeline::Timeline;

#[derive(Args)]
pub struct Arguments {
    #[arg(
        long,
        value_name = "URL",
        required_unless_present_any = ["sysadmin", "state"],
        help = "Update address, such as http://127.0.0.1:8080/init; one in the state file takes precedence"
    )]
    init_url: Option<String>,
    /// MAC address or another hardware identifier
    #[arg(long, value_parser = hardware_id)]
    mac: HardwareId,
    /// Code to type when the form appears; without it the form is a prompt on the terminal
    #[arg(long, value_parser = typed_code)]
    code: Option<Code>,
    /// File that stores passwords and settings
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Initial address of Devices, with the query of automatic provisioning if wanted
    #[arg(long, value_name = "URL")]
    sysadmin: Option<String>,
    /// Product name
    #[arg(long, default_value = "IP112")]
    product: String,
    /// Release, which the version text begins with
    #[arg(long, default_value = "13r3 sr9")]
    release: String,
    /// HTML file with the first page of its web server [default: a page that describes the phone]
    #[arg(long, value_name = "FILE")]
    page: Option<PathBuf>,
    /// Seconds that stand for one minute of the poll intervals; longer intervals shrink alike
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0)]
    poll: f64,
    /// Exit when the phone is a member of a domain
    #[arg(long)]
    once: bool,
}

fn hardware_id(text: &str) -> Result<HardwareId, String> {
    // A phone reports its MAC address as twelve digits, however it was typed.
    HardwareId::parse(text).and_then(|id| HardwareId::parse(id.key().as_str())).map_err(|error| error.to_string())
}

/// Runs until interrupted, or with `--once` until the phone is a member.
pub async fn run(arguments: Arguments) -> anyhow::Result<()> {
    ensure!(arguments.poll.is_finite() && arguments.poll >= 0.01, "--poll must be at least 0.01 seconds");
    let minute = Duration::try_from_secs_f64(arguments.poll).context("--poll is too long")?;
    let page = arguments
        .page
        .as_ref()
        .map(|file| std::fs::read_to_string(file).with_context(|| format!("--page: cannot read {}", file.display())));
    let options = PhoneOptions {
        product: arguments.product.as_str().into(),
        release: arguments.release.as_str().into(),
        page: page.transpose()?.map(Into::into),
        init_url: arguments.init_url.clone(),
        sysadmin: arguments.sysadmin.clone(),
        state_file: arguments.state.clone(),
        minute,
        ..PhoneOptions::new(arguments.mac.clone())
    };
    let timeline = Timeline::start();
    let (phone, mut events) = Phone::start(options, http_client()?)?;
    let mut keys = Keys { next: arguments.code, given: arguments.code.is_some(), typed: None };
    if arguments.init_url.is_none() && keys.next.is_some() {
        // The form will not be shown, so type the code now.
        keys.form(&phone).await;
    }
    loop {
        tokio::select! {
            event = events.recv() => {
                let event = event.context("the phone has stopped")?;
                timeline.print(&text(&event));
                match event {
                    PhoneEvent::FormShown if arguments.once && keys.given && keys.next.is_none() => {
                        bail!("the code was not accepted");
                    }
                    PhoneEvent::FormShown => keys.form(&phone).await,
                    PhoneEvent::Member(_) if arguments.once => break,
                    _ => {}
                }
            }
            Some(line) = keys.line() => match typed_code(&line) {
                Ok(code) => phone.type_code(code).await,
                Err(error) => println!("{error}; type it again:"),
            },
            result = tokio::signal::ctrl_c() => {
                result.context("cannot wait for an interrupt")?;
                phone.stop().await;
                ensure!(!arguments.once, "interrupted before the phone was a member");
                return Ok(());
            }
        }
    }
    phone.stop().await;
    Ok(())
}

/// The keys of the phone: the code of the command line first, then what is typed on the terminal.
struct Keys {
    next: Option<Code>,
    given: bool,
    typed: Option<mpsc::Receiver<String>>,
}

impl Keys {
    async fn form(&mut self, phone: &Phone) {
        if let Some(code) = self.next.take() {
            phone.type_code(code).await;
        } else {
            println!("Enter the provisioning code:");
            self.typed.get_or_insert_with(read_terminal);
        }
    }

    /// The next typed line; `None` at the end of the input. Pending while no form is shown.
    async fn line(&mut self) -> Option<String> {
        let Some(typed) = &mut self.typed else { return std::future::pending().await };
        let line = typed.recv().await;
        if line.is_none() {
            self.typed = None;
        }
        line
    }
}

/// Reads lines on a thread of its own: a blocking read of the terminal cannot be cancelled and must not keep the
/// program alive.
fn read_terminal() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

fn text(event: &PhoneEvent) -> String {
    match event {
        PhoneEvent::ScriptAsked { address, code: false } => format!("asks {address}"),
        PhoneEvent::ScriptAsked { address, code: true } => format!("asks {address} with the typed code"),
        PhoneEvent::ScriptFetched { status: 200, lines } => format!("script with {lines} lines"),
        PhoneEvent::ScriptFetched { status, .. } => format!("no script: HTTP status {status}"),
        PhoneEvent::ScriptFailed(error) => format!("no script: {error}"),
        PhoneEvent::Skipped(line) => format!("skipped a line: {line}"),
        PhoneEvent::FormShown => "the form for the code is on the display".into(),
        PhoneEvent::FormGone => "the form is gone".into(),
        PhoneEvent::AddressReceived(Some(address)) => format!("address of Devices: {address}"),
        PhoneEvent::AddressReceived(None) => "address of Devices removed".into(),
        PhoneEvent::Connected(address) => format!("connected to {address}"),
        PhoneEvent::ConnectFailed(error) => format!("Devices not reached: {error}"),
        PhoneEvent::IdentifySent { code: false } => "identify sent".into(),
        PhoneEvent::IdentifySent { code: true } => "identify sent, with the code".into(),
        PhoneEvent::ChallengeAnswered => "challenge answered".into(),
        PhoneEvent::ChallengeUnanswered => "challenge, but no password to answer it: a code is needed".into(),
        PhoneEvent::PasswordReceived(_) => "device password received and stored".into(),
        PhoneEvent::AdminPasswordReceived(_) => "administrative password received and stored".into(),
        PhoneEvent::Member(Proof::Password) => "member: entered the domain".into(),
        PhoneEvent::Member(Proof::Served | Proof::Silence) => "member: logged in".into(),
        PhoneEvent::PageServed { what, status } => format!("served {what}: {status}"),
        PhoneEvent::Loaded { part, serial, bytes } => format!("loaded {} {serial}, {bytes} bytes", name(*part)),
        PhoneEvent::LoadFailed { part, error } => format!("{} not loaded: {error}", name(*part)),
        PhoneEvent::Stored => "sent what a script asked for".into(),
        PhoneEvent::StoreFailed(error) => format!("could not send what a script asked for: {error}"),
        PhoneEvent::Restarting => "restarts".into(),
        PhoneEvent::Closed(code, reason) => closed(*code, reason),
        PhoneEvent::Observed(Observation::Malformed(error)) => format!("message that breaks the protocol: {error}"),
        PhoneEvent::Observed(Observation::AdminPasswordUnreadable) => {
            "administrative password that cannot be decrypted".into()
        }
        PhoneEvent::Observed(observation) => format!("received {observation:?}"),
        PhoneEvent::NotKept(error) => format!("not kept: {error}"),
        PhoneEvent::Missed(count) => format!("… {count} events not shown"),
    }
}

const fn name(part: Part) -> &'static str {
    match part {
        Part::Firmware => "firmware",
        Part::BootCode => "boot code",
    }
}

#[cfg(test)]
mod tests {
    use provbroker::core::model::ids::Secret;

    use super::*;

    #[test]
    fn mac_addresses_are_told_as_twelve_digits() {
        assert_eq!(hardware_id("00-90-33-41-A0-B1").unwrap().as_str(), "00903341a0b1");
        assert_eq!(hardware_id("f049033123450").unwrap().as_str(), "f049033123450");
        assert!(hardware_id("a b").is_err());
    }

    #[test]
    fn no_secret_is_printed() {
        let secret = Secret::new("letmein");
        for event in [PhoneEvent::PasswordReceived(secret.clone()), PhoneEvent::AdminPasswordReceived(secret)] {
            assert!(!text(&event).contains("letmein") && !format!("{event:?}").contains("letmein"));
        }
    }
}
