//! The link against a broker that does what mosquitto never would.

use super::super::MqttConfig;
use super::*;
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

/// A packet of less than 128 bytes: its first byte and its body.
fn read(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let mut head = [0; 2];
    stream.read_exact(&mut head).ok()?;
    assert!(head[1] < 0x80, "a long packet");
    let mut body = vec![0; usize::from(head[1])];
    stream.read_exact(&mut body).ok()?;
    Some((head[0], body))
}

/// The packet id of a publish with QoS 1.
fn packet_id(body: &[u8]) -> [u8; 2] {
    let topic = usize::from(u16::from_be_bytes([body[0], body[1]]));
    [body[2 + topic], body[3 + topic]]
}

/// A broker with these properties in its answer; `serve` has the connection after that.
fn broker(properties: &[u8], serve: impl FnOnce(TcpStream) + Send + 'static) -> Broker {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("mqtt://127.0.0.1:{}", listener.local_addr().unwrap().port());
    let mut connack = vec![
        0x20,
        3 + properties.len() as u8,
        0,
        0,
        properties.len() as u8,
    ];
    connack.extend(properties);
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        read(&mut stream).unwrap();
        stream.write_all(&connack).unwrap();
        serve(stream);
    });
    let config = MqttConfig {
        url,
        ..MqttConfig::default()
    };
    config.broker().unwrap()
}

async fn connect(broker: &Broker) -> Link {
    let greeting = Greeting {
        client_id: "board".to_owned(),
        session_expiry_s: None,
        will: None,
    };
    Link::connect(broker, &greeting).await.unwrap()
}

fn message() -> OutMessage {
    OutMessage {
        topic: "t".to_owned(),
        payload: b"x".to_vec(),
        ..OutMessage::default()
    }
}

/// Acknowledges four at a time, the last first; the `refused`th of all with 0x97.
fn acknowledge_backwards(mut stream: TcpStream, refused: usize) {
    let mut waiting = Vec::new();
    let mut seen = 0;
    while let Some((kind, body)) = read(&mut stream) {
        if kind >> 4 != 3 {
            continue;
        }
        waiting.push(packet_id(&body));
        if waiting.len() == 4 {
            for id in waiting.drain(..).rev() {
                let reason = if seen == refused { 0x97 } else { 0 };
                let ack = [0x40, 4, id[0], id[1], reason, 0];
                // One by one: the next publish may meet an id that is still in use.
                stream.write_all(&ack).unwrap();
                seen += 1;
            }
        }
    }
}

#[tokio::test]
async fn every_publish_gets_its_own_verdict_also_from_a_broker_that_mixes_them_up() {
    // Receive maximum 4.
    let broker = broker(&[0x21, 0, 4], |stream| acknowledge_backwards(stream, 8));
    let mut link = connect(&broker).await;
    assert_eq!(link.window(), 4);
    let mut sent = 0;
    let mut open = BTreeSet::new();
    let mut refused = 0;
    while sent < 40 || !open.is_empty() {
        while sent < 40 && link.in_flight() < link.window() {
            link.publish(sent, message()).unwrap();
            open.insert(sent);
            sent += 1;
        }
        match link.next().await {
            LinkEvent::Acked(token, verdict) => {
                assert!(open.remove(&token), "{token} twice");
                refused += usize::from(verdict == Verdict::Later("quota exceeded (0x97)"));
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(refused, 1);
}

#[tokio::test]
async fn what_is_too_large_for_the_broker_is_known_before_it_is_sent() {
    // Maximum packet size 200.
    let broker = broker(
        &[0x27, 0, 0, 0, 200],
        |mut stream| {
            while read(&mut stream).is_some() {}
        },
    );
    let link = connect(&broker).await;
    let of = |bytes| OutMessage {
        payload: vec![0; bytes],
        ..message()
    };
    assert!(link.fits(&of(100)));
    assert!(!link.fits(&of(200)));
}

#[tokio::test]
async fn a_network_that_takes_nothing_is_told_and_not_waited_for() {
    let (keep, kept) = std::sync::mpsc::channel();
    let broker = broker(&[], move |stream| keep.send(stream).unwrap());
    let mut link = connect(&broker).await;
    let _stream = kept.recv().unwrap();
    // The poll task does not run in between.
    for token in 0..REQUESTS as u64 {
        link.publish(token, message()).unwrap();
    }
    assert!(link.publish(0, message()).is_err());
}

#[tokio::test]
async fn a_lost_connection_is_told_and_leaves_no_verdict() {
    let broker = broker(&[], |mut stream| {
        read(&mut stream);
    });
    let mut link = connect(&broker).await;
    link.publish(1, message()).unwrap();
    assert!(matches!(link.next().await, LinkEvent::Lost(_)));
    assert_eq!(link.in_flight(), 1);
}
