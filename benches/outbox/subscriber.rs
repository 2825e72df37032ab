//! A subscriber that does nothing but count: one that costs more would be measured itself.
//! It speaks as much of MQTT 5 as it hears, and acknowledges all that one read brought at once.

use anyhow::{Result, bail, ensure};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};

const PUBLISH: u8 = 3;

pub struct Subscriber {
    stream: TcpStream,
    buffer: Vec<u8>,
    filled: usize,
}

impl Subscriber {
    /// Connects and subscribes to these filters with QoS 1.
    pub fn connect(port: u16, filters: &[&str]) -> Result<Self> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        // MQTT 5, clean start, keep-alive off, no properties.
        let mut connect = b"\0\x04MQTT\x05\x02\0\0\0".to_vec();
        put_string(&mut connect, "bench-subscriber");
        stream.write_all(&packet(0x10, &connect))?;
        // Packet id 1, no properties.
        let mut subscribe = vec![0, 1, 0];
        for filter in filters {
            put_string(&mut subscribe, filter);
            subscribe.push(1);
        }
        stream.write_all(&packet(0x82, &subscribe))?;
        Ok(Self {
            stream,
            buffer: vec![0; 1 << 20],
            filled: 0,
        })
    }

    /// Waits for messages and hands each to `take`, topic and payload.
    pub fn read(&mut self, mut take: impl FnMut(&str, &[u8]) -> Result<()>) -> Result<()> {
        let read = self.stream.read(&mut self.buffer[self.filled..])?;
        ensure!(read > 0, "the broker closed the subscriber's connection");
        self.filled += read;
        let mut acks = Vec::new();
        let mut at = 0;
        while let Some((kind, body, end)) = next_packet(&self.buffer[at..self.filled]) {
            if kind >> 4 == PUBLISH {
                let packet = &self.buffer[at + body..at + end];
                publish(kind, packet, &mut acks, &mut take)?;
            }
            at += end;
        }
        ensure!(
            at > 0 || self.filled < self.buffer.len(),
            "a packet of more than 1 MiB"
        );
        self.buffer.copy_within(at..self.filled, 0);
        self.filled -= at;
        self.stream.write_all(&acks)?;
        Ok(())
    }

    /// Lets [`read`](Self::read) fail after so long without a message.
    pub fn give_up_after(&self, patience: std::time::Duration) -> Result<()> {
        Ok(self.stream.set_read_timeout(Some(patience))?)
    }
}

fn publish(
    kind: u8,
    packet: &[u8],
    acks: &mut Vec<u8>,
    take: &mut impl FnMut(&str, &[u8]) -> Result<()>,
) -> Result<()> {
    let topic_end = 2 + usize::from(u16::from_be_bytes([packet[0], packet[1]]));
    let topic = std::str::from_utf8(&packet[2..topic_end])?;
    let mut at = topic_end;
    if kind & 0x06 != 0 {
        acks.extend([0x40, 2, packet[at], packet[at + 1]]);
        at += 2;
    }
    let Some((properties, length)) = varint(&packet[at..]) else {
        bail!("a publish without properties");
    };
    take(topic, &packet[at + length + properties..])
}

/// First byte, where the body begins, and where the packet ends, if all of it is there.
fn next_packet(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let (length, taken) = varint(bytes.get(1..)?)?;
    let end = 1 + taken + length;
    (end <= bytes.len()).then_some((bytes[0], 1 + taken, end))
}

fn varint(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0;
    for (n, byte) in bytes.iter().take(4).enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * n);
        if byte & 0x80 == 0 {
            return Some((value, n + 1));
        }
    }
    None
}

fn packet(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u8::try_from(body.len()).expect("short filters");
    assert!(length < 0x80, "short filters");
    [&[kind, length], body].concat()
}

fn put_string(out: &mut Vec<u8>, text: &str) {
    let length = u16::try_from(text.len()).expect("short names");
    out.extend(length.to_be_bytes());
    out.extend(text.as_bytes());
}
