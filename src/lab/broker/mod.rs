//! A broker of our own for `joulectl demo`: the machine's mosquitto, started as a child with
//! a private configuration, or else an embedded one. Either listens on a free loopback port
//! only and keeps nothing on disk.

#[cfg(feature = "broker")]
mod embedded;
mod mosquitto;

use super::LabError;
use std::path::Path;

/// Which broker to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Choice {
    /// mosquitto where it is installed, else the embedded one
    Auto,
    Mosquitto,
    Embedded,
}

/// A running broker. It ends with [`Broker::stop`], at the latest when it is dropped.
pub struct Broker {
    port: u16,
    running: Running,
}

enum Running {
    Mosquitto(Box<mosquitto::Mosquitto>),
    #[cfg(feature = "broker")]
    Embedded(embedded::Embedded),
}

impl Broker {
    /// Starts a broker and returns when it accepts connections. `dir` takes the
    /// configuration and the log of a mosquitto.
    pub async fn start(choice: Choice, dir: &Path) -> Result<Self, LabError> {
        let found = match choice {
            Choice::Embedded => None,
            Choice::Auto | Choice::Mosquitto => mosquitto::find(),
        };
        if let Some(program) = found {
            let (port, child) = mosquitto::Mosquitto::start(&program, dir).await?;
            return Ok(Self {
                port,
                running: Running::Mosquitto(Box::new(child)),
            });
        }
        if choice == Choice::Mosquitto {
            return Err(LabError::Unreachable(
                "mosquitto is not installed (looked in PATH and /usr/sbin); install it with \
                 `apt-get install mosquitto`, or leave --with-broker out"
                    .to_owned(),
            ));
        }
        Self::start_embedded()
    }

    #[cfg(feature = "broker")]
    fn start_embedded() -> Result<Self, LabError> {
        let (port, broker) = embedded::Embedded::start()?;
        Ok(Self {
            port,
            running: Running::Embedded(broker),
        })
    }

    #[cfg(not(feature = "broker"))]
    fn start_embedded() -> Result<Self, LabError> {
        Err(LabError::Unreachable(
            "mosquitto is not installed and this joulectl was built without the embedded \
             broker; install mosquitto, or build with the feature `broker`"
                .to_owned(),
        ))
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What it is, for the person who watches.
    pub fn describe(&self) -> String {
        match &self.running {
            Running::Mosquitto(child) => child.program().display().to_string(),
            #[cfg(feature = "broker")]
            Running::Embedded(_) => "embedded".to_owned(),
        }
    }

    pub async fn stop(self) {
        match self.running {
            Running::Mosquitto(child) => child.stop().await,
            #[cfg(feature = "broker")]
            Running::Embedded(broker) => broker.stop(),
        }
    }
}
