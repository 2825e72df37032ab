//! The rest of the daemon's way to the broker. Nothing here waits for the network.

use super::board::{LiveRecord, Shared};
use super::command::CommandHandler;
use super::connection::{self, Setup};
use super::{MqttConfig, MqttError, Topics};
use crate::pulse::Pulse;
use crate::record::answer::Event;
use crate::store::{Counts, Store};
use std::convert::Infallible;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Who this board is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceIdentity {
    pub device: String,
    pub machine_id: String,
    /// Of jouled.
    pub version: String,
}

/// The connection, for every thread of the daemon.
pub struct MqttHandle {
    shared: Arc<Shared>,
    topics: Topics,
    device: String,
    failed: watch::Receiver<Option<MqttError>>,
    /// Disconnected once the thread has ended.
    thread: Mutex<mpsc::Receiver<Infallible>>,
}

impl MqttHandle {
    /// Starts the thread that connects, and stays connected until
    /// [`stop`](Self::stop). A broker that is away is no error. No answer goes to topics under
    /// `discovery_prefix`.
    pub fn start(
        config: &MqttConfig,
        discovery_prefix: &str,
        identity: DeviceIdentity,
        store: Arc<Mutex<Store>>,
        handler: Arc<dyn CommandHandler>,
    ) -> Result<Self, MqttError> {
        let shared = Arc::new(Shared::default());
        let topics = Topics::new(&config.prefix, &identity.device);
        let topics = topics.with_discovery(discovery_prefix);
        let device = identity.device.clone();
        let broker = config.broker()?;
        for warning in config.warnings() {
            tracing::warn!("{warning}");
        }
        let setup = Setup {
            config: config.clone(),
            client_id: config
                .client_id
                .clone()
                .unwrap_or_else(|| format!("jouled-{device}")),
            topics: topics.clone(),
            identity,
            store,
            handler,
            shared: shared.clone(),
        };
        let (tell, failed) = watch::channel(None);
        let (alive, thread) = mpsc::channel();
        let no_thread = |error: std::io::Error| MqttError::Thread(error.to_string());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .map_err(no_thread)?;
        std::thread::Builder::new()
            .name("mqtt".to_owned())
            .spawn(move || {
                let ended = runtime.block_on(connection::run(&setup, broker));
                if let Err(error) = ended {
                    tell.send_replace(Some(error));
                }
                // The store first: whoever waits for this thread may open it again.
                drop(setup);
                drop::<mpsc::Sender<Infallible>>(alive);
            })
            .map_err(no_thread)?;
        Ok(Self {
            shared,
            topics,
            device,
            failed,
            thread: Mutex::new(thread),
        })
    }

    pub fn topics(&self) -> &Topics {
        &self.topics
    }

    /// Whether there is a connection now.
    pub fn connected(&self) -> bool {
        self.shared.lock().connected
    }

    /// Why there is no connection; `None` before the first answer.
    pub fn trouble(&self) -> Option<String> {
        self.shared.lock().trouble.clone()
    }

    /// Of the thread that owns the connection.
    pub fn pulse(&self) -> &Pulse {
        &self.shared.pulse
    }

    /// `info`, published now and with each new connection.
    pub fn set_info(&self, payload: Vec<u8>) {
        self.shared.change(|board| {
            board.info = Some(payload);
            board.info_due = true;
        });
    }

    /// A retained message outside the board's own topics, published now and with each new
    /// connection. An empty one is forgotten, also by the store, once the broker has it.
    pub fn announce(&self, topic: String, payload: Vec<u8>) {
        self.shared.change(|board| board.announce(topic, payload));
    }

    /// A record that the broker keeps for `expiry_s`, published now and with each new connection.
    pub fn keep(&self, topic: String, payload: Vec<u8>, expiry_s: Option<u32>) {
        self.shared
            .change(|board| board.keep(topic, payload, expiry_s));
    }

    /// The job fields of `status`, which is published when they change.
    pub fn set_jobs(&self, jobs: Counts) {
        self.shared.change(|board| board.set_jobs(jobs));
    }

    /// A record of the running attempt, for those who watch.
    pub fn live(&self, record: LiveRecord) {
        self.shared.change(|board| board.live(record));
    }

    /// `rails/<rail>`.
    pub fn rail(&self, rail: &str, payload: Vec<u8>) {
        let topic = self.topics.rail(rail);
        self.shared.change(|board| board.sample(topic, payload));
    }

    pub fn health(&self, payload: Vec<u8>) {
        let topic = self.topics.health();
        self.shared.change(|board| board.sample(topic, payload));
    }

    pub fn event(&self, event: Event) {
        self.shared.change(|board| board.tell(&self.device, &event));
    }

    /// The store has new records.
    pub fn wake_outbox(&self) {
        self.shared.change(|board| board.outbox_due = true);
    }

    /// While `hold` is true nothing leaves but answers, pings and, when they change, status,
    /// info and the states of models, and nothing is marked in the store: an attempt runs undisturbed.
    pub fn hold(&self, hold: bool) {
        self.shared.change(|board| {
            board.held = hold;
            board.outbox_due |= !hold;
        });
    }

    /// Records of QoS 0 and from memory that were left out since the start.
    pub fn dropped(&self) -> u64 {
        self.shared.lock().dropped
    }

    /// Events that were left out since the start, there being too many of their code.
    pub fn events_left_out(&self) -> u64 {
        self.shared.lock().told.left_out()
    }

    /// Sends what is due, says `offline` and ends the thread; gives up after `patience`.
    /// It blocks, so an async caller runs it on a blocking thread. Returns whether the thread
    /// ended in time.
    pub fn stop(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        self.shared.change(|board| board.stop = Some(deadline));
        // The thread keeps to the deadline itself, but for its last 200 ms of goodbye.
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = thread.recv_timeout(patience + Duration::from_millis(300));
        ended != Err(RecvTimeoutError::Timeout)
    }

    /// Returns when the board must not go on, for instance since its name is taken; never
    /// otherwise.
    pub async fn fatal(&self) -> MqttError {
        let mut failed = self.failed.clone();
        let error = match failed.wait_for(Option::is_some).await {
            Ok(error) => error.clone(),
            // The thread is gone without a word.
            Err(_) => self
                .shared
                .lock()
                .stop
                .is_none()
                .then_some(MqttError::Ended),
        };
        match error {
            Some(error) => error,
            None => std::future::pending().await,
        }
    }
}
