//! An invented board: it answers commands by the contract and publishes the canned records.
//! The job `dies` fails, the job `endless` never ends, every other succeeds at once.

use crate::canned;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Packet, Publish, PublishProperties};
use rumqttc::v5::{AsyncClient, Event, EventLoop, MqttOptions};
use serde_json::{Value, json};
use tokio::sync::mpsc;

pub struct Board {
    task: tokio::task::JoinHandle<()>,
    jobs: mpsc::UnboundedReceiver<String>,
}

impl Board {
    /// Returns once its status is online.
    pub async fn start(port: u16, name: &str) -> Self {
        let mut options = MqttOptions::new(name, "127.0.0.1", port);
        options.set_max_packet_size(Some(1024 * 1024));
        let (client, mut events) = AsyncClient::new(options, 256);
        let commands = format!("jouled/{name}/cmd/#");
        client.subscribe(commands, QoS::AtLeastOnce).await.unwrap();
        let status = json!({"state": "online", "version": "0.1.0", "machine_id": "m",
            "since": "2026-11-21T10:00:00Z", "jobs_queued": 0, "job_running": null});
        let topic = format!("jouled/{name}/status");
        client
            .publish(topic, QoS::AtLeastOnce, true, status.to_string())
            .await
            .unwrap();
        while !matches!(
            events.poll().await.unwrap(),
            Event::Incoming(Packet::PubAck(_))
        ) {}
        let (sender, jobs) = mpsc::unbounded_channel();
        let task = tokio::spawn(serve(name.to_owned(), client, events, sender));
        Self { task, jobs }
    }

    /// Waits for the next job and returns its id.
    pub async fn took_job(&mut self) -> String {
        self.jobs.recv().await.expect("the board lives")
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    name: String,
    client: AsyncClient,
    mut events: EventLoop,
    jobs: mpsc::UnboundedSender<String>,
) {
    // Ends with the broker.
    while let Ok(event) = events.poll().await {
        let Event::Incoming(Packet::Publish(publish)) = event else {
            continue;
        };
        let topic = String::from_utf8_lossy(&publish.topic).into_owned();
        let body: Value = serde_json::from_slice(&publish.payload).unwrap_or_default();
        let id = body["id"].as_str().unwrap_or_default().to_owned();
        let answer = match topic.rsplit('/').next() {
            Some("submit") => json!({"ok": true, "id": id, "state": "queued"}),
            Some("cancel") if id == "nobody" => json!({"ok": false, "error": {
                "code": "unknown-job", "message": "there is no such job", "field": "id"}}),
            Some("cancel") => json!({"ok": true, "id": id, "state": "cancelled"}),
            Some("jobs") => json!({"ok": true, "jobs": [{"id": "smol-0", "attempt": 1,
                "rev": 4, "state": "succeeded", "phase": null, "progress": null,
                "reason": null}]}),
            _ => continue,
        };
        reply(&client, &publish, &answer);
        if topic.ends_with("/submit") {
            run(&client, &name, &id);
            let _ = jobs.send(id);
        }
    }
}

fn reply(client: &AsyncClient, request: &Publish, answer: &Value) {
    let asked = request.properties.clone().unwrap_or_default();
    let Some(topic) = asked.response_topic else {
        return;
    };
    let properties = PublishProperties {
        correlation_data: asked.correlation_data,
        ..PublishProperties::default()
    };
    let payload = answer.to_string();
    client
        .try_publish_with_properties(topic, QoS::AtLeastOnce, false, payload, properties)
        .unwrap();
}

fn run(client: &AsyncClient, device: &str, id: &str) {
    let publish = |leaf: &str, retain: bool, payload: Vec<u8>| {
        let topic = format!("jouled/{device}/jobs/{id}/{leaf}");
        client
            .try_publish(topic, QoS::AtLeastOnce, retain, payload)
            .unwrap();
    };
    let state = |rev: u64, state: &str, phase: Option<&str>, reason: Option<&str>| {
        let record = json!({"id": id, "attempt": 1, "rev": rev, "state": state,
            "phase": phase, "progress": 0.5, "reason": reason});
        publish("state", true, record.to_string().into_bytes());
    };
    state(1, "queued", None, None);
    state(2, "running", None, None);
    if id == "endless" {
        return;
    }
    state(3, "running", Some("decode"), None);
    if id == "dies" {
        let mut failed = canned::result(device, id);
        failed.body.state = jouled::workload::JobState::Failed;
        failed.body.reason = Some("the worker was ended by SIGKILL".to_owned());
        failed.body.reps.clear();
        failed.body.summary = None;
        publish("result", true, failed.to_json());
        state(4, "failed", None, Some("the worker was ended by SIGKILL"));
        return;
    }
    for tokens in canned::tokens(device, id) {
        publish("tokens", false, tokens.to_json());
    }
    for chunk in canned::trace(device, id) {
        publish("trace", false, chunk.to_json());
    }
    let mut result = serde_json::to_value(canned::result(device, id)).unwrap();
    result["from_the_future"] = json!(true);
    publish("result", true, result.to_string().into_bytes());
    state(4, "succeeded", None, None);
}
