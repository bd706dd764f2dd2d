//! The command line. It says what can be asked for, not how it is done.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

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
    /// Print the table of metrics in Markdown
    #[command(hide = true)]
    MetricsTable,
}
