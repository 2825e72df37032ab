//! The daemon and its commands.

use anyhow::Context;
use clap::Parser;
use jouled::calibrate::{Gain, Series, Target};
use jouled::cli::jouled::{Calibrate, Cli, Command, INSTALLED, Probe, Quantity};
use jouled::config;
use jouled::journal::{Entries, Journal};
use jouled::probe;
use jouled::runtime::confine;
use jouled::units::Span;
use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// EX_CONFIG of sysexits.h: a person has to put it right, so systemd does not start it again.
const WRONG_CONFIGURATION: u8 = 78;
/// What clap ends with, too.
const WRONG_USAGE: u8 = 2;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let quiet = matches!(cli.command, Command::Probe(_));
    let log = cli
        .log
        .as_deref()
        .unwrap_or(if quiet { "error" } else { "info" });
    if let Err(error) = logging(log) {
        complain(&error);
        return ExitCode::from(WRONG_USAGE);
    }
    let outcome = match &cli.command {
        Command::Run(file) => run(&file.config),
        Command::Check(file) => check(&file.config),
        Command::Calibrate(arguments) => calibrate(arguments),
        Command::Probe(probe) => list(probe),
        Command::Confine { policy, program } => become_worker(policy, program),
        Command::TryConfinement { trial } => try_confinement(trial),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            let runs = matches!(cli.command, Command::Run(_));
            match runs && needs_a_person(&error) {
                true => ExitCode::from(WRONG_CONFIGURATION),
                false => ExitCode::FAILURE,
            }
        }
    }
}

/// Whatever the log's filter lets through: nobody may look for why the service has ended.
fn complain(error: &anyhow::Error) {
    // The journal takes the number for the priority (sd-daemon(3)).
    let priority = Journal::of_standard_error().map_or("", |_| "<3>");
    jouled::print::err(format_args!("{priority}jouled: {error:#}\n"));
}

/// Whether no new start helps. A file that can't be read may only come late.
fn needs_a_person(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<config::ConfigError>();
    error.is_some_and(|error| !matches!(error, config::ConfigError::File { .. }))
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

/// Logs to standard error: as fields where that is the journal, else as text.
fn logging(filter: &str) -> anyhow::Result<()> {
    // Without regular expressions, which its larger relative brings: a quarter of a megabyte.
    let filter: Targets = filter
        .parse()
        .with_context(|| format!("--log {filter}: not a level, nor a list of TARGET=LEVEL"))?;
    let layer = tracing_subscriber::fmt::layer();
    let logs = tracing_subscriber::registry().with(filter);
    match Journal::of_standard_error() {
        Some(journal) => logs
            .with(layer.event_format(Entries).with_writer(journal))
            .init(),
        None => logs
            .with(layer.with_writer(std::io::stderr).with_ansi(
                std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
            ))
            .init(),
    }
    Ok(())
}
