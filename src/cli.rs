//! The command line. It says what can be asked for, not how it is done.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use provbroker::ctl::Ctl;

/// Provisioning broker for desk phones.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the broker until SIGTERM or SIGINT
    Serve {
        /// Configuration file [default: config/provbroker.toml if it is there, else the defaults]
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Store, instead of the configured one: embedded:FILE, or the address of a Redis
        #[arg(long, value_name = "URL")]
        store: Option<String>,
        /// Public listener, instead of the configured one
        #[arg(long, value_name = "ADDR")]
        listen: Option<String>,
        /// Listener for metrics and probes, instead of the configured one
        #[arg(long, value_name = "ADDR")]
        ops_listen: Option<String>,
    },
    /// Say whether a configuration file (with the environment over it) is right, without starting anything
    CheckConfig {
        /// The file
        file: PathBuf,
    },
    /// Show one phone after another being provisioned, over real sockets, and check every step
    Demo {
        /// Store [default: an embedded one in a temporary folder]
        #[arg(long, value_name = "URL")]
        store: Option<String>,
    },
    /// Print lines for an update server of your own
    Script {
        /// Which ones
        #[command(subcommand)]
        script: Ready,
    },
    /// Say whether a build list (JSON) is right, without importing it
    CheckBuilds {
        /// The file
        file: PathBuf,
    },
    /// Operate a running broker over its REST interface
    ///
    /// The password of the instance or domain is taken from the variable `PROVBROKER_PASSWORD` or a file, never from the arguments.
    Ctl(Ctl),
    /// Print the table of kinds of configuration in Markdown
    #[command(hide = true)]
    KindsTable,
    /// Print the table of metrics in Markdown
    #[command(hide = true)]
    MetricsTable,
}

/// Scripts that are ready to be used.
#[derive(Debug, Subcommand)]
pub(crate) enum Ready {
    /// The lines with which an update server of version 12 ends provisioning on newer devices
    V12Cleanup,
    /// The line that sends devices into a domain by automatic provisioning, encoded twice
    ///
    /// The line holds the token. Do not type it into a browser: that would take one encoding away.
    Auto {
        /// Domain that the devices enter
        #[arg(long)]
        domain: String,
        /// Security token from the settings of the domain
        #[arg(long)]
        token: String,
        /// Provisioning category that the devices enter
        #[arg(long)]
        category: String,
        /// Address of Devices, with wss at the beginning and /sysclients at the end [default: from the configuration]
        #[arg(long)]
        url: Option<String>,
        /// Configuration file that the default address is taken from
        #[arg(long, value_name = "FILE", conflicts_with = "url")]
        config: Option<PathBuf>,
    },
}
