//! The command line: commands and options, without their implementation.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use provbroker::ctl::Ctl;
use provbroker::ctl::bundle::Bundle;

/// Provisioning broker for desk phones.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100)]
pub(crate) struct Cli {
    /// Command to run.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the broker until SIGTERM or SIGINT
    Serve {
        /// Configuration file [default: config/provbroker.toml if it exists, else built-in defaults]
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Store, overrides the configuration: embedded:FILE, or the address of a Redis
        #[arg(long, value_name = "URL")]
        store: Option<String>,
        /// Public listener, overrides the configuration
        #[arg(long, value_name = "ADDR")]
        listen: Option<String>,
        /// Listener for metrics and probes, overrides the configuration
        #[arg(long, value_name = "ADDR")]
        ops_listen: Option<String>,
    },
    /// Check a configuration file, including overrides by the environment, without starting anything
    CheckConfig {
        /// File to check
        file: PathBuf,
    },
    /// Demonstrate the provisioning of simulated phones over real sockets, and check every step
    Demo {
        /// Store [default: an embedded one in a temporary folder]
        #[arg(long, value_name = "URL")]
        store: Option<String>,
    },
    /// Print ready-made scripts for your own update server
    Script {
        /// Script
        #[command(subcommand)]
        script: Ready,
    },
    /// Check a build list (JSON) without importing it
    CheckBuilds {
        /// File to check
        file: PathBuf,
    },
    /// Operate a running broker over its REST interface
    ///
    /// The password of the instance or domain is read from the variable `PROVBROKER_PASSWORD` or from a file, never from
    /// the arguments.
    Ctl(Ctl),
    /// Carry codes to a site without a connection, and its results back, by file
    ///
    /// Works with a running broker, over its REST interface. The password of the instance and the passphrase of the
    /// bundle are read from variables or files, never from the arguments.
    Bundle(Bundle),
    /// Print the table of kinds of configuration in Markdown
    #[command(hide = true)]
    KindsTable,
    /// Print the table of metrics in Markdown
    #[command(hide = true)]
    MetricsTable,
}

/// Ready-made scripts.
#[derive(Debug, Subcommand)]
pub(crate) enum Ready {
    /// Print the lines with which an update server of version 12 ends provisioning on newer devices
    V12Cleanup,
    /// Print the line that enters devices into a domain by automatic provisioning, encoded twice
    ///
    /// The line contains the token. Do not type it into a browser, which would remove one of the two encodings.
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
