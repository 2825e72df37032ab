//! A broker of a few packets, for what mosquitto can't be made to do.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// What it does to a board that connects. The board's look at `status` before, as a client
/// of its own, goes well where there is MQTT 5 at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Script {
    /// Takes the connection and never says a word.
    Silent,
    /// Answers like a broker that knows no later MQTT than 3.1.1.
    Old,
    /// Says no to the subscription to commands (0x87).
    NoSubscription,
    /// Ends the connection with this reason once the board has subscribed.
    Disconnects(u8),
}

pub struct Scripted {
    pub port: u16,
    connections: Arc<AtomicU32>,
}

impl Scripted {
    /// Plays until the test's process ends.
    pub fn start(script: Script) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let connections = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&connections);
        std::thread::spawn(move || {
            for board in listener.incoming().flatten() {
                counted.fetch_add(1, Ordering::Relaxed);
                // One that closes is done with.
                std::thread::spawn(move || play(script, board).ok());
            }
        });
        Self { port, connections }
    }

    pub fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }

    /// Connections so far.
    pub fn connections(&self) -> u32 {
        self.connections.load(Ordering::Relaxed)
    }
}

fn play(script: Script, mut board: TcpStream) -> std::io::Result<()> {
    let mut looks = false;
    loop {
        let (kind, body) = packet(&mut board)?;
        match (kind, script) {
            (1, Script::Silent) => {}
            // No properties, and return code 1: unacceptable protocol version.
            (1, Script::Old) => return board.write_all(&[0x20, 2, 0, 1]),
            (1, _) => {
                looks = body.windows(6).any(|part| part == b".probe");
                board.write_all(&[0x20, 3, 0, 0, 0])?;
            }
            (8, _) => {
                let code = match script {
                    Script::NoSubscription if !looks => 0x87,
                    _ => 1,
                };
                board.write_all(&[0x90, 4, body[0], body[1], 0, code])?;
                if let Script::Disconnects(reason) = script
                    && !looks
                {
                    return board.write_all(&[0xe0, 2, reason, 0]);
                }
            }
            (14, _) => return Ok(()),
            _ => {}
        }
    }
}

/// Kind and body of the next packet.
fn packet(from: &mut TcpStream) -> std::io::Result<(u8, Vec<u8>)> {
    let mut byte = [0];
    from.read_exact(&mut byte)?;
    let kind = byte[0] >> 4;
    let mut length = 0;
    for shift in [0, 7, 14, 21] {
        from.read_exact(&mut byte)?;
        length |= usize::from(byte[0] & 0x7f) << shift;
        if byte[0] & 0x80 == 0 {
            break;
        }
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body)?;
    Ok((kind, body))
}
