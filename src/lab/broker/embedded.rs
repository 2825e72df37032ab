//! The embedded MQTT 5 broker, for machines without mosquitto. It runs on a thread of its
//! own, so that a long step of `demo` (hashing a model) does not stop the messages.

use crate::lab::LabError;
use mqtt5::broker::config::{StorageBackend, StorageConfig};
use mqtt5::broker::{BrokerConfig, MqttBroker};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc;
use std::thread::JoinHandle;
use tokio::sync::oneshot;

pub struct Embedded {
    /// Sending, or dropping it, ends the broker.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

fn config() -> BrokerConfig {
    let mut config = BrokerConfig {
        bind_addresses: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))],
        storage_config: StorageConfig {
            backend: StorageBackend::Memory,
            enable_persistence: false,
            ..StorageConfig::default()
        },
        sys_topics_enabled: false,
        ..BrokerConfig::default()
    };
    // Only programs of this machine reach 127.0.0.1.
    config.auth_config.allow_anonymous = true;
    config
}

impl Embedded {
    /// Returns the port once the broker listens.
    pub fn start() -> Result<(u16, Self), LabError> {
        let failed = |why: String| LabError::Failed(format!("the embedded broker: {why}"));
        let (stop, stopped) = oneshot::channel();
        let (listening, port) = mpsc::sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("broker".to_owned())
            .spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build();
                match runtime {
                    Ok(runtime) => runtime.block_on(serve(listening, stopped)),
                    Err(error) => {
                        // The other end waits for exactly one message.
                        let _ = listening.send(Err(error.to_string()));
                    }
                }
            })
            .map_err(|error| failed(error.to_string()))?;
        let port = port
            .recv()
            .map_err(|_| failed("it ended at once".to_owned()))?
            .map_err(failed)?;
        let broker = Self {
            stop: Some(stop),
            thread: Some(thread),
        };
        Ok((port, broker))
    }

    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // A panic in the broker was printed by its own thread.
            let _ = thread.join();
        }
    }
}

async fn serve(listening: mpsc::SyncSender<Result<u16, String>>, stopped: oneshot::Receiver<()>) {
    let mut broker = match MqttBroker::with_config(config()).await {
        Ok(broker) => broker,
        Err(error) => {
            let _ = listening.send(Err(error.to_string()));
            return;
        }
    };
    let port = broker
        .local_addr()
        .map(|address| address.port())
        .ok_or_else(|| "it has no address".to_owned());
    let _ = listening.send(port);
    tokio::select! {
        // Its errors end the clients' connections, and those report it.
        _ = broker.run() => {}
        _ = stopped => {}
    }
}
