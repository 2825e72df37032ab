//! A broker that holds a backlog of token records for a collector.

use super::rig;
use anyhow::{Context, Result, ensure};
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::Packet;
use rumqttc::v5::{Client, Event, MqttOptions};
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Publishes in flight.
const WINDOW: usize = 200;

/// What waits at the broker.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    pub records: usize,
    /// Of a record.
    pub tokens: usize,
    pub boards: usize,
    /// Token records of a job.
    pub per_job: usize,
}

/// A mosquitto on one CPU that drops nothing, with so many messages in flight.
pub fn broker(dir: &Path, port: u16, in_flight: u32, cpu: usize) -> Result<rig::Owned> {
    let config = dir.join("mosquitto.conf");
    let text = format!(
        "listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nuser root\n\
         max_queued_messages 0\nmax_inflight_messages {in_flight}\nset_tcp_nodelay true\n"
    );
    std::fs::write(&config, text)?;
    let child = Command::new("taskset")
        .args(["-c", &cpu.to_string(), "/usr/sbin/mosquitto", "-c"])
        .arg(&config)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("mosquitto is installed: apt-get install mosquitto")?;
    let broker = rig::Owned(child);
    for _ in 0..200 {
        if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return Ok(broker);
        }
        std::thread::sleep(Duration::from_millis(25));
    }
    anyhow::bail!("mosquitto does not listen")
}

/// Publishes the load, and comes back when the broker has taken all of it.
pub fn publish(port: u16, load: Load, template: &Value) -> Result<u64> {
    let mut options = MqttOptions::new("boards", "127.0.0.1", port);
    options.set_keep_alive(Duration::from_secs(60));
    options.set_outgoing_inflight_upper_limit(WINDOW as u16);
    let (client, mut connection) = Client::new(options, WINDOW);
    let messages = messages(load, template);
    let count = messages.len();
    let bytes = messages.iter().map(|(_, payload)| payload.len() as u64);
    let bytes = bytes.sum();
    let sender = std::thread::spawn(move || -> Result<()> {
        for (topic, payload) in messages {
            client.publish(topic, QoS::AtLeastOnce, false, payload)?;
        }
        Ok(())
    });
    let mut taken = 0;
    for event in connection.iter() {
        if let Event::Incoming(Packet::PubAck(_)) = event? {
            taken += 1;
            if taken == count {
                break;
            }
        }
    }
    ensure!(
        sender.join().is_ok_and(|sent| sent.is_ok()),
        "not all was sent"
    );
    Ok(bytes)
}

fn messages(load: Load, template: &Value) -> Vec<(String, Vec<u8>)> {
    let mut messages = Vec::new();
    for n in 0..load.records {
        let (job, seq) = (n / load.per_job, n % load.per_job);
        let (device, id) = (
            format!("bench-{:02}", job % load.boards),
            format!("job-{job}"),
        );
        let tokens: Vec<Value> = (0..load.tokens)
            .map(|i| {
                // Digits as a board's.
                let x = ((n * 31 + i * 17) % 9_973) as f64 / 9_973.0;
                json!({"i": seq * load.tokens + i, "t_s": 0.31 + i as f64 * 0.041_7 + x * 1e-3,
                       "energy_j": 0.24 + x * 0.03, "energy_j_u95": 0.005_3 + x * 1e-3,
                       "u_ran_j": 0.002_1 + x * 1e-4, "power_w": 6.2 + x})
            })
            .collect();
        let record = json!({
            "v": 1, "device": device, "time": "2026-11-22T10:00:00.000Z",
            "mono_ns": 1_000_000_000_000_u64 + n as u64, "clock_sync": true,
            "boot_id": "6c0f1a52-7d0e-4c5a-9b9a-0d6f5c1e2b3a", "id": id, "attempt": 1, "rep": 1,
            "seq": seq, "resolved": true, "u_sys_rel": 0.007_3, "tokens": tokens,
        });
        let topic = format!("jouled/{device}/jobs/{id}");
        messages.push((format!("{topic}/tokens"), record.to_string().into_bytes()));
        if seq + 1 == load.per_job {
            let mut result = template.clone();
            result["device"] = json!(device);
            result["id"] = json!(id);
            result["records"] = json!({"tokens": load.per_job, "trace": 0});
            messages.push((format!("{topic}/result"), result.to_string().into_bytes()));
        }
    }
    messages
}
