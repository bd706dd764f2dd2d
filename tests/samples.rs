//! The sample services of `examples/devices-service/` against a broker over real sockets, with a simulated phone.

// Helpers of tests may fail like tests.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use provbroker::core::model::ids::DomainName;

#[path = "support/mod.rs"]
mod support;

use support::broker::{Broker, CATEGORY, DOMAIN, Keep, PASSWORD, with_broker};
use support::peer::{Device, until};
use support::secrets;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const SAMPLE: &str = "devices-service";
const PHONE: &str = "0090334100e1";

/// Only prevents hanging for ever.
const GUARD: Duration = Duration::from_secs(60);

/// The Rust sample. `cargo test` has built it; `cargo test --test samples` has not.
fn rust() -> Command {
    let program = Path::new(env!("CARGO_BIN_EXE_provbroker")).with_file_name("examples").join(SAMPLE);
    let changed = |path: &Path| path.metadata().and_then(|data| data.modified()).ok();
    let source = changed(&Path::new(ROOT).join("examples").join(SAMPLE).join("main.rs"));
    if changed(&program) < source {
        let build = ["build", "--locked", "--example", SAMPLE];
        let built = Command::new(env!("CARGO")).args(build).current_dir(ROOT).status().unwrap();
        assert!(built.success(), "the sample is built");
    }
    Command::new(program)
}

fn python() -> Command {
    let mut command = Command::new("python3");
    command.arg("-B").arg(Path::new(ROOT).join("examples").join(SAMPLE).join("devices_service.py"));
    command
}

/// A running sample; ended when it is dropped.
struct Sample {
    child: Child,
    lines: Receiver<String>,
}

impl Sample {
    fn start(mut command: Command, broker: &Broker, password: Option<&str>, category: &str) -> Self {
        let url = format!("ws://{}{}", broker.addr, support::broker::INSTANCE);
        command.args(["--domain", DOMAIN, "--category", category, "--sip", "anna", &url]);
        command.env_remove("DEVICES_PASSWORD").envs(password.map(|password| ("DEVICES_PASSWORD", password)));
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (tell, lines) = channel();
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
        Self { child, lines }
    }

    /// The next line of its standard output.
    fn line(&mut self) -> String {
        self.lines.recv_timeout(GUARD).unwrap_or_else(|_| panic!("no further line: {}", self.errors()))
    }

    /// Waits for its end, or ends it after a while; its standard error.
    fn errors(&mut self) -> String {
        // Its output ends with it.
        while self.lines.recv_timeout(GUARD).is_ok() {}
        let _ = self.child.kill();
        let mut errors = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        errors
    }
}

impl Drop for Sample {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// From the log-in to the notice, step by step.
async fn waits_for_a_phone(broker: &Broker, command: Command) {
    let mut sample = Sample::start(command, broker, Some(PASSWORD), CATEGORY);
    assert!(sample.line().starts_with("connected to ws://127.0.0.1:"));
    assert_eq!(sample.line(), "logged in to example.com as innovaphone-devices-api");
    let line = sample.line();
    let (code, validity) = line.strip_prefix("code ").and_then(|rest| rest.split_once(", valid for ")).expect(&line);
    secrets::note(code);
    let seconds: u64 = validity.strip_suffix(" s").unwrap().parse().unwrap();
    assert!((500..=600).contains(&seconds), "{line}");
    assert_eq!(sample.line(), "waiting for a device");
    let (phone, _) = Device::enter(broker.addr, PHONE, code).await;
    assert_eq!(sample.line(), format!("device {PHONE} has entered: IP112 13r3 sr9 [13.6012/136012/300]"));
    assert_eq!(sample.line(), "done");
    assert_eq!(sample.errors(), "");
    assert!(sample.child.wait().unwrap().success());
    let domain = DomainName::parse(DOMAIN).unwrap();
    until("the notice is settled", async || broker.store().depth(&domain).await.unwrap() == 0).await;
    phone.leave().await;
}

/// Each mistake is one line, without the password.
fn says_what_is_wrong(broker: &Broker, command: impl Fn() -> Command) {
    const WRONG: &str = "wrong-password-of-somebody";
    for (password, category, expected) in [
        (None, CATEGORY, "DEVICES_PASSWORD is not set"),
        (Some(WRONG), CATEGORY, "the log-in fails: wrong domain or password"),
        (Some(PASSWORD), "no such category", "GetProvisioningCode: not found"),
    ] {
        let mut sample = Sample::start(command(), broker, password, category);
        let errors = sample.errors();
        assert!(errors.contains(expected), "{errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
        assert!(!errors.contains(WRONG) && !errors.contains(PASSWORD), "{errors}");
        assert_eq!(sample.child.wait().unwrap().code(), Some(1));
    }
}

#[test]
fn the_rust_sample_waits_for_a_phone() {
    with_broker(&Keep::embedded(), |_| {}, async |broker: &Broker| waits_for_a_phone(broker, rust()).await);
}

#[test]
fn the_python_sample_waits_for_a_phone() {
    with_broker(&Keep::embedded(), |_| {}, async |broker: &Broker| waits_for_a_phone(broker, python()).await);
}

#[test]
fn both_samples_say_what_is_wrong() {
    with_broker(
        &Keep::embedded(),
        |_| {},
        async |broker: &Broker| {
            says_what_is_wrong(broker, rust);
            says_what_is_wrong(broker, python);
        },
    );
}
