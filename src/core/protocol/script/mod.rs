//! Update scripts (`docs/protocol/update-script.md`): text that a provisioning server writes and a device runs.
//!
//! [`Script`] writes the scripts of our servers byte for byte, [`Command`] is one line of the language,
//! [`encode`](mod@encode) encodes values and addresses for it. Scripts are not run here; a simulated device does that
//! in [`crate::core::session::device::settings`].

use std::fmt;

mod command;
pub mod encode;
pub mod files;
pub mod ready;

pub use command::{Command, Final, LoadCommand, Setting, parse};

/// The variable that holds the provisioning code (`docs/protocol/update-script.md` 3.1).
pub const PROVISIONING_CODE: &str = "UPDATE/PROVISIONING-CODE";

/// The value of [`PROVISIONING_CODE`] that makes a phone show the form for the code.
pub const PROMPT: &str = "prompt";

/// The line end in scripts that we write.
const EOL: &str = "\r\n";

/// A script in the order in which the device runs it. `Display` gives the text, every line ended by CR LF.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Script(pub Vec<Command>);

impl Script {
    /// Shows the form for the code (`docs/protocol/directory.md` 4.1).
    ///
    /// `show_form` is false if the phone shows it already. `first_contact`: the phone is told to ignore update
    /// addresses from DHCP from now on.
    pub fn ask_for_code(show_form: bool, first_contact: bool) -> Self {
        let mut commands = vec![Command::Comment("enter code".into())];
        if show_form {
            commands.push(Command::vars_create(PROVISIONING_CODE, "h", PROMPT));
        }
        if first_contact {
            let options = vec![Setting::flag("/no-dhcp")];
            commands.push(Command::ConfigAdd { module: "UP1".into(), options });
            commands.extend([Command::ConfigWrite, Command::ConfigActivate]);
        }
        commands.push(Command::Provision { minutes: 1 });
        Self(commands)
    }

    /// Directs the phone to the Devices service at `url`, a `wss` address that is not yet encoded
    /// (`docs/protocol/directory.md` 4.2).
    pub fn hand_over(url: &str) -> Self {
        Self(vec![
            Command::Comment("ok".into()),
            Command::sysadmin(url),
            Command::ConfigWrite,
            Command::ConfigActivate,
            Command::Provision { minutes: 0 },
        ])
    }

    /// The body of an answer with status 429 (`docs/protocol/directory.md` 4.4).
    pub fn try_later() -> Self {
        Self(vec![Command::Comment("try later".into())])
    }

    /// Removes the traces of provisioning from the device (`docs/protocol/update-script.md` section 4).
    pub fn clean_up() -> Self {
        let remove = |option: &str| Command::ConfigRem { module: "UP1".into(), option: option.into() };
        Self(vec![
            remove("/provisioning"),
            remove("/provision"),
            Command::VarsDel { name: PROVISIONING_CODE.into() },
            Command::ConfigWrite,
            Command::ConfigActivate,
        ])
    }

    /// Orders firmware and boot code, each as address and build number, and a restart when idle if one is needed
    /// (`docs/protocol/update-script.md` section 4). Empty if neither is ordered.
    pub fn update(firmware: Option<(&str, &str)>, boot_code: Option<(&str, &str)>) -> Self {
        let order = |(url, serial)| LoadCommand::new(url, Final::Serial, serial);
        let prot = firmware.map(|ordered| Command::Prot(order(ordered)));
        let boot = boot_code.map(|ordered| Command::Boot(order(ordered)));
        let mut commands: Vec<Command> = prot.into_iter().chain(boot).collect();
        if !commands.is_empty() {
            commands.push(Command::Finish(Final::RestartIdleIfNeeded));
        }
        Self(commands)
    }

    /// This script followed by another one.
    #[must_use]
    pub fn then(mut self, next: Self) -> Self {
        self.0.extend(next.0);
        self
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|command| write!(f, "{command}{EOL}"))
    }
}

#[cfg(test)]
mod tests;
