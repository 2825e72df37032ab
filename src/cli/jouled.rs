//! The command line of `jouled`.

use crate::units::Span;
use clap::{Parser, Subcommand};
use std::ffi::OsString;
use std::path::PathBuf;

/// Measure the energy of every token on this board, and publish it over MQTT.
#[derive(Debug, Parser)]
#[command(
    name = "jouled",
    version,
    arg_required_else_help = true,
    max_term_width = 100,
    after_help = "Exit codes: 0 ok, 1 it failed (the last line says why), 2 usage, 78 run: the \
                  configuration is wrong."
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
    /// What is logged: error, warn, info, debug, trace, or a filter such as jouled::mqtt=debug
    /// [default: info; error for probe]
    #[arg(long, global = true, value_name = "FILTER", env = "JOULED_LOG")]
    pub log: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the daemon until SIGTERM or SIGINT.
    ///
    /// A job that runs then goes back to the queue. The daemon logs to its standard error.
    Run(ConfigFile),
    /// Check a configuration without running anything.
    ///
    /// Says which file, line and key is wrong, and opens no device and no connection.
    Check(ConfigFile),
    /// Find out what the sensors are off by, and store it in conf.d beside the configuration.
    ///
    /// Stop the daemon meanwhile (systemctl stop jouled): two readers take each other's
    /// readings. It uses what was found from its next start on.
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

#[derive(Debug, clap::Args)]
pub struct Calibrate {
    /// The main configuration file; what is found is written to conf.d beside it.
    #[arg(long, global = true, value_name = "FILE", default_value = INSTALLED)]
    pub config: PathBuf,
    /// The sensor's name in the configuration; lag takes several [default: all], and
    /// sampler-power none.
    #[arg(long, global = true, value_name = "NAME")]
    pub sensor: Vec<String>,
    /// Seconds that each reading lasts [default: 5], of sampler-power that all of it takes
    /// [default: 60]; not for lag.
    #[arg(long, global = true, value_name = "S", value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub seconds: Option<u64>,
    #[command(subcommand)]
    pub what: Quantity,
}

#[derive(Debug, Subcommand)]
pub enum Quantity {
    /// What one sensor reads without a current: disconnect the load first.
    Offset,
    /// Shunt and gain of one sensor together, against a reference meter.
    ///
    /// State one current where the offset was calibrated before, or two that you set one
    /// after the other.
    Gain {
        /// The true current in amperes; given twice, the load is asked for in between.
        #[arg(long, value_name = "A", required = true, allow_negative_numbers = true)]
        current: Vec<f64>,
        /// What the meter may be off by, relative: 0.01 is 1 %.
        #[arg(long, value_name = "REL", default_value_t = 0.01)]
        current_limit: f64,
    },
    /// How late each rail shows the load, from steps of the CPU's load: fix the clocks first.
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

#[derive(Debug, clap::Args)]
pub struct Probe {
    /// List the sensors of this configuration too [default: /etc/jouled/jouled.toml, if there].
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print one JSON object instead of a table.
    #[arg(long, conflicts_with = "follow")]
    pub json: bool,
    /// Show the rails until q or Ctrl-C; where the output is no terminal, a line per rail and
    /// second.
    #[arg(long)]
    pub follow: bool,
    /// How long to read [default: 1; with --follow, until stopped].
    #[arg(long, value_name = "S", value_parser = seconds)]
    pub seconds: Option<Span>,
    /// Look into a copy of /sys. I2C buses, which a copy has not, are left out.
    #[arg(long, value_name = "DIR")]
    pub sysfs_root: Option<PathBuf>,
    /// Look into a copy of /proc/device-tree [default: the one inside --sysfs-root].
    #[arg(long, value_name = "DIR")]
    pub devicetree_root: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub struct ConfigFile {
    /// The main configuration file; `conf.d/*.toml` beside it is read too.
    #[arg(long, value_name = "FILE", default_value = INSTALLED)]
    pub config: PathBuf,
}

/// Where a package puts the configuration.
pub const INSTALLED: &str = "/etc/jouled/jouled.toml";

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
