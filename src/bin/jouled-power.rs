//! Sets power modes, governors and frequency caps for the daemon, as root: docs/power-modes.md.
//! Its options come from its service's unit; nothing of them can be changed over the socket.

use jouled::power::{Control, Cpufreq, Kept, Listening, Nvpmodel, Server, uid_of};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

const HELP: &str = "\
Sets power modes, CPU governors and frequency caps for the length of a job of jouled, and puts
back what was in force before. See docs/power-modes.md.

Usage: jouled-power serve [OPTIONS]    on the socket that systemd passes as standard input
       jouled-power restore [OPTIONS]  put back what a killed one has left
       jouled-power show [OPTIONS]     what can be set on this board, and nothing else

Options:
      --listen PATH         make the socket itself, where there is no systemd
      --user NAME           who alone may ask [default: jouled]
      --state DIR           where is kept what was in force [default: /var/lib/jouled-power]
      --sysfs-root DIR      [default: /sys]
      --nvpmodel FILE       [default: /usr/sbin/nvpmodel]
      --nvpmodel-conf FILE  [default: /etc/nvpmodel.conf]
  -h, --help                Print help
  -V, --version             Print version
";

const WRONG_USAGE: u8 = 2;

struct Options {
    listen: Option<PathBuf>,
    user: String,
    state: PathBuf,
    sysfs_root: PathBuf,
    nvpmodel: PathBuf,
    nvpmodel_conf: PathBuf,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: None,
            user: "jouled".to_owned(),
            state: "/var/lib/jouled-power".into(),
            sysfs_root: "/sys".into(),
            nvpmodel: "/usr/sbin/nvpmodel".into(),
            nvpmodel_conf: "/etc/nvpmodel.conf".into(),
        }
    }
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self::default();
        while let Some(option) = arguments.next() {
            let value = arguments.next();
            let value = value.ok_or_else(|| format!("{option} needs a value"))?;
            match option.as_str() {
                "--listen" => options.listen = Some(value.into()),
                "--user" => options.user = value,
                "--state" => options.state = value.into(),
                "--sysfs-root" => options.sysfs_root = value.into(),
                "--nvpmodel" => options.nvpmodel = value.into(),
                "--nvpmodel-conf" => options.nvpmodel_conf = value.into(),
                _ => return Err(format!("there is no option {option}")),
            }
        }
        Ok(options)
    }

    fn control(&self) -> Control {
        Control::new(
            Cpufreq::new(&self.sysfs_root),
            Nvpmodel::new(self.nvpmodel.clone(), self.nvpmodel_conf.clone()),
            Kept::new(&self.state),
        )
    }
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next().unwrap_or_default();
    match command.as_str() {
        "-h" | "--help" => {
            jouled::print::out(format_args!("{HELP}"));
            return ExitCode::SUCCESS;
        }
        "-V" | "--version" => {
            let version = env!("CARGO_PKG_VERSION");
            jouled::print::out(format_args!("jouled-power {version}\n"));
            return ExitCode::SUCCESS;
        }
        _ => {}
    }
    let options = match Options::parse(arguments) {
        Ok(options) => options,
        Err(error) => return wrong_usage(&error),
    };
    let outcome = match command.as_str() {
        "serve" => serve(&options),
        "restore" => restore(&options),
        "show" => {
            show(&options);
            Ok(())
        }
        "" => return wrong_usage("which command?"),
        other => return wrong_usage(&format!("there is no command {other}")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&error);
            ExitCode::FAILURE
        }
    }
}

fn serve(options: &Options) -> Result<(), String> {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let user = uid_of(&options.user, &passwd).ok_or_else(|| {
        let user = &options.user;
        format!("there is no user {user}; systemd-sysusers makes jouled's, --user names another")
    })?;
    let listening = match &options.listen {
        Some(path) => Listening::at(path, user)
            .map_err(|error| format!("{}: no socket can be made there: {error}", path.display()))?,
        None => Listening::from_systemd().map_err(|error| {
            format!(
                "standard input is no socket ({error}): start jouled-power.socket instead, or \
                 give --listen PATH"
            )
        })?,
    };
    let server = Arc::new(Server::new(options.control(), user));
    server.serve(&listening).map_err(|error| error.to_string())
}

fn restore(options: &Options) -> Result<(), String> {
    let control = options.control();
    let owes = control.owes();
    control.restore().map_err(|error| error.to_string())?;
    if owes {
        say("what was in force before is back");
    }
    Ok(())
}

/// For the administrator: the names and numbers that jobs may use.
fn show(options: &Options) {
    let offer = options.control().offer();
    let or_none = |list: Vec<String>| match list.is_empty() {
        true => "none".to_owned(),
        false => list.join(", "),
    };
    let modes = offer.power_modes.iter();
    let modes = modes.map(|mode| format!("{} {}", mode.id, mode.name));
    let freq = offer.freq.map_or_else(
        || "none".to_owned(),
        |freq| format!("{} to {} kHz", freq.min_khz, freq.max_khz),
    );
    jouled::print::out(format_args!(
        "power modes     {}\ngovernors       {}\nmax_freq_khz    {freq}\n",
        or_none(modes.collect()),
        or_none(offer.governors),
    ));
}

fn wrong_usage(error: &str) -> ExitCode {
    say(&format!("{error}; try --help"));
    ExitCode::from(WRONG_USAGE)
}

fn say(what: &str) {
    jouled::print::err(format_args!("jouled-power: {what}\n"));
}
