//! The persistent state of a simulated device, and running update scripts on it (`docs/protocol/update-script.md`
//! section 7).
//!
//! [`Settings`] holds the variables, the three copies of the configuration and the hardware data. Scripts go in as
//! commands; what the device has to do comes out as [`Action`]s. Transfers, timers, connections and the display belong
//! to the shell; it reports finished transfers back. Everything can be serialized as a state file.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::core::model::ids::{Code, Secret};
use crate::core::protocol::script::{Command, Final, LoadCommand, PROMPT, PROVISIONING_CODE, encode, files};

mod config;
mod machine;
mod run;

pub use config::Config;
pub use machine::Machine;

/// The update address of phones in factory state (`docs/protocol/update-script.md` section 1).
pub const FACTORY_URL: &str = "http://config.innovaphone.com/init";

/// Default minutes between two polls.
const POLL_MINUTES: u32 = 15;

/// Minutes after the start during which a device in factory state polls fast.
const FRESH_MINUTES: u32 = 30;

/// The serial of the last `check` that ran to its end.
const CHECK: &str = "UPDATE/CHECK";

/// The serial of the last saving of the configuration.
const SCFG: &str = "UPDATE/SCFG";

/// What a load command of UP0 loads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
    /// Firmware (`prot`).
    Firmware,
    /// Boot code (`boot`).
    BootCode,
}

impl Part {
    const fn variable(self) -> &'static str {
        match self {
            Self::Firmware => "UPDATE/PROT",
            Self::BootCode => "UPDATE/BOOT",
        }
    }
}

/// What the device has to do, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// The address of Devices has changed: close the connection, and open one to this address, if any. The address may
    /// contain a token.
    Connect(Option<Secret>),
    /// Show the form for the code.
    ShowForm,
    /// Hide the form.
    HideForm,
    /// Load this, then call [`Settings::loaded`]. If it fails, drop the loads and restarts that follow it.
    Load(Part, LoadCommand),
    /// Send `body` to this address by HTTP PUT, then call [`Settings::stored`] with `last`.
    Put {
        /// The address.
        url: Box<str>,
        /// The body.
        body: Secret,
        /// The command to finish with.
        last: Option<(Final, Box<str>)>,
    },
    /// Restart, now or when idle; then call [`Settings::start`].
    Restart {
        /// Wait until nobody uses the device.
        when_idle: bool,
    },
    /// Poll the update address every so many minutes.
    PollEvery(u32),
    /// Poll the update address at once.
    PollNow,
    /// Output of a command; the response body if the command came by HTTP.
    Print(Secret),
    /// A command that was not understood and skipped.
    Report(Box<str>),
}

/// The time as the device knows it when a script arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    /// Hour of the day, 0 to 23; `None`: the clock is not set.
    pub hour: Option<u8>,
    /// Whole minutes since the start of the device.
    pub minutes_up: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Variable {
    flags: Box<str>,
    value: Secret,
}

/// The persistent state of a simulated device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Hardware and firmware data.
    pub machine: Machine,
    factory_url: Box<str>,
    variables: BTreeMap<Box<str>, Variable>,
    edited: Config,
    active: Config,
    saved: Config,
    /// Interval of fast polling during provisioning; 0: off.
    provision_minutes: u32,
    /// The interval of the last [`Action::PollEvery`].
    poll_announced: u32,
    /// Something was loaded, or is about to be, that only runs after a restart.
    restart_needed: bool,
}

impl Settings {
    /// A device in factory state; `factory_url` is its update address as long as none is configured.
    pub fn factory(machine: Machine, factory_url: &str) -> Self {
        Self {
            machine,
            factory_url: factory_url.into(),
            variables: BTreeMap::new(),
            edited: Config::default(),
            active: Config::default(),
            saved: Config::default(),
            provision_minutes: 0,
            poll_announced: 0,
            restart_needed: false,
        }
    }

    /// The device starts or has restarted: the saved configuration becomes active, unsaved changes are lost.
    pub fn start(&mut self) -> Vec<Action> {
        self.active = self.saved.clone();
        self.edited = self.saved.clone();
        self.provision_minutes = 0;
        self.restart_needed = false;
        self.poll_announced = 0;
        let form = self.shows_form().then_some(Action::ShowForm);
        let poll = self.poll_change(0);
        [Action::Connect(self.devices_url().cloned())].into_iter().chain(form).chain(poll).collect()
    }

    /// Runs a script, or a single line received by `/!…`. With an empty script it only reports that the polling
    /// interval has changed by the passing of time.
    pub fn run(&mut self, commands: &[Command], now: Now) -> Vec<Action> {
        let mut actions = run::run(self, commands, now);
        actions.extend(self.poll_change(now.minutes_up));
        actions
    }

    /// A load of [`Action::Load`] has succeeded: the new build counts from now on (`docs/protocol/update-script.md` 7,
    /// item 6).
    pub fn loaded(&mut self, part: Part, order: &LoadCommand) -> Vec<Action> {
        self.set(part.variable(), "", Secret::new(order.serial.clone()));
        match part {
            Part::Firmware => self.machine.fw_build = order.serial.clone(),
            Part::BootCode => self.machine.bc_build = order.serial.clone(),
        }
        self.restart_needed = true;
        run::restart_after(order.last, true).into_iter().collect()
    }

    /// A load of [`Action::Load`] has failed, and those after it are dropped.
    pub const fn load_failed(&mut self) {
        self.restart_needed = false;
    }

    /// The transfer of [`Action::Put`] has succeeded.
    pub fn stored(&mut self, last: Option<&(Final, Box<str>)>) -> Vec<Action> {
        let Some((last, serial)) = last else { return Vec::new() };
        self.set(SCFG, "", Secret::new(serial.clone()));
        run::restart_after(*last, self.restart_needed).into_iter().collect()
    }

    /// A person has confirmed a text in the form.
    pub fn typed(&mut self, text: &str) -> Vec<Action> {
        let mut actions = self.create(PROVISIONING_CODE, "h", Secret::new(text));
        actions.push(Action::PollNow);
        actions
    }

    /// Whether the form for the code is displayed.
    pub fn shows_form(&self) -> bool {
        self.variable(PROVISIONING_CODE).is_some_and(|value| value.expose() == PROMPT)
    }

    /// The code that was typed, for the identify message.
    pub fn provisioning_code(&self) -> Option<Code> {
        Code::parse_typed(self.variable(PROVISIONING_CODE)?.expose()).ok()
    }

    /// The value of a variable, decoded.
    pub fn variable(&self, name: &str) -> Option<&Secret> {
        self.variables.get(name).map(|variable| &variable.value)
    }

    /// The active configuration.
    pub const fn active(&self) -> &Config {
        &self.active
    }

    /// The active address of Devices.
    pub fn devices_url(&self) -> Option<&Secret> {
        self.active.value("SYSCLIENT", "/sysadmin").filter(|url| !url.is_empty())
    }

    /// The address of the next poll: the configured one with placeholders filled in, and the query that every device
    /// adds (`docs/protocol/update-script.md` section 1). It may contain a code.
    pub fn update_url(&self) -> Secret {
        let configured = self.active.value("UP1", "/url").filter(|url| !url.is_empty());
        let mut url = self.machine.fill(configured.map_or(&*self.factory_url, Secret::expose));
        if url.ends_with('/') {
            url.push_str(&files::update_script(&self.machine.product));
        }
        let mut separator = if url.contains('?') { '&' } else { '?' };
        let facts = self.machine.parameters();
        let facts = facts.iter().map(|(name, value)| (*name, &**value));
        let variables = self.variables.iter().filter_map(|(name, variable)| {
            let name = name.strip_prefix("UPDATE/")?;
            Some((name, variable.value.expose()))
        });
        for (name, value) in facts.chain(variables) {
            url.push(separator);
            url.push_str(&encode::value(name));
            url.push('=');
            url.push_str(&encode::value(value));
            separator = '&';
        }
        Secret::new(url)
    }

    /// Minutes between two polls, `minutes_up` minutes after the start.
    pub fn poll_minutes(&self, minutes_up: u32) -> u32 {
        let minutes = |option| -> Option<u32> {
            self.active.value("UP1", option)?.expose().parse().ok().filter(|minutes| *minutes > 0)
        };
        if self.provision_minutes > 0 {
            self.provision_minutes
        } else if self.is_fresh() && minutes_up < FRESH_MINUTES {
            minutes("/poll-fast").unwrap_or(1)
        } else {
            minutes("/poll").unwrap_or(POLL_MINUTES)
        }
    }

    /// Whether the configuration was never saved.
    fn is_fresh(&self) -> bool {
        self.saved.is_empty()
    }

    fn poll_change(&mut self, minutes_up: u32) -> Option<Action> {
        let minutes = self.poll_minutes(minutes_up);
        let before = std::mem::replace(&mut self.poll_announced, minutes);
        (minutes != before).then_some(Action::PollEvery(minutes))
    }

    fn set(&mut self, name: &str, flags: &str, value: Secret) {
        self.variables.insert(name.into(), Variable { flags: flags.into(), value });
    }

    /// Creates a variable; the one for the code also changes the display.
    fn create(&mut self, name: &str, flags: &str, value: Secret) -> Vec<Action> {
        let shown = self.shows_form();
        self.set(name, flags, value);
        self.form_change(shown)
    }

    fn form_change(&self, shown: bool) -> Vec<Action> {
        match (shown, self.shows_form()) {
            (false, true) => vec![Action::ShowForm],
            (true, false) => vec![Action::HideForm],
            _ => Vec::new(),
        }
    }

    /// `NAME FLAGS VALUE`; empty if there is no such variable.
    fn read(&self, name: &str) -> Secret {
        let line = self.variables.get(name).map(|Variable { flags, value }| {
            let value = encode::value(value.expose());
            format!("{name} {flags} {value}")
        });
        Secret::new(line.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests;
