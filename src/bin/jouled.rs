//! The daemon's command line.

use anyhow::Context;
use clap::{Parser, Subcommand};
use jouled::calibrate::{Gain, Series, Target};
use jouled::config;
use jouled::probe;
use jouled::runtime::confine;
use jouled::units::Span;
use std::ffi::OsString;
use std::io::{IsTerminal, Write};
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
    /// [default: info; error for probe]
    #[arg(long, global = true, value_name = "FILTER", env = "JOULED_LOG")]
    log: Option<String>,
}

#[derive(Subcommand)]
enum Command {
    /// Run the daemon until SIGTERM or SIGINT.
    Run(ConfigFile),
    /// Check a configuration without running anything.
    Check(ConfigFile),
    /// Find out what the sensors are off by, and store it in conf.d beside the configuration.
    Calibrate(Calibrate),
    /// List every power sensor that is configured or can be found, with what it reads now.
    ///
    /// Each is read for a second at its full rate. One that can't be read is listed with what
    /// to do about it. For what is not configured yet, the block to paste follows.
    Probe(Probe),
    /// Becomes a worker, confined.
    #[command(hide = true)]
    Confine {
        /// JSON, as `jouled run` makes it.
        policy: String,
        #[arg(last = true)]
        program: Vec<OsString>,
    },
    /// Confines itself and tries to get out.
    #[command(hide = true)]
    TryConfinement {
        /// JSON, as `jouled run` makes it.
        trial: String,
    },
}

#[derive(clap::Args)]
struct Calibrate {
    /// The main configuration file; what is found is written to conf.d beside it.
    #[arg(long, global = true, value_name = "FILE", default_value = INSTALLED)]
    config: PathBuf,
    /// The sensor's name in the configuration; lag takes several, or by default all.
    #[arg(long, global = true, value_name = "NAME")]
    sensor: Vec<String>,
    /// How long each reading lasts, in seconds [default: 5; sampler-power: 60 in all].
    #[arg(long, global = true, value_name = "S", value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: Option<u64>,
    #[command(subcommand)]
    what: Quantity,
}

#[derive(Subcommand)]
enum Quantity {
    /// The offset: disconnect the load first.
    Offset,
    /// Shunt and gain together, against a reference meter: one current with the offset
    /// calibrated before, or two currents that are set one after the other.
    Gain {
        /// The true current in amperes; given twice, the load is asked for in between.
        #[arg(long, value_name = "A", required = true, allow_negative_numbers = true)]
        current: Vec<f64>,
        /// What the meter may be off by, relative: 0.01 is 1 %.
        #[arg(long, value_name = "REL", default_value_t = 0.01)]
        current_limit: f64,
    },
    /// How late each rail shows the load, from steps of the CPU's load. Fix the clocks first.
    ///
    /// Readings of point sources (hwmon, tegrastats, pmic, modbus) are moved by it from then
    /// on; of the others it is reported.
    Lag {
        /// How often the load changes, at least 20.
        #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u16).range(20..=1000))]
        steps: u16,
        /// Mean time between two changes, in seconds: five readings of the slowest sensor.
        #[arg(long, value_name = "S", default_value_t = 0.8, value_parser = step_s)]
        step_s: f64,
    },
    /// What reading the sensors at their configured rate takes, on the primary rail.
    SamplerPower,
}

#[derive(clap::Args)]
struct Probe {
    /// List the sensors of this configuration too [default: /etc/jouled/jouled.toml, if there].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print one JSON object instead of a table.
    #[arg(long, conflicts_with = "follow")]
    json: bool,
    /// Show the rails until q or Ctrl-C; where the output is no terminal, a line per rail and
    /// second.
    #[arg(long)]
    follow: bool,
    /// How long to read [default: 1; with --follow, until stopped].
    #[arg(long, value_name = "S", value_parser = seconds)]
    seconds: Option<Span>,
    /// Look into a copy of /sys. I2C buses, which a copy has not, are left out.
    #[arg(long, value_name = "DIR")]
    sysfs_root: Option<PathBuf>,
    /// Look into a copy of /proc/device-tree [default: the one inside --sysfs-root].
    #[arg(long, value_name = "DIR")]
    devicetree_root: Option<PathBuf>,
}

#[derive(clap::Args)]
struct ConfigFile {
    /// The main configuration file; `conf.d/*.toml` beside it is read too.
    #[arg(long, value_name = "FILE", default_value = INSTALLED)]
    config: PathBuf,
}

const INSTALLED: &str = "/etc/jouled/jouled.toml";

fn main() -> ExitCode {
    let cli = Cli::parse();
    let quiet = matches!(cli.command, Command::Probe(_));
    let log = cli
        .log
        .as_deref()
        .unwrap_or(if quiet { "error" } else { "info" });
    let outcome = logging(log).and_then(|()| match &cli.command {
        Command::Run(file) => run(&file.config),
        Command::Check(file) => check(&file.config),
        Command::Calibrate(arguments) => calibrate(arguments),
        Command::Probe(probe) => list(probe),
        Command::Confine { policy, program } => become_worker(policy, program),
        Command::TryConfinement { trial } => try_confinement(trial),
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            jouled::print::err(format_args!("jouled: {error:#}\n"));
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
    for warning in config.mqtt.warnings() {
        jouled::print::err(format_args!("warning: {warning}\n"));
    }
    jouled::print::out(format_args!(
        "{}: valid; {} sensor(s): {}\n",
        path.display(),
        config.sensor.len(),
        config
            .sensor
            .iter()
            .map(|sensor| sensor.name.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    ));
    Ok(())
}

fn calibrate(arguments: &Calibrate) -> anyhow::Result<()> {
    let main = arguments.config.as_path();
    let config = load(main)?;
    let reading = |default| Span::from_millis(1000 * arguments.seconds.unwrap_or(default));
    match &arguments.what {
        Quantity::Offset => {
            let target = target(arguments, &config, reading(5))?;
            let written = jouled::calibrate::offset(target)?;
            taken_up(main, |again| {
                calibration_of(again, target) == Some(&written)
            })
        }
        Quantity::Gain {
            current,
            current_limit,
        } => {
            anyhow::ensure!(
                (0.0..=0.1).contains(current_limit),
                "--current-limit {current_limit}: state 0 to 0.1, where 0.01 is 1 %"
            );
            let gain = Gain {
                currents_a: current.clone(),
                limit: *current_limit,
            };
            let target = target(arguments, &config, reading(5))?;
            let written = jouled::calibrate::gain(target, &gain)?;
            taken_up(main, |again| {
                calibration_of(again, target) == Some(&written)
            })
        }
        Quantity::Lag { steps, step_s } => {
            let given = arguments.seconds;
            anyhow::ensure!(
                given.is_none(),
                "lag takes --steps and --step-s, no --seconds"
            );
            let series = Series {
                steps: usize::from(*steps),
                stretch: Span::from_secs_f64(*step_s),
                sensors: arguments.sensor.clone(),
            };
            let written = jouled::calibrate::lag(main, &config, &series)?;
            taken_up(main, |again| {
                written.iter().all(|(name, lags)| {
                    let sensor = again.sensor.iter().find(|sensor| sensor.name == *name);
                    sensor.and_then(|sensor| sensor.lag.as_ref()) == Some(lags)
                })
            })
        }
        Quantity::SamplerPower => {
            let all = reading(60);
            anyhow::ensure!(
                arguments.sensor.is_empty(),
                "sampler-power is measured on energy.primary, with every sensor: no --sensor"
            );
            anyhow::ensure!(
                all >= Span::from_millis(12_000),
                "--seconds: sampler-power takes at least 12"
            );
            let written = jouled::calibrate::sampler_power(main, &config, all)?;
            taken_up(main, |again| {
                again.energy.sampler_power.as_ref() == Some(&written)
            })
        }
    }
}

/// The one sensor that is calibrated.
fn target<'a>(
    arguments: &'a Calibrate,
    config: &'a config::Config,
    span: Span,
) -> anyhow::Result<Target<'a>> {
    let main = arguments.config.as_path();
    let names: Vec<&str> = config.sensor.iter().map(|s| s.name.as_str()).collect();
    let names = names.join(", ");
    let [name] = arguments.sensor.as_slice() else {
        anyhow::bail!("name one sensor with --sensor; there are: {names}");
    };
    let sensor = config
        .sensor
        .iter()
        .find(|sensor| sensor.name == *name)
        .with_context(|| {
            format!(
                "{}: no sensor \"{name}\"; there are: {names}",
                main.display()
            )
        })?;
    Ok(Target { main, sensor, span })
}

fn calibration_of<'a>(
    config: &'a config::Config,
    target: Target<'_>,
) -> Option<&'a jouled::sensor::Calibration> {
    let same = |sensor: &&jouled::sensor::SensorConfig| sensor.name == target.sensor.name;
    config.sensor.iter().find(same)?.calibration.as_ref()
}

/// Whether what was written is what the configuration says now.
fn taken_up(main: &Path, says_so: impl FnOnce(&config::Config) -> bool) -> anyhow::Result<()> {
    anyhow::ensure!(
        says_so(&load(main)?),
        "a later file of conf.d overrides it: remove the same block from that one"
    );
    Ok(())
}

fn list(arguments: &Probe) -> anyhow::Result<()> {
    let mut config = match &arguments.config {
        Some(path) => load(path)?,
        None => installed_config(),
    };
    if let Some(root) = &arguments.sysfs_root {
        config.board.sysfs_root.clone_from(root);
        // What /proc/device-tree points to.
        config.board.devicetree_root = root.join("firmware/devicetree/base");
    }
    if let Some(root) = &arguments.devicetree_root {
        config.board.devicetree_root.clone_from(root);
    }
    let scope = probe::Scope::of(config);
    let candidates = probe::find(&scope);
    if arguments.follow {
        return probe::follow::run(&scope.board, &candidates, arguments.seconds)
            .context("the rails can't be shown");
    }
    let span = arguments.seconds.unwrap_or(Span::from_millis(1_000));
    let readings = probe::read(candidates, &scope.board.known, span)
        .context("the sampler threads do not start")?;
    let report = probe::report(&scope.board, &readings);
    let text = if arguments.json {
        serde_json::to_string_pretty(&report)? + "\n"
    } else {
        probe::table(&report, width())
    };
    // Colours go to terminals only, and none where NO_COLOR is set.
    match anstream::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("the standard output can't be written"),
    }
}

/// The configuration in its usual place, or none: an unfinished one is no reason not to look
/// for sensors.
fn installed_config() -> config::Config {
    let path = Path::new(INSTALLED);
    if !path.exists() {
        return config::Config::default();
    }
    load(path).unwrap_or_else(|error| {
        tracing::error!("{error:#}; its sensors are left out");
        config::Config::default()
    })
}

/// Columns of the terminal; 80 where the output is none.
fn width() -> usize {
    let (terminal_size::Width(columns), _) = match std::io::stdout().is_terminal() {
        true => terminal_size::terminal_size(),
        false => None,
    }
    .unwrap_or((terminal_size::Width(80), terminal_size::Height(24)));
    usize::from(columns)
}

fn step_s(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.2..=60.0).contains(&seconds) => Ok(seconds),
        _ => Err("state 0.2 to 60 seconds".to_owned()),
    }
}

fn seconds(text: &str) -> Result<Span, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.1..=86_400.0).contains(&seconds) => Ok(Span::from_secs_f64(seconds)),
        _ => Err("state 0.1 to 86400 seconds".to_owned()),
    }
}

fn load(path: &Path) -> anyhow::Result<config::Config> {
    // Variables that are not Unicode can't be ours.
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    config::load(path, environment).context("configuration")
}

/// Returns only if it fails.
fn become_worker(policy: &str, program: &[OsString]) -> anyhow::Result<()> {
    let policy = serde_json::from_str(policy).context("the policy")?;
    let error = confine::launch(&policy, program);
    let name = program.first().map(|name| name.display().to_string());
    Err(error).context(name.unwrap_or_default())
}

fn try_confinement(trial: &str) -> anyhow::Result<()> {
    let trial = serde_json::from_str(trial).context("the trial")?;
    Ok(confine::attempts::run(&trial)?)
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
