//! `joulectl demo`: the whole way on one machine, from a model's file to the energy of each
//! of its tokens. Each step is a function; everything that was started is stopped at the
//! end, however the end comes.

mod sensor;

use super::broker::{self, Broker};
use super::client::{Client, random_hex};
use super::follow::{self, Collected, Display, Until};
use super::interrupt::interrupted;
use super::process::Child;
use super::sheet::Sheet;
use super::target::{Board, Target};
use super::{LabError, model, page, submit, table};
use crate::record::device::{Presence, Status};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::Instant;

const DEVICE: &str = "demo";
const QUESTION: &str = "Why is the sky blue? Explain it to a curious child.";
/// Hashing the model directory and opening the sensor take a moment on a small board.
const ONLINE_WITHIN: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Where the page goes; the result record goes beside it as .json
    #[arg(long, short, value_name = "FILE", default_value = "jouled-demo.html")]
    pub out: PathBuf,
    /// Where the run keeps its configuration, queue and logs [default:
    /// $XDG_STATE_HOME/jouled/demo]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Where models are kept [default: $XDG_CACHE_HOME/jouled/models]
    #[arg(long, value_name = "DIR")]
    pub models: Option<PathBuf>,
    /// The broker to start
    #[arg(long, value_enum, default_value = "auto", value_name = "BROKER")]
    pub with_broker: broker::Choice,
    /// Print the result record as JSON instead of the table
    #[arg(long)]
    pub json: bool,
}

/// What the demo has started.
#[derive(Default)]
struct Running {
    broker: Option<Broker>,
    daemon: Option<Child>,
}

impl Running {
    async fn stop(self) {
        if let Some(daemon) = self.daemon {
            daemon.stop().await;
        }
        if let Some(broker) = self.broker {
            broker.stop().await;
        }
    }
}

pub async fn run(options: &Options) -> Result<(), LabError> {
    let daemon = daemon_program()?;
    let dir = run_directory(options)?;
    let mut running = Running::default();
    let outcome = tokio::select! {
        // First, so that the signal is caught before anything is started.
        biased;
        () = interrupted() => Err(LabError::Interrupted("stopped".to_owned())),
        outcome = steps(options, &daemon, &dir, &mut running) => outcome,
    };
    running.stop().await;
    match outcome {
        Ok(()) | Err(LabError::Interrupted(_)) => {
            // It holds nothing that the page and the record don't.
            let _ = std::fs::remove_dir_all(&dir);
        }
        Err(_) => eprintln!("the logs of this run are in {}", dir.display()),
    }
    outcome
}

async fn steps(
    options: &Options,
    daemon: &Path,
    dir: &Path,
    running: &mut Running,
) -> Result<(), LabError> {
    let broker = Broker::start(options.with_broker, dir).await?;
    let port = broker.port();
    say("broker", &format!("{} on port {port}", broker.describe()));
    running.broker = Some(broker);

    let models = match &options.models {
        Some(dir) => dir.clone(),
        None => model::directory()?,
    };
    have_model(&models).await?;

    let sensor = sensor::choose(Path::new("/sys"));
    let config = dir.join("jouled.toml");
    write(&config, &configuration(port, dir, &models, &sensor))?;
    let arguments = ["run".as_ref(), "--config".as_ref(), config.as_os_str()];
    let child = running
        .daemon
        .insert(Child::start(daemon, &arguments, &dir.join("jouled.log"))?);

    let target = Target::local(port, DEVICE);
    let measured = async {
        let mut client = Client::connect(&target).await?;
        let board = Board::new(&target.prefix, DEVICE);
        online(&mut client, &board).await?;
        say("daemon", &sensor_in_words(&sensor));
        measure(&mut client, &board).await
    };
    let collected = tokio::select! {
        collected = measured => collected?,
        error = child.unexpected_end() => return Err(error),
    };
    report(options, &collected)
}

/// A fresh directory, so that no job of an earlier demo is in the queue.
fn run_directory(options: &Options) -> Result<PathBuf, LabError> {
    let parent = match &options.dir {
        Some(dir) => std::path::absolute(dir)
            .map_err(|error| LabError::Usage(format!("--dir {}: {error}", dir.display())))?,
        None => model::base_directory("XDG_STATE_HOME", ".local/state")?.join("jouled/demo"),
    };
    let moment = crate::clock::wall().strftime("%Y%m%d-%H%M%S");
    let dir = parent.join(format!("{moment}-{}", random_hex(4)));
    std::fs::create_dir_all(&dir)
        .map_err(|error| LabError::Failed(format!("{}: {error}", dir.display())))?;
    Ok(dir)
}

/// `jouled` beside this program.
fn daemon_program() -> Result<PathBuf, LabError> {
    let own = std::env::current_exe()
        .map_err(|error| LabError::Failed(format!("joulectl can't find itself: {error}")))?;
    let daemon = own.with_file_name("jouled");
    if daemon.is_file() {
        return Ok(daemon);
    }
    Err(LabError::Failed(format!(
        "{} does not exist; build it with `cargo build --release` or install both programs in \
         one directory",
        daemon.display()
    )))
}

async fn have_model(models: &Path) -> Result<(), LabError> {
    let bar = model::progress_bar();
    let outcome = model::fetch(&model::DEFAULT, models, &bar).await;
    bar.finish_and_clear();
    let (path, had) = outcome?;
    let how = match had {
        model::Had::Present => "already there",
        model::Had::Fetched => "fetched",
    };
    say(
        "model",
        &format!("{}, {how}, SHA-256 as pinned", path.display()),
    );
    Ok(())
}

fn configuration(port: u16, dir: &Path, models: &Path, sensor: &sensor::Choice) -> String {
    let quoted = |path: &Path| toml::Value::String(path.display().to_string());
    let storage = quoted(&dir.join("store"));
    let models = quoted(models);
    let sensor::Choice { block, primary, .. } = sensor;
    format!(
        "[device]\nname = \"{DEVICE}\"\n\n\
         [mqtt]\nurl = \"mqtt://127.0.0.1:{port}\"\n\n\
         [storage]\ndir = {storage}\n\n\
         [models]\ndir = {models}\n\n\
         [[sensor]]\n{block}\n\
         [energy]\nprimary = \"{primary}\"\n"
    )
}

/// Waits for the retained status of the board to say that it is online.
async fn online(client: &mut Client, board: &Board) -> Result<(), LabError> {
    client.subscribe(&board.status()).await?;
    let deadline = Instant::now() + ONLINE_WITHIN;
    while let Some(message) = client.next(deadline).await? {
        if message.topic != board.status() {
            continue;
        }
        if let Ok(status) = serde_json::from_slice::<Status>(&message.payload)
            && status.state == Presence::Online
        {
            return Ok(());
        }
    }
    Err(LabError::Unreachable(format!(
        "jouled was not online within {} s",
        ONLINE_WITHIN.as_secs()
    )))
}

fn job(id: &str) -> Value {
    json!({
        "v": 1, "id": id, "kind": "generate", "model": model::DEFAULT.name,
        "model_sha256": model::DEFAULT.sha256,
        "messages": [{"role": "user", "content": QUESTION}],
        "n_predict": 128, "ignore_eos": true, "repetitions": 3, "warmup": 1,
        "idle": {"before_s": 5, "after_s": 3},
        "publish": {"tokens": "live", "text": true, "trace": true},
        "tags": {"by": "joulectl demo"},
    })
}

async fn measure(client: &mut Client, board: &Board) -> Result<Collected, LabError> {
    let id = submit::made_up_id(model::DEFAULT.name);
    follow::subscribe(client, board, &id).await?;
    submit::send(client, board, &job(&id)).await?;
    say(
        "job",
        &format!("{id}: 3 × 128 tokens, idle before and after"),
    );
    let display = Display::on_stderr();
    let collected = follow::follow(client, board, &id, Until::EveryRecord, &display).await?;
    follow::outcome(&collected, board, &id)?;
    Ok(collected)
}

fn report(options: &Options, collected: &Collected) -> Result<(), LabError> {
    let Some(result) = &collected.result else {
        return Err(LabError::Failed("the job left no result".to_owned()));
    };
    let record = options.out.with_extension("json");
    write(&record, &format!("{}\n", collected.result_json))?;
    page::write(collected, &options.out)?;
    if options.json {
        println!("{}", collected.result_json);
    } else {
        let sheet = Sheet::new(&result.stamp, &result.body);
        print!("{}", table::render(&sheet, table::width()));
        println!();
    }
    if let Some(missing) = collected.missing() {
        say("note", &missing);
    }
    say("page", &options.out.display().to_string());
    say("record", &record.display().to_string());
    Ok(())
}

fn sensor_in_words(sensor: &sensor::Choice) -> String {
    if sensor.simulated {
        "online; no readable power sensor here, so the power is SIMULATED".to_owned()
    } else {
        "online, with a power sensor of this machine".to_owned()
    }
}

fn write(path: &Path, text: &str) -> Result<(), LabError> {
    std::fs::write(path, text)
        .map_err(|error| LabError::Failed(format!("{}: {error}", path.display())))
}

/// A line of progress on standard error.
fn say(what: &str, text: &str) {
    eprintln!("{:>7}  {text}", console::style(what).for_stderr().bold());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::{Job, Limits};

    #[test]
    fn the_demos_job_is_a_job() {
        let text = job("smol-1").to_string();
        Job::parse(text.as_bytes(), &Limits::default()).expect("it is within every limit");
    }

    #[test]
    fn the_configuration_is_toml_whatever_the_paths_are() {
        let sensor = sensor::choose(Path::new("/nonexistent"));
        let odd = Path::new("/tmp/a \"b\"\\c");
        let text = configuration(1883, odd, odd, &sensor);
        let table: toml::Table = text.parse().unwrap();
        assert_eq!(table["models"]["dir"].as_str(), odd.to_str());
        assert_eq!(table["sensor"][0]["name"], table["energy"]["primary"]);
    }
}
