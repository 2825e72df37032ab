//! The line to one or several meters: a serial port or a TCP connection, one question at a
//! time.
//!
//! RTU answers carry no number that ties them to a question, and a gateway may mix them up
//! under TCP. So after anything but a good answer the line is closed, opened again and, if it
//! is serial, listened to until nothing comes any more; then the first question to a unit has
//! another length than those that follow, so that a late answer to an old question shows by
//! its length and can't be taken for the new one's.

use super::fault::{Exception, Fault, FaultKind};
use super::listening::{Listening, Unsolicited};
use super::map::Block;
use super::register::Function;
use crate::clock;
use crate::sensor::Parity;
use crate::units::{MonoNs, Span};
use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use tokio_modbus::client::{Client, Context, rtu, tcp};
use tokio_modbus::slave::SlaveContext;
use tokio_modbus::{ProtocolError, Request, Response, Slave};
use tokio_serial::{SerialPortBuilderExt, SerialStream};

/// A line that still speaks after this many response times is not silent at all.
const PATIENCE: u32 = 3;

/// Where a line leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    Tcp {
        endpoint: String,
    },
    Rtu {
        device: String,
        baud: u32,
        parity: Parity,
    },
}

impl Address {
    pub fn name(&self) -> &str {
        match self {
            Address::Tcp { endpoint } => endpoint,
            Address::Rtu { device, .. } => device,
        }
    }

    /// How long `characters` take on the wire.
    pub fn wire_time(&self, characters: f64) -> Span {
        match self {
            Address::Tcp { .. } => Span(0),
            Address::Rtu { baud, parity, .. } => {
                let bits = if *parity == Parity::None { 10.0 } else { 11.0 };
                Span::from_secs_f64(characters * bits / f64::from(*baud))
            }
        }
    }

    /// Silence that separates frames: 3.5 characters, from 19200 baud on 1.75 ms (Modbus over
    /// serial line 2.5.1.1).
    pub fn frame_gap(&self) -> Span {
        match self {
            Address::Rtu { baud, .. } if *baud > 19_200 => Span::from_micros(1750),
            _ => self.wire_time(3.5),
        }
    }

    fn settings(&self) -> &'static str {
        match self {
            Address::Tcp { .. } => "unit and endpoint",
            Address::Rtu { .. } => "unit, baud and parity",
        }
    }
}

/// What is asked.
#[derive(Debug, Clone)]
pub(super) struct Question {
    pub unit: u8,
    pub function: Function,
    pub block: Block,
    /// A question of another length, for the first after the line was opened.
    pub opening: Option<Block>,
    pub timeout: Span,
    /// Least silence before it.
    pub pause: Span,
}

/// As many registers as were asked for.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answer {
    /// The middle of the exchange.
    pub at: MonoNs,
    pub took: Span,
    pub words: Vec<u16>,
}

pub(super) struct Line {
    address: Address,
    runtime: Runtime,
    context: Option<Context>,
    /// Units that have answered an opening question since the line was opened.
    in_step: BTreeSet<u8>,
    /// When the last exchange ended.
    quiet_since: MonoNs,
}

static LINES: Mutex<Vec<Weak<Mutex<Line>>>> = Mutex::new(Vec::new());

/// The line to `address`. Meters on one serial port or behind one gateway share it.
pub(super) fn shared(address: &Address) -> Result<Arc<Mutex<Line>>, String> {
    // Nothing behind these locks is left half-changed by a panic.
    let mut lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    lines.retain(|line| line.strong_count() > 0);
    for line in lines.iter().filter_map(Weak::upgrade) {
        let known = line
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .address
            .clone();
        if known == *address {
            return Ok(line);
        }
        if known.name() == address.name() {
            return Err(format!(
                "{}: another sensor uses it with other settings: every meter on a serial line \
                 must have the same baud and parity",
                address.name()
            ));
        }
    }
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("{}: {error}", address.name()))?;
    let line = Arc::new(Mutex::new(Line {
        address: address.clone(),
        runtime,
        context: None,
        in_step: BTreeSet::new(),
        quiet_since: MonoNs(0),
    }));
    lines.push(Arc::downgrade(&line));
    Ok(line)
}

impl Line {
    /// Asks and waits for the answer. Whatever is returned as one came after the question,
    /// from the right unit, with the right function and length.
    pub fn ask(&mut self, question: &Question) -> Result<Answer, Fault> {
        // Kept open only when all went well, or the meter itself refused.
        let open = self.context.take();
        if open.is_none() {
            self.in_step.clear();
        }
        self.attempt(open, question).map_err(|kind| Fault {
            line: self.address.name().to_owned(),
            unit: question.unit,
            kind,
        })
    }

    fn attempt(&mut self, open: Option<Context>, question: &Question) -> Result<Answer, FaultKind> {
        let mut context = match open {
            Some(context) => context,
            None => self.open(question.timeout)?,
        };
        let answer = self.exchange_in_step(&mut context, question);
        if matches!(answer, Ok(_) | Err(FaultKind::Refused { .. })) {
            self.context = Some(context);
        }
        answer
    }

    fn exchange_in_step(
        &mut self,
        context: &mut Context,
        question: &Question,
    ) -> Result<Answer, FaultKind> {
        if let Some(opening) = question.opening
            && !self.in_step.contains(&question.unit)
        {
            self.exchange(context, question, opening)?;
            self.in_step.insert(question.unit);
        }
        self.exchange(context, question, question.block)
    }

    fn open(&self, within: Span) -> Result<Context, FaultKind> {
        let within = Duration::from_nanos(within.0);
        self.runtime.block_on(async {
            match &self.address {
                Address::Tcp { endpoint } => {
                    let stream = connect(endpoint, within).await?;
                    Ok(tcp::attach(Listening(stream)))
                }
                Address::Rtu {
                    device,
                    baud,
                    parity,
                } => {
                    let mut port = open_port(device, *baud, *parity)?;
                    wait_for_silence(&mut port, within).await?;
                    Ok(rtu::attach(Listening(port)))
                }
            }
        })
    }

    fn exchange(
        &mut self,
        context: &mut Context,
        question: &Question,
        block: Block,
    ) -> Result<Answer, FaultKind> {
        context.set_slave(Slave(question.unit));
        let request = match question.function {
            Function::Holding => Request::ReadHoldingRegisters(block.address, block.count),
            Function::Input => Request::ReadInputRegisters(block.address, block.count),
        };
        let within = Duration::from_nanos(question.timeout.0);
        let pause = question.pause.max(self.address.frame_gap());
        let silent = clock::now().since(self.quiet_since);
        let mut began = MonoNs(0);
        let outcome = self.runtime.block_on(async {
            // Not a plain sleep: what comes in meanwhile must be seen before the question.
            if silent < pause {
                tokio::time::sleep(Duration::from_nanos(pause.0 - silent.0)).await;
            }
            tokio::task::yield_now().await;
            began = clock::now();
            timeout(within, context.call(request)).await
        });
        self.quiet_since = clock::now();
        let took = self.quiet_since.since(began);
        let at = began + Span(took.0 / 2);
        let Ok(outcome) = outcome else {
            return Err(FaultKind::Timeout {
                timeout_ms: within.as_millis() as u64,
                settings: self.address.settings(),
            });
        };
        match outcome {
            Ok(Ok(response)) => match (question.function, response) {
                (Function::Holding, Response::ReadHoldingRegisters(words))
                | (Function::Input, Response::ReadInputRegisters(words)) => {
                    if words.len() == usize::from(block.count) {
                        Ok(Answer { at, took, words })
                    } else {
                        Err(FaultKind::Length {
                            asked: block.count,
                            answered: words.len(),
                        })
                    }
                }
                (_, other) => Err(FaultKind::Mismatch(format!("{other:?}"))),
            },
            Ok(Err(code)) => Err(FaultKind::Refused {
                first: block.address,
                last: block.address + (block.count - 1),
                exception: Exception::from(u8::from(code)),
            }),
            Err(tokio_modbus::Error::Protocol(error)) => Err(FaultKind::Mismatch(match error {
                ProtocolError::HeaderMismatch { message, .. } => message,
                ProtocolError::FunctionCodeMismatch { request, .. } => {
                    format!("it does not answer function {request}")
                }
            })),
            Err(tokio_modbus::Error::Transport(error)) => Err(broken(&error)),
        }
    }
}

fn broken(error: &io::Error) -> FaultKind {
    match error.get_ref() {
        Some(inner) if inner.is::<Unsolicited>() => FaultKind::Unsolicited,
        _ => FaultKind::Broken(error.to_string()),
    }
}

async fn connect(endpoint: &str, within: Duration) -> Result<TcpStream, FaultKind> {
    let stream = match timeout(within, TcpStream::connect(endpoint)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
            let hint = "connection refused; is Modbus TCP switched on, and on this port?";
            return Err(FaultKind::Open(hint.to_owned()));
        }
        Ok(Err(error)) => return Err(FaultKind::Open(error.to_string())),
        Err(_) => {
            return Err(FaultKind::Open(format!(
                "no connection within {} ms; is the meter on, and the address right?",
                within.as_millis()
            )));
        }
    };
    // A question is one small packet: it must not wait for more.
    let prompt = stream.set_nodelay(true);
    prompt.map_err(|error| FaultKind::Open(error.to_string()))?;
    Ok(stream)
}

fn open_port(device: &str, baud: u32, parity: Parity) -> Result<SerialStream, FaultKind> {
    let parity = match parity {
        Parity::None => tokio_serial::Parity::None,
        Parity::Even => tokio_serial::Parity::Even,
        Parity::Odd => tokio_serial::Parity::Odd,
    };
    let port = tokio_serial::new(device, baud)
        .parity(parity)
        .open_native_async();
    port.map_err(|error| {
        let hint = match error.kind() {
            tokio_serial::ErrorKind::NoDevice
            | tokio_serial::ErrorKind::Io(io::ErrorKind::NotFound) => {
                "; is the adapter plugged in?"
            }
            tokio_serial::ErrorKind::Io(io::ErrorKind::PermissionDenied) => {
                "; let the user that runs jouled into the group that owns it (dialout)"
            }
            _ => "",
        };
        FaultKind::Open(format!("{error}{hint}"))
    })
}

/// Throws away what comes in until nothing has come for a whole response time.
async fn wait_for_silence(port: &mut SerialStream, quiet: Duration) -> Result<(), FaultKind> {
    let give_up = Instant::now() + quiet * PATIENCE;
    let mut bytes = [0; 256];
    loop {
        match timeout(quiet, port.read(&mut bytes)).await {
            Err(_) => return Ok(()),
            Ok(Ok(0)) => return Err(FaultKind::Open("the port is gone".to_owned())),
            Ok(Ok(_)) if Instant::now() > give_up => return Err(FaultKind::Noise),
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(FaultKind::Open(error.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rtu(baud: u32, parity: Parity) -> Address {
        Address::Rtu {
            device: "/dev/ttyTEST".into(),
            baud,
            parity,
        }
    }

    #[test]
    fn frames_are_apart_by_three_and_a_half_characters() {
        assert_eq!(rtu(9600, Parity::None).frame_gap(), Span(3_645_833));
        assert_eq!(rtu(2400, Parity::Even).frame_gap(), Span(16_041_667));
        assert_eq!(rtu(115_200, Parity::None).frame_gap(), Span(1_750_000));
        let tcp = Address::Tcp {
            endpoint: "a:502".into(),
        };
        assert_eq!(tcp.frame_gap(), Span(0));
    }

    #[test]
    fn meters_on_one_port_share_it_and_its_settings() {
        let first = shared(&rtu(9600, Parity::None)).unwrap();
        let second = shared(&rtu(9600, Parity::None)).unwrap();
        assert!(Arc::ptr_eq(&first, &second));
        let error = shared(&rtu(2400, Parity::None)).err().unwrap();
        assert!(error.contains("same baud and parity"), "{error}");
        drop((first, second));
        assert!(shared(&rtu(2400, Parity::None)).is_ok());
    }

    #[test]
    fn a_port_that_is_not_there_says_so() {
        let line = shared(&Address::Rtu {
            device: "/nowhere/ttyUSB0".into(),
            baud: 9600,
            parity: Parity::None,
        });
        let block = Block {
            address: 0,
            count: 2,
        };
        let question = Question {
            unit: 3,
            function: Function::Input,
            block,
            opening: None,
            timeout: Span::from_millis(10),
            pause: Span(0),
        };
        let fault = line.unwrap().lock().unwrap().ask(&question).unwrap_err();
        let text = fault.to_string();
        assert!(
            text.starts_with("/nowhere/ttyUSB0, unit 3: can't be opened"),
            "{text}"
        );
        assert!(text.contains("plugged in"), "{text}");
    }
}
