//! docs/asyncapi.yaml, an AsyncAPI 3.0 document: topics from `mqtt::topics`, payloads from the
//! schemas, examples from the snapshots of the wire records.

use super::kept::snapshot;
use jouled::mqtt::Topics;
use jouled::store::RecordKind;
use serde_json::{Map, Value, json};

/// A message that a board sends.
struct Sent {
    name: &'static str,
    summary: &'static str,
    topic: String,
    qos: u8,
    retain: bool,
    expiry_s: Option<u32>,
    schema: &'static str,
    examples: Vec<(&'static str, Value)>,
}

/// A command that a board carries out, and the schema of its answer.
pub struct Received {
    pub name: &'static str,
    summary: &'static str,
    pub schema: &'static str,
    pub answer: &'static str,
    pub examples: Vec<(&'static str, Value)>,
}

/// A topic with its variable levels as AsyncAPI writes parameters.
fn topics() -> Topics {
    Topics::new("{prefix}", "{device}")
}

fn of_job(kind: RecordKind) -> String {
    let id = "JOB".parse().expect("a valid id");
    topics().job(&id, kind).replace("/JOB/", "/{id}/")
}

fn sent() -> Vec<Sent> {
    let small = |name: &str| snapshot(&format!("tests/snapshots/records__{name}.snap"));
    let made = |name: &str| {
        snapshot(&format!(
            "src/measure/snapshots/jouled__measure__tests__{name}.snap"
        ))
    };
    let (states, models) = (small("states_of_a_life"), small("states_of_a_model"));
    let job = |kind: RecordKind, name, summary, examples| Sent {
        name,
        summary,
        topic: of_job(kind),
        qos: 1,
        retain: kind.retained(),
        expiry_s: kind.expiry_s(),
        schema: kind.as_str(),
        examples,
    };
    let device = |name, summary, topic, qos, retain, examples| Sent {
        name,
        summary,
        topic,
        qos,
        retain,
        expiry_s: None,
        schema: name,
        examples,
    };
    vec![
        device(
            "status",
            "Whether the board is there. `offline` is its last will.",
            topics().status(),
            1,
            true,
            vec![
                ("online", small("status_online")),
                ("last will", small("status_offline")),
            ],
        ),
        device(
            "info",
            "Board, rails, sensors, models and limits, whenever they change.",
            topics().info(),
            1,
            true,
            vec![("a board", small("info"))],
        ),
        device(
            "health",
            "Every 10 s: sensors, queue, outbox, memory, disk.",
            topics().health(),
            0,
            false,
            vec![("a failed sensor", small("health"))],
        ),
        device(
            "rail",
            "At most once a second: power, voltage, current and energy of a rail.",
            topics().rail("{rail}"),
            0,
            false,
            vec![
                ("simulated", small("rail")),
                ("nothing new", small("rail_stale")),
            ],
        ),
        device(
            "event",
            "Rejections, faults and recoveries.",
            topics().events(),
            1,
            false,
            vec![("a lost attempt", small("event"))],
        ),
        job(
            RecordKind::State,
            "state",
            "Where a job stands; a reader drops a state with a lower `rev` than it has.",
            vec![
                ("queued", states[0].clone()),
                ("decoding", states[1].clone()),
            ],
        ),
        job(
            RecordKind::Tokens,
            "tokens",
            "Energy of each token of a repetition, in batches; `seq` rises over the attempt.",
            vec![("four tokens", made("generate_tokens"))],
        ),
        job(
            RecordKind::Trace,
            "trace",
            "Power of a rail over the attempt, in chunks, when the job asks for it.",
            vec![("a chunk", made("trace"))],
        ),
        job(
            RecordKind::Result,
            "result",
            "Everything about an attempt. It leaves last.",
            vec![
                ("succeeded", made("generate_result")),
                ("failed", made("failed_result")),
            ],
        ),
        Sent {
            name: "model",
            summary: "How far a model of the catalogue is, at most once a second.",
            topic: topics()
                .model(&"MODEL".parse().expect("a valid name"))
                .replace("/MODEL/", "/{model}/"),
            qos: 1,
            retain: true,
            expiry_s: Some(86_400),
            schema: "model",
            examples: vec![
                ("fetching", models[1].clone()),
                ("a job runs", models[2].clone()),
                ("failed", models[5].clone()),
            ],
        },
    ]
}

pub fn received() -> Vec<Received> {
    let command = |name, summary, schema, answer, examples| Received {
        name,
        summary,
        schema,
        answer,
        examples,
    };
    let smol = json!({"v": 1, "id": "smol-1", "kind": "generate", "prompt": "Why is the sky blue?",
                      "model": "SmolLM2-135M-Instruct.Q4_1.gguf", "n_predict": 128});
    let bench = json!({"id": "bench-1", "kind": "bench", "n_prompt": 512, "n_gen": 128,
                       "model": "SmolLM2-135M-Instruct.Q4_1.gguf", "repetitions": 5});
    vec![
        command(
            "submit",
            "Queues a job. The same id with the same content never runs twice.",
            "job",
            "answer-submit",
            vec![("generate", smol), ("bench", bench)],
        ),
        command(
            "cancel",
            "Cancels a job, whether it waits or runs.",
            "cancel",
            "answer-submit",
            vec![("by id", json!({"id": "smol-1"}))],
        ),
        command(
            "jobs",
            "Asks for the queue and the jobs that ended last, for one job, or for all.",
            "jobs",
            "answer-jobs",
            vec![
                ("the last five", json!({"limit": 5})),
                ("one", json!({"id": "smol-1"})),
            ],
        ),
        command(
            "queue",
            "Sets what the queue does from now on, or asks.",
            "queue",
            "answer-queue",
            vec![("pause", json!({"mode": "paused"})), ("ask", json!({}))],
        ),
        command(
            "replay",
            "Has the kept records of a job sent again, for a collector that was away.",
            "replay",
            "answer-replay",
            vec![(
                "from a gap on",
                json!({"id": "smol-1", "attempt": 1, "from_seq": 7}),
            )],
        ),
        command(
            "models",
            "Asks for a model of the administrator's catalogue, or what there is.",
            "models",
            "answer-models",
            vec![
                ("ask", json!({})),
                ("fetch", json!({"fetch": "SmolLM2-135M-Instruct.Q4_1.gguf"})),
            ],
        ),
    ]
}

/// Topic, schema and whether it is retained, of everything that boards publish.
pub fn published() -> Vec<(String, &'static str, bool)> {
    let sent = sent().into_iter();
    sent.map(|sent| (sent.topic, sent.schema, sent.retain))
        .collect()
}

pub fn command_topic(name: &str) -> String {
    topics().commands().replace('+', name)
}

fn schema_file(name: &str) -> Value {
    json!({"$ref": format!("./schemas/{name}.json")})
}

fn examples(of: Vec<(&'static str, Value)>) -> Value {
    of.into_iter()
        .map(|(name, payload)| json!({"name": name, "payload": payload}))
        .collect()
}

/// The parameters of a topic.
fn parameters(topic: &str) -> Value {
    let levels = topic.split('/').filter_map(|level| level.strip_prefix('{'));
    let names = levels.map(|level| level.trim_end_matches('}'));
    let reference = |name| json!({"$ref": format!("#/components/parameters/{name}")});
    Value::Object(
        names
            .map(|name| (name.to_owned(), reference(name)))
            .collect(),
    )
}

fn channel(topic: &str, message: &str, summary: &str) -> Value {
    json!({
        "address": topic,
        "summary": summary,
        "parameters": parameters(topic),
        "messages": {message: {"$ref": format!("#/components/messages/{message}")}},
    })
}

pub fn document() -> Value {
    let mut channels = Map::new();
    let mut operations = Map::new();
    let mut messages = Map::new();
    for sent in sent() {
        let name = sent.name;
        let mut mqtt = json!({"qos": sent.qos, "retain": sent.retain, "bindingVersion": "0.2.0"});
        if let Some(seconds) = sent.expiry_s {
            mqtt["messageExpiryInterval"] = json!(seconds);
        }
        channels.insert(name.to_owned(), channel(&sent.topic, name, sent.summary));
        messages.insert(
            name.to_owned(),
            json!({
                "name": name,
                "summary": sent.summary,
                "payload": schema_file(sent.schema),
                "examples": examples(sent.examples),
            }),
        );
        operations.insert(
            format!("send-{name}"),
            json!({
                "action": "send",
                "summary": sent.summary,
                "channel": {"$ref": format!("#/channels/{name}")},
                "messages": [{"$ref": format!("#/channels/{name}/messages/{name}")}],
                "bindings": {"mqtt": mqtt},
            }),
        );
    }
    let mut answers = Map::new();
    for received in received() {
        let name = received.name;
        let (message, reply) = (format!("cmd-{name}"), format!("answer-{name}"));
        let topic = command_topic(name);
        channels.insert(message.clone(), channel(&topic, &message, received.summary));
        messages.insert(
            message.clone(),
            json!({
                "name": message,
                "summary": received.summary,
                "headers": {"$ref": "#/components/schemas/request-properties"},
                "correlationId": {"$ref": "#/components/correlationIds/command"},
                "payload": schema_file(received.schema),
                "examples": examples(received.examples),
                "bindings": {"mqtt": {"bindingVersion": "0.2.0"}},
            }),
        );
        messages.insert(
            reply.clone(),
            json!({
                "name": reply,
                "summary": format!("Answers cmd/{name}."),
                "headers": {"$ref": "#/components/schemas/answer-properties"},
                "correlationId": {"$ref": "#/components/correlationIds/command"},
                "payload": schema_file(received.answer),
            }),
        );
        answers.insert(
            reply.clone(),
            json!({"$ref": format!("#/components/messages/{reply}")}),
        );
        operations.insert(
            format!("receive-{message}"),
            json!({
                "action": "receive",
                "summary": received.summary,
                "channel": {"$ref": format!("#/channels/{message}")},
                "messages": [{"$ref": format!("#/channels/{message}/messages/{message}")}],
                "reply": {
                    "address": {
                        "description": "The command's MQTT 5 response topic; without one there is no answer.",
                        "location": "$message.header#/responseTopic",
                    },
                    "channel": {"$ref": "#/channels/answers"},
                    "messages": [{"$ref": format!("#/channels/answers/messages/{reply}")}],
                },
                "bindings": {"mqtt": {"qos": 1, "retain": false, "bindingVersion": "0.2.0"}},
            }),
        );
    }
    channels.insert(
        "answers".to_owned(),
        json!({
            "address": null,
            "summary": "Answers, on the response topic of each command. The broker files shipped with jouled let boards write below `answers/`.",
            "messages": answers,
        }),
    );
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "jouled",
            "version": format!("{}.0.0", jouled::record::VERSION),
            "description": "The energy of every token a language model makes, measured on edge boards and published over MQTT 5. Seen from the board: it sends records and receives commands. Readers ignore fields of records that they don't know; unknown fields of commands are errors. A figure that was not measured is `null`, never 0. docs/mqtt.md has the rules.",
            "license": {"name": "MIT OR Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "certificates": {
                "host": "lab-broker:8883",
                "protocol": "mqtts",
                "protocolVersion": "5",
                "description": "A lab's broker as deploy/mosquitto sets it up: the certificate's common name is the user name, a board's is its device name.",
                "security": [{"$ref": "#/components/securitySchemes/certificate"}],
            },
            "passwords": {
                "host": "lab-broker:8884",
                "protocol": "mqtts",
                "protocolVersion": "5",
                "description": "The same broker, with user name and password.",
                "security": [{"$ref": "#/components/securitySchemes/password"}],
            },
        },
        "channels": channels,
        "operations": operations,
        "components": {
            "messages": messages,
            "parameters": {
                "prefix": {"description": "`[mqtt] prefix` of the boards.", "default": "jouled"},
                "device": {"description": "The board's name.", "examples": ["pi5-01"]},
                "rail": {"description": "A rail of the board's `info`.", "examples": ["input"]},
                "model": {"description": "A model's file name.", "examples": ["SmolLM2-135M-Instruct.Q4_1.gguf"]},
                "id": {"description": "The client's name of the job.", "examples": ["smol-1"]},
            },
            "schemas": {
                "request-properties": {
                    "type": "object",
                    "description": "MQTT 5 properties of a command, both optional.",
                    "properties": {
                        "responseTopic": {"type": "string", "maxLength": 256, "description": "Where the answer is to go: without wildcards, not below the prefix, `homeassistant` or `$`."},
                        "correlationData": {"type": "string", "description": "Comes back with the answer."},
                    },
                },
                "answer-properties": {
                    "type": "object",
                    "description": "MQTT 5 properties of an answer.",
                    "properties": {
                        "correlationData": {"type": "string", "description": "The command's."},
                    },
                },
            },
            "correlationIds": {
                "command": {"location": "$message.header#/correlationData"},
            },
            "securitySchemes": {
                "certificate": {"type": "X509", "description": "A client certificate of the lab's authority."},
                "password": {"type": "userPassword", "description": "mosquitto_passwd makes them."},
            },
        },
    })
}
