//! One line of an update script: reading and writing (`docs/protocol/update-script.md` sections 2 and 3).
//!
//! Values keep the encoding of the line; the device decodes a value when it stores it.

use std::fmt;

use super::encode;
use crate::core::model::ids::Secret;

/// What the device does after a command (`docs/protocol/update-script.md` 3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Final {
    /// `ireset`: restart when idle.
    RestartIdle,
    /// `reset`: restart now.
    Restart,
    /// `iresetn`: restart when idle, if a restart is needed.
    RestartIdleIfNeeded,
    /// `resetn`: restart now, if a restart is needed.
    RestartIfNeeded,
    /// `ser`: nothing, only store the serial.
    Serial,
}

impl Final {
    const ALL: [Self; 5] =
        [Self::RestartIdle, Self::Restart, Self::RestartIdleIfNeeded, Self::RestartIfNeeded, Self::Serial];

    const fn word(self) -> &'static str {
        match self {
            Self::RestartIdle => "ireset",
            Self::Restart => "reset",
            Self::RestartIdleIfNeeded => "iresetn",
            Self::RestartIfNeeded => "resetn",
            Self::Serial => "ser",
        }
    }

    fn read(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|last| last.word() == word)
    }
}

/// An option of a module with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The word with its slash, such as `/sysadmin`.
    pub option: Box<str>,
    /// The value as in the line. It may be secret: the address of Devices can contain a token.
    pub value: Option<Secret>,
}

impl Setting {
    /// An option without value.
    pub fn flag(option: &str) -> Self {
        Self { option: encode::word(option).into(), value: None }
    }

    /// An option with a value that is not yet encoded.
    pub fn new(option: &str, value: &str) -> Self {
        Self { option: encode::word(option).into(), value: Some(Secret::new(encode::value(value))) }
    }
}

/// A command to load firmware or boot code.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LoadCommand {
    /// Address of the file; to one that ends with `/` the device appends the standard file name.
    pub url: Box<str>,
    /// What happens afterwards.
    pub last: Final,
    /// Build number.
    pub serial: Box<str>,
}

impl LoadCommand {
    /// White space in the texts is percent-encoded, so that the line keeps its words.
    pub fn new(url: &str, last: Final, serial: &str) -> Self {
        Self { url: encode::word(url).into(), last, serial: encode::word(serial).into() }
    }
}

/// A line of an update script. `Display` gives the line without its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `# text`
    Comment(Box<str>),
    /// `vars create NAME FLAGS VALUE`; the value as in the line.
    VarsCreate {
        /// Name of the variable.
        name: Box<str>,
        /// The word of flags.
        flags: Box<str>,
        /// Value; may be a code.
        value: Secret,
    },
    /// `vars del NAME`
    VarsDel {
        /// Name of the variable.
        name: Box<str>,
    },
    /// `vars read NAME`
    VarsRead {
        /// Name of the variable.
        name: Box<str>,
    },
    /// `config change MODULE OPTIONS…`: replaces the whole line of the module.
    ConfigChange {
        /// Name of the module.
        module: Box<str>,
        /// The new line.
        options: Vec<Setting>,
    },
    /// `config add MODULE OPTIONS…`: sets these options, keeps the others.
    ConfigAdd {
        /// Name of the module.
        module: Box<str>,
        /// The options to set.
        options: Vec<Setting>,
    },
    /// `config rem MODULE OPTION`
    ConfigRem {
        /// Name of the module.
        module: Box<str>,
        /// The option with its slash.
        option: Box<str>,
    },
    /// `config write`
    ConfigWrite,
    /// `config activate`
    ConfigActivate,
    /// `mod cmd UP0 prot URL FINAL SERIAL`: firmware.
    Prot(LoadCommand),
    /// `mod cmd UP0 boot URL FINAL SERIAL`: boot code.
    Boot(LoadCommand),
    /// `mod cmd UP0 scfg URL [FINAL SERIAL [/always COMMAND]]`: saves the configuration or the output of a command.
    Scfg {
        /// Where to.
        url: Box<str>,
        /// What happens afterwards, and the serial.
        last: Option<(Final, Box<str>)>,
        /// The command whose output is saved instead, percent-encoded as one word.
        always: Option<Box<str>>,
    },
    /// `mod cmd UP1 check FINAL SERIAL`: the remaining commands run only for a new serial.
    Check {
        /// What happens after them.
        last: Final,
        /// The serial.
        serial: Box<str>,
    },
    /// `mod cmd UP1 times [/allow HOURS] [/initial MINUTES]`: the remaining commands run only at these times.
    Times {
        /// Hours 0 to 23.
        allow: Option<Vec<u8>>,
        /// Minutes after a start in which they do not run.
        initial: Option<u32>,
    },
    /// `mod cmd UP1 provision MINUTES`: fast polling; 0 ends it.
    Provision {
        /// Interval in minutes.
        minutes: u32,
    },
    /// `mod cmd UP1 setvar NAME VALUE`
    SetVar {
        /// Name of the fact.
        name: Box<str>,
        /// The value as in the line.
        value: Secret,
    },
    /// A word of [`Final`] alone on its line.
    Finish(Final),
    /// Anything else: reported and skipped.
    Unknown(Box<str>),
}

impl Command {
    /// `vars create` with a value that is not yet encoded.
    pub fn vars_create(name: &str, flags: &str, value: &str) -> Self {
        let word = |text: &str| encode::word(text).into();
        Self::VarsCreate { name: word(name), flags: word(flags), value: Secret::new(encode::value(value)) }
    }

    /// `config change SYSCLIENT /sysadmin` with the address of Devices as the device has to store it: not yet encoded
    /// as a value, but with the values in its query encoded ([`encode::auto_provisioning_url`]).
    pub fn sysadmin(url: &str) -> Self {
        Self::ConfigChange { module: "SYSCLIENT".into(), options: vec![Setting::new("/sysadmin", url)] }
    }

    /// Parses one line without its end; `None` for an empty one. A known command with missing, surplus or invalid
    /// words is [`Command::Unknown`].
    pub fn parse(line: &str) -> Option<Self> {
        let line = line.trim();
        if line.is_empty() {
            return None;
        }
        if let Some(text) = line.strip_prefix('#') {
            return Some(Self::Comment(text.trim().into()));
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        Some(known(&words).unwrap_or_else(|| Self::Unknown(line.into())))
    }
}

/// Parses a whole script; lines end with CR LF or LF, empty ones are dropped.
pub fn parse(text: &str) -> Vec<Command> {
    text.split('\n').filter_map(Command::parse).collect()
}

fn known(words: &[&str]) -> Option<Command> {
    Some(match words {
        ["vars", "create", name, flags, value] => {
            Command::VarsCreate { name: (*name).into(), flags: (*flags).into(), value: Secret::new(*value) }
        }
        // An empty value leaves no word.
        ["vars", "create", name, flags] => {
            Command::VarsCreate { name: (*name).into(), flags: (*flags).into(), value: Secret::default() }
        }
        ["vars", "del", name] => Command::VarsDel { name: (*name).into() },
        ["vars", "read", name] => Command::VarsRead { name: (*name).into() },
        ["config", "change", module, options @ ..] => {
            Command::ConfigChange { module: (*module).into(), options: settings(options) }
        }
        ["config", "add", module, options @ ..] => {
            Command::ConfigAdd { module: (*module).into(), options: settings(options) }
        }
        ["config", "rem", module, option] => Command::ConfigRem { module: (*module).into(), option: (*option).into() },
        ["config", "write"] => Command::ConfigWrite,
        ["config", "activate"] => Command::ConfigActivate,
        ["mod", "cmd", "UP0", "prot", url, last, serial] => Command::Prot(order(url, last, serial)?),
        ["mod", "cmd", "UP0", "boot", url, last, serial] => Command::Boot(order(url, last, serial)?),
        ["mod", "cmd", "UP0", "scfg", url, rest @ ..] => scfg(url, rest)?,
        ["mod", "cmd", "UP1", "check", last, serial] => {
            Command::Check { last: Final::read(last)?, serial: (*serial).into() }
        }
        ["mod", "cmd", "UP1", "times", options @ ..] => times(options)?,
        ["mod", "cmd", "UP1", "provision", minutes] => Command::Provision { minutes: minutes.parse().ok()? },
        ["mod", "cmd", "UP1", "setvar", name, value] => {
            Command::SetVar { name: (*name).into(), value: Secret::new(*value) }
        }
        [word] => Command::Finish(Final::read(word)?),
        _ => return None,
    })
}

/// A word with a slash starts an option, the word after it is its value; any other word stands alone.
fn settings(words: &[&str]) -> Vec<Setting> {
    let mut settings: Vec<Setting> = Vec::new();
    for word in words {
        match settings.last_mut() {
            Some(last) if last.value.is_none() && !word.starts_with('/') => last.value = Some(Secret::new(*word)),
            _ => settings.push(Setting { option: (*word).into(), value: None }),
        }
    }
    settings
}

fn order(url: &str, last: &str, serial: &str) -> Option<LoadCommand> {
    Some(LoadCommand { url: url.into(), last: Final::read(last)?, serial: serial.into() })
}

fn scfg(url: &str, rest: &[&str]) -> Option<Command> {
    let (last, always) = match rest {
        [] => (None, None),
        [last, serial] => (Some((last, serial)), None),
        [last, serial, "/always", command] => (Some((last, serial)), Some((*command).into())),
        _ => return None,
    };
    let last = match last {
        None => None,
        Some((last, serial)) => Some((Final::read(last)?, (*serial).into())),
    };
    Some(Command::Scfg { url: url.into(), last, always })
}

fn times(options: &[&str]) -> Option<Command> {
    let (mut allow, mut initial) = (None, None);
    for pair in options.chunks(2) {
        match pair {
            ["/allow", hours] if allow.is_none() => {
                let hours = hours.split(',').map(|hour| hour.parse().ok().filter(|hour| *hour < 24));
                allow = Some(hours.collect::<Option<Vec<u8>>>()?);
            }
            ["/initial", minutes] if initial.is_none() => initial = Some(minutes.parse().ok()?),
            _ => return None,
        }
    }
    Some(Command::Times { allow, initial })
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Comment(text) => write!(f, "# {}", text.replace(char::is_control, " ")),
            Self::VarsCreate { name, flags, value } if value.is_empty() => write!(f, "vars create {name} {flags}"),
            Self::VarsCreate { name, flags, value } => write!(f, "vars create {name} {flags} {}", value.expose()),
            Self::VarsDel { name } => write!(f, "vars del {name}"),
            Self::VarsRead { name } => write!(f, "vars read {name}"),
            Self::ConfigChange { module, options } => write_settings(f, "change", module, options),
            Self::ConfigAdd { module, options } => write_settings(f, "add", module, options),
            Self::ConfigRem { module, option } => write!(f, "config rem {module} {option}"),
            Self::ConfigWrite => f.write_str("config write"),
            Self::ConfigActivate => f.write_str("config activate"),
            Self::Prot(order) => write_order(f, "prot", order),
            Self::Boot(order) => write_order(f, "boot", order),
            Self::Scfg { url, last, always } => {
                write!(f, "mod cmd UP0 scfg {url}")?;
                last.iter().try_for_each(|(last, serial)| write!(f, " {} {serial}", last.word()))?;
                always.iter().try_for_each(|command| write!(f, " /always {command}"))
            }
            Self::Check { last, serial } => write!(f, "mod cmd UP1 check {} {serial}", last.word()),
            Self::Times { allow, initial } => {
                f.write_str("mod cmd UP1 times")?;
                if let Some(hours) = allow {
                    let hours: Vec<String> = hours.iter().map(ToString::to_string).collect();
                    write!(f, " /allow {}", hours.join(","))?;
                }
                initial.iter().try_for_each(|minutes| write!(f, " /initial {minutes}"))
            }
            Self::Provision { minutes } => write!(f, "mod cmd UP1 provision {minutes}"),
            Self::SetVar { name, value } => write!(f, "mod cmd UP1 setvar {name} {}", value.expose()),
            Self::Finish(last) => f.write_str(last.word()),
            Self::Unknown(text) => f.write_str(&text.replace(char::is_control, " ")),
        }
    }
}

fn write_settings(f: &mut fmt::Formatter<'_>, verb: &str, module: &str, options: &[Setting]) -> fmt::Result {
    write!(f, "config {verb} {module}")?;
    for Setting { option, value } in options {
        write!(f, " {option}")?;
        value.iter().try_for_each(|value| write!(f, " {}", value.expose()))?;
    }
    Ok(())
}

fn write_order(f: &mut fmt::Formatter<'_>, verb: &str, LoadCommand { url, last, serial }: &LoadCommand) -> fmt::Result {
    write!(f, "mod cmd UP0 {verb} {url} {} {serial}", last.word())
}
