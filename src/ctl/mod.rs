//! `provbroker ctl …`: a command-line client of the operators' REST interface.
//!
//! A command becomes one call of the interface (for lists, one per page). Its answer is shown as a table or, with
//! `--json`, unchanged. This module checks neither authority nor values; the broker does. The commands of a kind of
//! object are in one file with their calls. The commands are listed in `docs/operators.md`.

mod audit;
pub mod bundle;
pub mod call;
mod client;
mod codes;
mod devices;
mod domains;
mod error;
mod escape;
mod jobs;
mod output;
mod store;
mod table;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

pub use error::CtlError;

use self::call::{Call, Files};
use self::client::Client;
use crate::core::model::ids::Secret;

/// Environment variable with the password.
const PASSWORD: &str = "PROVBROKER_PASSWORD";

/// Arguments of `provbroker ctl`.
#[derive(Debug, Args)]
pub struct Ctl {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    group: Group,
}

/// Address of the broker, log-in and form of the output.
#[derive(Debug, Args)]
struct Connection {
    /// Address of the broker
    #[arg(long, global = true, env = "PROVBROKER_URL", value_name = "URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// Log in as this domain instead of the instance
    #[arg(long, global = true, env = "PROVBROKER_DOMAIN", value_name = "DOMAIN")]
    domain: Option<String>,
    /// File with the password of the instance or domain [default: the value of `PROVBROKER_PASSWORD`]
    #[arg(long, global = true, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Domain to operate on [default: the domain of the log-in]
    #[arg(long = "in", global = true, value_name = "DOMAIN")]
    within: Option<String>,
    /// Print the JSON of the interface instead of a table; a list becomes one array
    #[arg(long, global = true)]
    json: bool,
}

/// Groups of commands.
#[derive(Debug, Subcommand)]
enum Group {
    /// Tenants and their settings
    #[command(subcommand)]
    Domains(domains::Domains),
    /// Access of other domains to a domain
    #[command(subcommand)]
    Access(domains::Access),
    /// Categories of a domain
    #[command(subcommand)]
    Categories(domains::Categories),
    /// Devices of a domain
    #[command(subcommand)]
    Devices(devices::Devices),
    /// Devices that other domains offer to a domain
    #[command(subcommand)]
    Offers(devices::Offers),
    /// Devices that belong to no domain; only with the instance password
    Unassigned(call::Limit),
    /// Provisioning codes
    #[command(subcommand)]
    Codes(codes::Codes),
    /// Roll-outs: one code for each of many users
    #[command(subcommand)]
    Rollouts(codes::Rollouts),
    /// Jobs: updates and configurations of devices
    #[command(subcommand)]
    Jobs(jobs::Jobs),
    /// Build list for new update jobs
    #[command(subcommand)]
    Builds(jobs::Builds),
    /// Outcomes of jobs, by device
    Outcomes(jobs::Outcomes),
    /// Version and migration of the store; only with the instance password
    #[command(subcommand)]
    Store(store::Store),
    /// Generations of the instance key; only with the instance password
    #[command(subcommand)]
    Keys(store::Keys),
    /// What was changed, by whom and from where; newest first
    Audit(audit::Audit),
    /// Export whole lists as CSV to standard output
    #[command(subcommand)]
    Export(codes::Export),
}

impl Ctl {
    /// The call of a command. Files that it names are read with `files`.
    pub fn call(&self, files: &dyn Files) -> Result<Call, CtlError> {
        let call = match &self.group {
            Group::Domains(command) => command.call(files)?,
            Group::Access(command) => command.call(),
            Group::Categories(command) => command.call(),
            Group::Devices(command) => command.call(),
            Group::Offers(command) => command.call(),
            Group::Unassigned(limit) => devices::unassigned(limit),
            Group::Codes(command) => command.call(),
            Group::Rollouts(command) => command.call(),
            Group::Jobs(command) => command.call(files)?,
            Group::Builds(command) => command.call(files)?,
            Group::Outcomes(command) => command.call(),
            Group::Store(command) => command.call(),
            Group::Keys(command) => command.call(),
            Group::Audit(command) => command.call(self.connection.within.as_deref()),
            Group::Export(command) => command.call(),
        };
        match self.connection.within.as_deref().or(self.domain()) {
            Some(domain) => Ok(call.within(domain)),
            None => Ok(call),
        }
    }

    /// Runs the command.
    pub fn run(&self) -> Result<(), CtlError> {
        let call = self.call(&Disk)?;
        let path = call.path()?;
        let password = self.connection.password()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| CtlError::Arguments(format!("no runtime: {error}")))?;
        let done = runtime.block_on(async {
            let client = Client::log_in(&self.connection.url, self.domain(), &password).await?;
            output::show(&client, call, &path, self.connection.json, &mut std::io::stdout()).await
        });
        // A pending read from standard input must not delay the exit.
        runtime.shutdown_background();
        match done {
            // The reader of our output has closed it.
            Err(CtlError::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            done => done,
        }
    }

    /// Domain of the log-in.
    fn domain(&self) -> Option<&str> {
        self.connection.log_in_domain()
    }
}

impl Connection {
    /// Domain of the log-in. An empty variable counts as not set.
    fn log_in_domain(&self) -> Option<&str> {
        self.domain.as_deref().filter(|domain| !domain.is_empty())
    }

    fn password(&self) -> Result<Secret, CtlError> {
        match &self.password_file {
            Some(file) => call::secret(&Disk, file),
            None => match std::env::var(PASSWORD) {
                Ok(password) if !password.is_empty() => Ok(Secret::new(password)),
                _ => Err(CtlError::Arguments(format!(
                    "the password is missing: set {PASSWORD}, or name a file with --password-file"
                ))),
            },
        }
    }
}

/// The files of this machine; `-` is standard input.
struct Disk;

impl Files for Disk {
    fn read(&self, file: &Path) -> std::io::Result<String> {
        if file == Path::new("-") { std::io::read_to_string(std::io::stdin()) } else { std::fs::read_to_string(file) }
    }
}
