//! A cable between the board and its broker that a test can cut, block, slow down and cut in
//! the middle of a chosen packet. It passes on whole MQTT packets, so that a test can say
//! which one meets the fault.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};

use super::lab::PATIENCE;

/// First byte of a packet without its flags.
pub const CONNECT: u8 = 1;
pub const PUBLISH: u8 = 3;
pub const PUBACK: u8 = 4;
pub const SUBSCRIBE: u8 = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the board to the broker.
    Up,
    /// From the broker to the board.
    Down,
}

/// What becomes of the bytes of one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    Open,
    /// Taken and thrown away: the connection looks alive.
    Swallow,
    /// Not read: the sender's buffers fill.
    Block,
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// As after a crash of the other side.
    Reset,
    /// As when the other side closes.
    Finish,
}

#[derive(Debug, Clone)]
struct Line {
    up: Flow,
    down: Flow,
    delay: Duration,
    bytes_per_s: Option<u32>,
    refuses: bool,
    cuts: u64,
    how: Cut,
}

impl Line {
    fn flow(&self, direction: Direction) -> Flow {
        match direction {
            Direction::Up => self.up,
            Direction::Down => self.down,
        }
    }
}

type Trap = Box<dyn FnMut(Direction, &[u8]) -> bool + Send>;

#[derive(Default)]
struct Traffic {
    packets: HashMap<(Direction, u8), u64>,
    trap: Option<Trap>,
}

#[derive(Default)]
struct Seen {
    traffic: Mutex<Traffic>,
    changed: Condvar,
}

impl Seen {
    fn traffic(&self) -> MutexGuard<'_, Traffic> {
        self.traffic.lock().expect("no holder of it panics")
    }

    /// Counts a packet. Whether it runs into the trap, which then is gone.
    fn note(&self, direction: Direction, packet: &[u8]) -> bool {
        let mut traffic = self.traffic();
        *traffic
            .packets
            .entry((direction, packet[0] >> 4))
            .or_default() += 1;
        let sprung = traffic
            .trap
            .as_mut()
            .is_some_and(|trap| trap(direction, packet));
        if sprung {
            traffic.trap = None;
        }
        self.changed.notify_all();
        sprung
    }
}

pub struct Proxy {
    pub port: u16,
    line: watch::Sender<Line>,
    seen: Arc<Seen>,
}

impl Proxy {
    /// A cable to the broker on this port of this machine, which need not be there yet.
    pub fn to(broker: u16) -> Self {
        let (line, watched) = watch::channel(Line {
            up: Flow::Open,
            down: Flow::Open,
            delay: Duration::ZERO,
            bytes_per_s: None,
            refuses: false,
            cuts: 0,
            how: Cut::Reset,
        });
        let seen = Arc::new(Seen::default());
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        listener.set_nonblocking(true).expect("a socket");
        let port = listener.local_addr().expect("it is bound").port();
        let shared = Arc::clone(&seen);
        std::thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime")
                .block_on(accept(listener, broker, watched, shared));
        });
        Self { port, line, seen }
    }

    pub fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }

    /// Ends every connection; new ones are possible at once.
    pub fn cut(&self, how: Cut) {
        self.line.send_modify(|line| {
            line.cuts += 1;
            line.how = how;
        });
    }

    pub fn flow(&self, direction: Direction, flow: Flow) {
        self.line.send_modify(|line| match direction {
            Direction::Up => line.up = flow,
            Direction::Down => line.down = flow,
        });
    }

    /// Both directions, for bytes that come from now on.
    pub fn slow(&self, delay: Duration, bytes_per_s: u32) {
        self.line.send_modify(|line| {
            line.delay = delay;
            line.bytes_per_s = Some(bytes_per_s);
        });
    }

    /// Resets new connections from now on.
    pub fn refuse(&self) {
        self.line.send_modify(|line| line.refuses = true);
    }

    /// Everything flows again, for old connections and new ones.
    pub fn heal(&self) {
        self.line.send_modify(|line| {
            line.up = Flow::Open;
            line.down = Flow::Open;
            line.delay = Duration::ZERO;
            line.bytes_per_s = None;
            line.refuses = false;
        });
    }

    /// Cuts a connection once half of the first packet that fits has passed on it.
    pub fn trap(&self, fits: impl FnMut(Direction, &[u8]) -> bool + Send + 'static) {
        self.seen.traffic().trap = Some(Box::new(fits));
    }

    /// Waits until a packet has run into the trap.
    pub fn wait_sprung(&self) {
        self.wait("the trapped packet", |traffic| traffic.trap.is_none());
    }

    /// Packets of a kind that the board or the broker has sent so far.
    pub fn packets(&self, direction: Direction, kind: u8) -> u64 {
        let traffic = self.seen.traffic();
        traffic
            .packets
            .get(&(direction, kind))
            .copied()
            .unwrap_or(0)
    }

    pub fn wait_packets(&self, direction: Direction, kind: u8, at_least: u64) {
        self.wait("more packets", |traffic| {
            traffic.packets.get(&(direction, kind)).copied() >= Some(at_least)
        });
    }

    fn wait(&self, what: &str, reached: impl Fn(&Traffic) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        let mut traffic = self.seen.traffic();
        while !reached(&traffic) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "waited for {what} in vain");
            traffic = self
                .seen
                .changed
                .wait_timeout(traffic, left)
                .expect("no holder of it panics")
                .0;
        }
    }
}

/// Topic of a PUBLISH.
pub fn topic_of(publish: &[u8]) -> &[u8] {
    let start = body(publish);
    &publish[start + 2..][..length_of_topic(publish, start)]
}

/// Packet id of a PUBACK, or of a PUBLISH with QoS 1.
pub fn packet_id(packet: &[u8]) -> [u8; 2] {
    let start = body(packet);
    let at = match packet[0] >> 4 {
        PUBLISH => start + 2 + length_of_topic(packet, start),
        _ => start,
    };
    [packet[at], packet[at + 1]]
}

fn length_of_topic(publish: &[u8], start: usize) -> usize {
    usize::from(u16::from_be_bytes([publish[start], publish[start + 1]]))
}

/// Where a packet goes on after its length.
fn body(packet: &[u8]) -> usize {
    let length = packet[1..].iter().position(|byte| byte & 0x80 == 0);
    2 + length.expect("a whole packet")
}

/// Until the proxy is dropped.
async fn accept(
    listener: std::net::TcpListener,
    broker: u16,
    mut line: watch::Receiver<Line>,
    seen: Arc<Seen>,
) {
    let listener = TcpListener::from_std(listener).expect("a socket");
    loop {
        let board = tokio::select! {
            accepted = listener.accept() => accepted.expect("a connection").0,
            dropped = line.changed() => match dropped {
                Ok(()) => continue,
                Err(_) => return,
            },
        };
        if line.borrow().refuses {
            let _ = board.set_zero_linger();
            continue;
        }
        let Ok(broker) = TcpStream::connect((Ipv4Addr::LOCALHOST, broker)).await else {
            let _ = board.set_zero_linger();
            continue;
        };
        let _ = (board.set_nodelay(true), broker.set_nodelay(true));
        tokio::spawn(connection(board, broker, line.clone(), Arc::clone(&seen)));
    }
}

async fn connection(
    board: TcpStream,
    broker: TcpStream,
    line: watch::Receiver<Line>,
    seen: Arc<Seen>,
) {
    let cuts = line.borrow().cuts;
    let mut cut = line.clone();
    let (from_board, mut to_board) = board.into_split();
    let (from_broker, mut to_broker) = broker.into_split();
    let how = tokio::select! {
        how = pass(Direction::Up, from_board, &mut to_broker, line.clone(), &seen) => how,
        how = pass(Direction::Down, from_broker, &mut to_board, line, &seen) => how,
        cut = cut.wait_for(|line| line.cuts != cuts) => match cut {
            Ok(line) => line.how,
            Err(_) => Cut::Finish,
        },
    };
    for end in [&to_board, &to_broker] {
        if how == Cut::Reset {
            let _ = end.as_ref().set_zero_linger();
        }
    }
}

/// Passes packets on until one side ends, or a packet meets the trap.
async fn pass(
    direction: Direction,
    mut from: OwnedReadHalf,
    to: &mut OwnedWriteHalf,
    mut line: watch::Receiver<Line>,
    seen: &Seen,
) -> Cut {
    let (out, mut travelling) = mpsc::channel::<(Instant, Vec<u8>)>(32);
    let mut meter = line.clone();
    let read = async move {
        let mut bytes = Vec::new();
        loop {
            match from.read_buf(&mut bytes).await {
                Ok(read) if read > 0 => {}
                _ => return Cut::Finish,
            }
            let open = |line: &Line| line.flow(direction) != Flow::Block;
            let Ok(delay) = line.wait_for(open).await.map(|line| line.delay) else {
                return Cut::Finish;
            };
            while let Some(length) = packet_length(&bytes) {
                let rest = bytes.split_off(length);
                let mut packet = std::mem::replace(&mut bytes, rest);
                if line.borrow().flow(direction) == Flow::Swallow {
                    continue;
                }
                let sprung = seen.note(direction, &packet);
                if sprung {
                    packet.truncate(length / 2);
                }
                let due = Instant::now() + delay;
                if out.send((due, packet)).await.is_err() {
                    return Cut::Finish;
                }
                if sprung {
                    return Cut::Reset;
                }
            }
        }
    };
    let write = async {
        while let Some((due, packet)) = travelling.recv().await {
            tokio::time::sleep_until(due.into()).await;
            for piece in packet.chunks(1_024) {
                let speed = meter.borrow_and_update().bytes_per_s;
                if let Some(speed) = speed {
                    let takes = piece.len() as f64 / f64::from(speed);
                    tokio::time::sleep(Duration::from_secs_f64(takes)).await;
                }
                if to.write_all(piece).await.is_err() {
                    // What still comes has nowhere to go.
                    travelling.close();
                    return;
                }
            }
        }
    };
    // What was read before the end leaves before the end.
    tokio::join!(read, write).0
}

/// Length of the first packet, once all of it is there.
fn packet_length(bytes: &[u8]) -> Option<usize> {
    let mut length = 0;
    for (index, byte) in bytes.get(1..)?.iter().take(4).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            let whole = 2 + index + length;
            return (bytes.len() >= whole).then_some(whole);
        }
    }
    None
}
