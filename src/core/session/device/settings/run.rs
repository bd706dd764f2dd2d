//! Runs a script on the state of a device, command by command (`docs/protocol/update-script.md` sections 3 and 7).

use super::{Action, CHECK, Now, Part, SCFG, Settings, config};
use crate::core::model::ids::Secret;
use crate::core::protocol::script::{Command, Final, LoadCommand, files};

/// Whether the script continues.
enum Flow {
    Next,
    Stop,
}

/// Runs `commands`; changes of the polling interval are left to the caller.
pub(super) fn run(settings: &mut Settings, commands: &[Command], now: Now) -> Vec<Action> {
    let mut run = Run { settings, now, actions: Vec::new(), check: None };
    let ended = commands.iter().all(|command| matches!(run.step(command), Flow::Next));
    let Run { settings, mut actions, check, .. } = run;
    // A script that stopped early is not finished, so its check stays open.
    if let Some((last, serial)) = check.filter(|_| ended) {
        settings.set(CHECK, "", Secret::new(serial));
        actions.extend(restart_after(last, settings.restart_needed));
    }
    actions
}

/// The restart for `last`; `needed`: something was loaded that only runs after a restart.
pub(super) fn restart_after(last: Final, needed: bool) -> Option<Action> {
    let (when_idle, due) = match last {
        Final::RestartIdle => (true, true),
        Final::Restart => (false, true),
        Final::RestartIdleIfNeeded => (true, needed),
        Final::RestartIfNeeded => (false, needed),
        Final::Serial => (false, false),
    };
    due.then_some(Action::Restart { when_idle })
}

/// One run of a script.
struct Run<'a> {
    settings: &'a mut Settings,
    now: Now,
    actions: Vec<Action>,
    /// The `check` that is recorded when the script ends.
    check: Option<(Final, Box<str>)>,
}

impl Run<'_> {
    fn step(&mut self, command: &Command) -> Flow {
        let settings = &mut *self.settings;
        match command {
            Command::Comment(_) => {}
            Command::VarsCreate { name, flags, value } => {
                self.actions.extend(settings.create(name, flags, config::decoded(value)));
            }
            Command::VarsDel { name } => {
                let shown = settings.shows_form();
                settings.variables.remove(name);
                self.actions.extend(settings.form_change(shown));
            }
            Command::VarsRead { name } => self.actions.push(Action::Print(settings.read(name))),
            Command::ConfigChange { module, options } => settings.edited.change(module, options),
            Command::ConfigAdd { module, options } => settings.edited.add(module, options),
            Command::ConfigRem { module, option } => settings.edited.remove(module, option),
            Command::ConfigWrite => settings.saved = settings.edited.clone(),
            Command::ConfigActivate => {
                let before = settings.devices_url().cloned();
                settings.active = settings.edited.clone();
                let after = settings.devices_url().cloned();
                if after != before {
                    self.actions.push(Action::Connect(after));
                }
            }
            Command::Prot(order) => self.load(Part::Firmware, order),
            Command::Boot(order) => self.load(Part::BootCode, order),
            Command::Scfg { url, last, always } => self.put(url, last.as_ref(), always.as_deref()),
            Command::Check { last, serial } => {
                if settings.variable(CHECK).is_some_and(|done| done.expose() == &**serial) {
                    return Flow::Stop;
                }
                self.check = Some((*last, serial.clone()));
            }
            Command::Times { allow, initial } => return self.times(allow.as_deref(), *initial),
            Command::Provision { minutes } => settings.provision_minutes = *minutes,
            Command::SetVar { name, value } => settings.set(name, "", config::decoded(value)),
            Command::Finish(last) => {
                let restart = restart_after(*last, settings.restart_needed);
                if let Some(restart) = restart {
                    // The remaining commands run on the new firmware, at the next poll after the restart.
                    self.actions.push(restart);
                    return Flow::Stop;
                }
            }
            Command::Unknown(line) => self.actions.push(Action::Report(line.clone())),
        }
        Flow::Next
    }

    fn load(&mut self, part: Part, order: &LoadCommand) {
        let machine = &self.settings.machine;
        let (running, file) = match part {
            Part::Firmware => (&*machine.fw_build, files::firmware(&machine.product)),
            Part::BootCode => (&*machine.bc_build, files::boot_code(&machine.product)),
        };
        let have = self.settings.variable(part.variable()).map_or(running, Secret::expose);
        if have == &*order.serial {
            return;
        }
        let mut order = order.clone();
        if order.url.ends_with('/') {
            order.url = format!("{}{file}", order.url).into();
        }
        // The load precedes any restart ordered after it, in this script or by a line of its own.
        self.settings.restart_needed = true;
        self.actions.push(Action::Load(part, order));
    }

    /// Without a command the configuration is saved, once per serial; the output of a command is always saved.
    fn put(&mut self, url: &str, last: Option<&(Final, Box<str>)>, always: Option<&str>) {
        let body = match always {
            None => {
                let done = self.settings.variable(SCFG).map(Secret::expose);
                if last.is_some_and(|(_, serial)| done == Some(&**serial)) {
                    return;
                }
                self.settings.active.script()
            }
            Some(summary) => match Command::parse(config::decoded(&Secret::new(summary)).expose()) {
                Some(Command::VarsRead { name }) => self.settings.read(&name),
                _ => return self.actions.push(Action::Report(summary.into())),
            },
        };
        self.actions.push(Action::Put { url: url.into(), body, last: last.cloned() });
    }

    fn times(&self, allow: Option<&[u8]>, initial: Option<u32>) -> Flow {
        if initial.is_some_and(|minutes| self.now.minutes_up < minutes) {
            return Flow::Stop;
        }
        let in_hours = allow.is_none_or(|hours| self.now.hour.is_some_and(|hour| hours.contains(&hour)));
        let excused = initial.is_some() && self.settings.is_fresh();
        if in_hours || excused { Flow::Next } else { Flow::Stop }
    }
}
