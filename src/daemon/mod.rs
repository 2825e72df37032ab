//! The daemon: its parts, wired together.

pub(crate) mod catalogue;
mod commands;
mod confinement;
mod discovery;
mod expiring;
mod faults;
mod info;
mod inventory;
mod keeping;
mod listing;
mod live;
mod metrics;
mod notify;
mod opening;
mod power;
pub(crate) mod primary;
mod progress;
mod publishing;
pub(crate) mod queue;
mod rate_limit;
mod runner;
mod sensors;
pub mod signals;
mod trouble;
mod watchdog;

use crate::board::{Board, Host, Zones};
use crate::config::{Config, Identity, IdlePace};
use crate::measure::Meter;
use crate::metrics::Metrics;
use crate::models::ModelDirectory;
use crate::mqtt::{DeviceIdentity, MqttHandle};
use crate::pulse::Pulse;
use crate::record::answer::Event;
use crate::record::last_job::LastJob;
use crate::record::{Stamp, Stamped};
use crate::sampler::Sampler;
use crate::sensor::{Pace, Source};
use crate::store::{self, Damage, Moment, Recovered, Store};
use crate::units::Span;
use anyhow::Context;
use catalogue::Catalogue;
use inventory::Inventory;
use power::Power;
use queue::Queue;
use runner::Running;
use rustix::fs::Mode;
use rustix::process::umask;
use sensors::{BrokenSensor, Sensors};
use serde::Serialize;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// Chips answer by then. What takes longer is waited for as a ready service.
const READY_WITHIN: Span = Span::from_millis(100);
/// For what is due to leave, and the word `offline`.
const GOODBYE_WITHIN: Duration = Duration::from_millis(700);

/// What the parts share.
pub struct Shared {
    pub config: Config,
    pub identity: Identity,
    pub store: Arc<Mutex<Store>>,
    pub models: ModelDirectory,
    pub meter: Meter,
    pub host: Host,
    /// What was read about it last.
    board: Mutex<Board>,
    zones: Zones,
    sensors: Sensors,
    pub queue: Queue,
    /// Of the thread that runs jobs.
    pub runner: Pulse,
    /// Commands refused as `rate-limited`.
    pub rate_limited: AtomicU64,
    /// Records that were too old before a broker took them.
    pub expired: AtomicU64,
    /// `None` where nobody reads them.
    pub metrics: Option<Arc<Metrics>>,
    /// Its figures, for `health`.
    pub last_job: Mutex<Option<LastJob>>,
    pub catalogue: Catalogue,
    pub power: Power,
    inventory: Inventory,
    tried: confinement::Tried,
}

impl Shared {
    /// This moment, for the store.
    pub fn moment(&self) -> Moment {
        Moment::now(&self.identity.device)
    }

    /// The payload of a record of this moment.
    pub fn record<T: Serialize>(&self, body: T) -> Vec<u8> {
        let stamp = Stamp::now(&self.identity.device);
        Stamped { stamp, body }.to_json()
    }

    /// Index of the primary rail among those that work.
    pub fn primary_rail(&self) -> Option<usize> {
        let sensors = self.meter.sampler().sensors();
        let all_work = self.sensors.broken().is_empty();
        primary::of(self.config.energy.primary.as_deref(), &sensors, all_work)
    }

    /// What is wrong before an attempt begins, for its record.
    fn warnings(&self) -> Vec<String> {
        let mut warnings = self.sensors.warnings();
        if self.primary_rail().is_none() {
            warnings.push(match &self.config.energy.primary {
                Some(name) => format!(
                    "energy.primary = \"{name}\" is no rail that works, nor a sensor with a total"
                ),
                None => "no primary rail: set energy.primary to one of the rails for energy \
                         figures"
                    .to_owned(),
            });
        }
        warnings
    }
}

/// Runs the daemon until SIGTERM or SIGINT.
///
/// Errors: the state directory can't be used, or a device of the same name with another
/// machine id is on the broker.
pub fn run(config: Config) -> anyhow::Result<()> {
    // The queue's prompts are for the daemon's user and group alone, as is all that it writes.
    umask(Mode::RWXO);
    let identity = Identity::of(&config).context("machine id")?;
    notify::status("opening the queue and the records");
    let mut store = Store::open(&config.storage.dir)?;
    let lost = store.recover(&Moment::now(&identity.device))?;
    match store.sweep_raw() {
        Ok(0) => {}
        Ok(swept) => tracing::warn!("raw data of {swept} lost attempts is removed"),
        // Measuring goes on without it.
        Err(error) => tracing::error!(%error, "raw data can't be swept"),
    }
    store.republish_open_states(&Moment::now(&identity.device))?;
    let model_rev = store.reserve_model_revs()?;
    let store = Arc::new(Mutex::new(store));
    let host = config.board.host().context("board.profile is unknown")?;
    if config.sensor.is_empty() {
        for note in &host.profile.notes {
            tracing::warn!("no sensor is configured; {}: {note}", host.profile.title);
        }
    }
    let (sources, sensors) = open_sensors(&config, &host)?;
    let sampler = Sampler::start(sources).context("the sampler threads do not start")?;
    // What the board's tools tell of it may take longer, and the broker may be away.
    notify::ready("starting");
    let idle_pace = match config.energy.idle_pace {
        IdlePace::Slow => Pace::Idle,
        IdlePace::Full => Pace::Full,
    };
    let board = Board::read(&host);
    let metrics = metrics::about(&config, &identity, &board);
    let power = Power::new(config.power.socket.clone(), &host);
    if let Err(reason) = power.ask() {
        tracing::debug!(reason, "no settings of power for jobs");
    }
    let shared = Arc::new(Shared {
        models: ModelDirectory::new(config.models.dir.clone(), Arc::clone(&store)),
        meter: Meter::new(sampler, idle_pace),
        board: Mutex::new(board),
        zones: Zones::find(&host.sysfs, &host.profile.thermal),
        host,
        sensors,
        queue: Queue::default(),
        runner: Pulse::default(),
        rate_limited: AtomicU64::new(0),
        expired: AtomicU64::new(0),
        metrics,
        last_job: Mutex::default(),
        catalogue: Catalogue::new(&config, &identity.device, model_rev),
        power,
        inventory: Inventory::default(),
        tried: confinement::Tried::default(),
        identity,
        store,
        config,
    });
    confinement::try_out(&shared);
    tracing::info!(
        device = shared.identity.device,
        board = shared.host.profile.name,
        rails = shared.meter.sampler().rails().len(),
        "jouled {} starts",
        env!("CARGO_PKG_VERSION")
    );

    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the asynchronous runtime does not start")?
        .block_on(serve(shared, lost))
}

async fn serve(shared: Arc<Shared>, lost: Vec<Recovered>) -> anyhow::Result<()> {
    // Before anything runs that a signal could cut short.
    let terminated = signals::terminated().context("signals")?;
    let mqtt = Arc::new(MqttHandle::start(
        &shared.config.mqtt,
        &shared.config.homeassistant.prefix,
        DeviceIdentity {
            device: shared.identity.device.clone(),
            machine_id: shared.identity.machine_id.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        },
        Arc::clone(&shared.store),
        Arc::new(commands::Commands::new(Arc::clone(&shared))?),
    )?);
    metrics::start(&shared, &mqtt);
    for lost in &lost {
        shared.job_ended(lost.row.state);
        mqtt.event(Event {
            code: "attempt-lost".to_owned(),
            message: format!(
                "attempt {} was running when the daemon ended; the job is {} now",
                lost.lost_attempt,
                lost.row.state.as_str()
            ),
            id: Some(lost.row.id.to_string()),
        });
    }
    for BrokenSensor { name, reason, .. } in shared.sensors.broken() {
        mqtt.event(Event {
            code: "sensor-failed".to_owned(),
            message: format!("{name}: {reason}"),
            id: None,
        });
    }
    let (damage, mut in_doubt) = {
        let store = store::lock(&shared.store);
        (store.damage().to_vec(), store.in_doubt())
    };
    for Damage { message, .. } in damage {
        mqtt.event(Event {
            code: "store-damaged".to_owned(),
            message,
            id: None,
        });
    }
    catalogue::start(&shared, &mqtt).context("no thread to fetch models")?;
    let Running { thread, ended } = runner::start(Arc::clone(&shared), Arc::clone(&mqtt))?;
    let outcome = tokio::select! {
        () = terminated => Ok(()),
        fatal = mqtt.fatal() => Err(anyhow::Error::new(fatal)),
        // Without it no job runs any more; a new start tries again.
        _ = ended => Err(anyhow::anyhow!("the job runner ended in a panic; see the log above")),
        _ = in_doubt.wait_for(|damaged| *damaged) => Err(anyhow::anyhow!(
            "the store is damaged; the next start sets it aside and takes over what can be read"
        )),
        never = publishing::publish(&shared, &mqtt) => match never {},
    };
    tracing::info!("stopping");
    notify::stopping();
    stop(&shared, mqtt, thread).await;
    outcome
}

/// Opens the sensors. Slow ones don't keep the service from being ready: systemd hears it before
/// they are, so that what is to start after it does.
fn open_sensors(config: &Config, host: &Host) -> anyhow::Result<(Vec<Box<dyn Source>>, Sensors)> {
    let mut start = sensors::begin(config, host.profile.known_rails())
        .context("no thread to open the sensors")?;
    let slow = start.wait(READY_WITHIN).join(", ");
    if !slow.is_empty() {
        tracing::info!("waiting for sensors that take their time: {slow}");
        notify::ready(&format!("waiting for sensors: {slow}"));
    }
    Ok(start.finish())
}

/// Puts the running job back into the queue and leaves the broker, within two seconds.
async fn stop(shared: &Shared, mqtt: Arc<MqttHandle>, runner: JoinHandle<()>) {
    shared.queue.stop();
    let ended = tokio::task::spawn_blocking(move || {
        // A panic of it has been logged, and is why the daemon stops.
        let _ = runner.join();
        mqtt.stop(GOODBYE_WITHIN)
    });
    if !matches!(ended.await, Ok(true)) {
        tracing::warn!("the broker did not hear that this board goes offline");
    }
}
