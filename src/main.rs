//! The program: reads arguments and configuration, installs logging and the TLS library, runs a command.
//!
//! Exit codes: 0 success, 1 failed while running, 2 wrong arguments or configuration.

mod cli;

use std::path::Path;
use std::process::ExitCode;

use clap::Parser as _;
use provbroker::config::{self, Config, LogFormat, Overrides};
use provbroker::core::model::ids::Secret;
use provbroker::core::policy::jobs::builds::BuildList;
use provbroker::core::protocol::script::ready;
use provbroker::ctl::CtlError;
use provbroker::demo::DemoOptions;
use provbroker::logging::{self, Form};
use tracing_subscriber::EnvFilter;

use crate::cli::{Cli, Command, Ready};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const FAILED: u8 = 1;
const MISCONFIGURED: u8 = 2;

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Serve { config, store, listen, ops_listen } => {
            let overrides = Overrides { store, listen, ops_listen };
            with_config(config.as_deref(), &overrides, |config| {
                for warning in config.warnings() {
                    tracing::warn!("{warning}");
                }
                exit_code(install_crypto().and_then(|()| provbroker::app::serve(config)))
            })
        }
        Command::CheckConfig { file } => match config::load(Some(&file), &Overrides::default()) {
            Ok(config) => {
                if let Err(error) = provbroker::app::check_files(&config) {
                    return misconfigured(&format!("{}: {error:#}", file.display()));
                }
                println!("ok: {}", config.summary());
                for warning in config.warnings() {
                    println!("warning: {warning}");
                }
                ExitCode::SUCCESS
            }
            Err(error) => misconfigured(&error.to_string()),
        },
        Command::Demo { store } => {
            if let Some(Err(error)) = store.as_ref().map(|store| store.parse::<config::StoreUrl>()) {
                return misconfigured(&format!("--store: {error}"));
            }
            exit_code(install_crypto().and_then(|()| provbroker::demo::run(DemoOptions { store })))
        }
        Command::Script { script } => match lines(script) {
            Ok(lines) => {
                println!("{}", lines.expose());
                ExitCode::SUCCESS
            }
            Err(line) => misconfigured(&line),
        },
        Command::CheckBuilds { file } => match builds(&file) {
            Ok(list) => {
                println!("ok: {} products at {}", list.products.len(), list.base_url);
                ExitCode::SUCCESS
            }
            Err(line) => misconfigured(&format!("{}: {line}", file.display())),
        },
        Command::Ctl(ctl) => match install_crypto() {
            Ok(()) => ctl_exit(ctl.run()),
            Err(error) => exit_code(Err(error)),
        },
        Command::Bundle(bundle) => match install_crypto() {
            Ok(()) => ctl_exit(bundle.run()),
            Err(error) => exit_code(Err(error)),
        },
        Command::KindsTable => {
            print!("{}", provbroker::core::policy::jobs::config::table::markdown());
            ExitCode::SUCCESS
        }
        Command::MetricsTable => {
            print!("{}", provbroker::metrics::markdown());
            ExitCode::SUCCESS
        }
    }
}

/// The lines of a ready-made script, without the last line break.
fn lines(script: Ready) -> Result<Secret, String> {
    match script {
        Ready::V12Cleanup => {
            let lines: Vec<String> = ready::v12_cleanup().0.iter().map(ToString::to_string).collect();
            Ok(Secret::new(lines.join("\n")))
        }
        Ready::Auto { domain, token, category, url, config } => {
            let url = match url {
                Some(url) => url,
                None => config::load(config.as_deref(), &Overrides::default())
                    .map_err(|error| error.to_string())?
                    .sysclients_url(),
            };
            ready::auto_provisioning_line(&url, &domain, &Secret::new(token), &category)
                .map_err(|error| error.to_string())
        }
    }
}

fn builds(file: &Path) -> Result<BuildList, String> {
    let text = std::fs::read(file).map_err(|error| error.to_string())?;
    BuildList::read(&text).map_err(|error| error.to_string())
}

fn with_config(file: Option<&Path>, overrides: &Overrides, then: impl FnOnce(Config) -> ExitCode) -> ExitCode {
    match config::load(file, overrides) {
        Ok(config) => match install_logging(&config.log) {
            Ok(()) => then(config),
            Err(error) => misconfigured(&error.to_string()),
        },
        Err(error) => misconfigured(&error.to_string()),
    }
}

fn misconfigured(line: &str) -> ExitCode {
    eprintln!("provbroker: {line}");
    ExitCode::from(MISCONFIGURED)
}

fn ctl_exit(result: Result<(), CtlError>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("provbroker: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn exit_code(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Prints the whole chain of causes on one line.
            eprintln!("provbroker: {error:#}");
            ExitCode::from(FAILED)
        }
    }
}

/// Installs logging to standard error; standard output is for the output of commands.
fn install_logging(log: &config::Log) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&log.filter)?;
    let form = match log.format {
        LogFormat::Text => Form::Text { colours: std::io::IsTerminal::is_terminal(&std::io::stderr()) },
        LogFormat::Json => Form::Json,
    };
    logging::install(filter, form, std::io::stderr).map_err(|error| anyhow::anyhow!("logging: {error}"))
}

/// Installs the cryptographic provider of all TLS clients of the process; rustls is built without a default.
fn install_crypto() -> anyhow::Result<()> {
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .map_err(|_| anyhow::anyhow!("another cryptographic provider is already installed"))
}
