//! The daemon's command line.

use anyhow::Context;
use clap::{Parser, Subcommand};
use jouled::config;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

/// Measures the energy of every token on this board and publishes it over MQTT.
#[derive(Parser)]
#[command(version, about, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// What is logged: error, warn, info, debug, trace, or a filter such as jouled::mqtt=debug.
    #[arg(
        long,
        global = true,
        value_name = "FILTER",
        env = "JOULED_LOG",
        default_value = "info"
    )]
    log: String,
}

#[derive(Subcommand)]
enum Command {
    /// Run the daemon until SIGTERM or SIGINT.
    Run(ConfigFile),
    /// Check a configuration without running anything.
    Check(ConfigFile),
}

#[derive(clap::Args)]
struct ConfigFile {
    /// The main configuration file; `conf.d/*.toml` beside it is read too.
    #[arg(long, value_name = "FILE", default_value = "/etc/jouled/jouled.toml")]
    config: PathBuf,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = logging(&cli.log).and_then(|()| match &cli.command {
        Command::Run(file) => run(&file.config),
        Command::Check(file) => check(&file.config),
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("jouled: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(path: &Path) -> anyhow::Result<()> {
    let config = load(path)?;
    jouled::daemon::run(config)
}

fn check(path: &Path) -> anyhow::Result<()> {
    let config = load(path)?;
    println!(
        "{}: valid; {} sensor(s): {}",
        path.display(),
        config.sensor.len(),
        config
            .sensor
            .iter()
            .map(|sensor| sensor.name.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    );
    Ok(())
}

fn load(path: &Path) -> anyhow::Result<config::Config> {
    // Variables that are not Unicode can't be ours.
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    config::load(path, environment).context("configuration")
}

/// Logs to stderr. Under systemd the journal adds the time.
fn logging(filter: &str) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter)
        .with_context(|| format!("--log {filter}: not a level or filter"))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none());
    if std::env::var_os("JOURNAL_STREAM").is_some() {
        builder.without_time().init();
    } else {
        builder.init();
    }
    Ok(())
}
